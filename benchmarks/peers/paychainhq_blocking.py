"""paychainhq_sync, in one thread."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.peers import Work
from benchmarks.work import ARGUMENTS, BUSINESS, KEY, Target
from paychainhq_sync import PayChainHQ


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Work]:
    context = ssl.create_default_context(cafile=target.cafile) if target.cafile else None
    pay = PayChainHQ(api_key=KEY, business_id=BUSINESS, base_url=target.url, ssl=context)

    def create() -> object:
        return pay.invoices.create(**ARGUMENTS)

    try:
        yield create
    finally:
        await asyncio.to_thread(pay.close)  # a loop runs in this thread
