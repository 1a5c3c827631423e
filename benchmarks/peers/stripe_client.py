"""stripe-python over aiohttp, its fastest transport: the same fields as a form.

Responses are decoded into one of its own objects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import stripe

from benchmarks.peers import Work
from benchmarks.work import BODY, Target


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Work]:
    transport = stripe.AIOHTTPClient(connector=aiohttp.TCPConnector(limit=target.connections))
    client = stripe.StripeClient(
        "sk_test_123", base_addresses={"api": target.url}, http_client=transport
    )

    async def create() -> object:
        return await client.v1.customers.create_async(BODY)

    try:
        yield create
    finally:
        await transport.close_async()
