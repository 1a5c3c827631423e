"""Hand-written aiohttp, the base of all ratios: no types, no key of its own, no retry, no limit."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from benchmarks.peers import Work
from benchmarks.work import BODY, KEY, Target


@asynccontextmanager
async def opened(target: Target, **options: Any) -> AsyncIterator[Work]:
    async with _session(target, **options) as session:
        url = target.invoices

        async def create() -> object:
            headers = {"Content-Type": "application/json", "x-api-key": KEY}
            async with session.post(url, data=orjson.dumps(BODY), headers=headers) as response:
                return orjson.loads(await response.read())

        yield create


@asynccontextmanager
async def reading(target: Target) -> AsyncIterator[Work]:
    async with _session(target) as session:
        url = f"{target.url}/api/v1/invoices/inv_123"

        async def get() -> object:
            async with session.get(
                url, headers={"Content-Type": "application/json", "x-api-key": KEY}
            ) as response:
                return orjson.loads(await response.read())

        yield get


def _session(target: Target, **options: Any) -> aiohttp.ClientSession:
    context = ssl.create_default_context(cafile=target.cafile) if target.cafile else True
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=target.connections, ssl=context), **options
    )
