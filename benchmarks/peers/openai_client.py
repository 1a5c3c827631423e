"""openai-python with its default transport: the same fields, decoded into a model of its kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai

from benchmarks.peers import Work
from benchmarks.work import BODY, INVOICES, KEY, Target


class Amount(openai.BaseModel):
    """Requested amount."""

    raw: str
    decimals: int
    display: str
    symbol: str
    chain: str
    networkId: str  # noqa: N815


class ProviderRegistration(openai.BaseModel):
    """Registration of the deposit address."""

    status: str
    ready: bool
    message: str


class Invoice(openai.BaseModel):
    """Invoice, with the fields of the response."""

    id: str
    businessId: str  # noqa: N815
    customerId: str  # noqa: N815
    status: str
    token: str
    chain: str
    networkId: str  # noqa: N815
    amount: Amount
    depositAddress: str  # noqa: N815
    expiresAt: str  # noqa: N815
    underpaymentToleranceBps: int  # noqa: N815
    underpaymentToleranceMaxUsd: str  # noqa: N815
    providerRegistration: ProviderRegistration  # noqa: N815


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Work]:
    async with openai.AsyncOpenAI(api_key=KEY, base_url=target.url) as client:

        async def create() -> object:
            return await client.post(INVOICES, cast_to=Invoice, body=BODY)

        yield create
