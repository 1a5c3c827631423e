"""Hand-written httpx client."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import orjson

from benchmarks.peers import Work
from benchmarks.work import BODY, KEY, Target


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Work]:
    context = ssl.create_default_context(cafile=target.cafile) if target.cafile else True
    limits = httpx.Limits(
        max_connections=target.connections, max_keepalive_connections=target.connections
    )
    async with httpx.AsyncClient(verify=context, limits=limits) as client:
        url = target.invoices

        async def create() -> object:
            headers = {"Content-Type": "application/json", "x-api-key": KEY}
            response = await client.post(url, content=orjson.dumps(BODY), headers=headers)
            return orjson.loads(response.content)

        yield create
