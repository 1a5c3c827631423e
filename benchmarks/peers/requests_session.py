"""Hand-written `requests.Session` client, in one thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import requests

from benchmarks.peers import Work
from benchmarks.work import BODY, KEY, Target


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Work]:
    with requests.Session() as session:
        url = target.invoices

        def create() -> object:
            return session.post(url, json=BODY, headers={"x-api-key": KEY}, timeout=60).json()

        yield create
