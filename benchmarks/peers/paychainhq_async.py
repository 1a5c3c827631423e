"""paychainhq with default settings: single calls, and whole jobs."""

from __future__ import annotations

import itertools
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.peers import Job, Work
from benchmarks.work import ARGUMENTS, BUSINESS, KEY, Target
from paychainhq import InvoiceRequest, Middleware, Next, PayChainHQ, Request, Response

_numbers = itertools.count()
_TRACEPARENT = "00-e6560d0d95b5226db306268e2ee62c02-f352189e9e1aeb82-01"


def client(target: Target, *middleware: Middleware, **settings: Any) -> PayChainHQ:
    """Return a client with default settings, but for middleware and further settings."""
    context = ssl.create_default_context(cafile=target.cafile) if target.cafile else None
    return PayChainHQ(
        api_key=KEY,
        business_id=BUSINESS,
        base_url=target.url,
        ssl=context,
        max_connections=target.connections,
        middleware=middleware,
        **settings,
    )


def requests(count: int) -> Iterator[InvoiceRequest]:
    """Yield orders with references that are new in this process."""
    for number in itertools.islice(_numbers, count):
        yield InvoiceRequest(**ARGUMENTS, reference=f"order-{number}")


@asynccontextmanager
async def create(target: Target, *middleware: Middleware, **settings: Any) -> AsyncIterator[Work]:
    async with client(target, *middleware, **settings) as pay:

        async def one() -> object:
            return await pay.invoices.create(**ARGUMENTS)

        yield one


def create_with_noop(target: Target) -> AbstractAsyncContextManager[Work]:
    return create(target, _pass_on)


def create_with_traceparent(target: Target) -> AbstractAsyncContextManager[Work]:
    return create(target, _add_traceparent)


async def _pass_on(request: Request, send: Next) -> Response:
    return await send(request)


async def _add_traceparent(request: Request, send: Next) -> Response:
    return await send(request.with_headers({"traceparent": _TRACEPARENT}))


@asynccontextmanager
async def get(target: Target) -> AsyncIterator[Work]:
    async with client(target) as pay:

        async def one() -> object:
            return await pay.invoices.get("inv_123")

        yield one


@asynccontextmanager
async def create_many(target: Target) -> AsyncIterator[Work]:
    async with client(target) as pay:
        yield _job(pay)


@asynccontextmanager
async def create_many_with_ledger(target: Target) -> AsyncIterator[Work]:
    from paychainhq.ledger import SQLiteLedger

    with tempfile.TemporaryDirectory() as folder:
        async with client(target) as pay:
            yield _job(pay, ledger=SQLiteLedger(Path(folder) / "jobs.db"))


def _job(pay: PayChainHQ, **options: Any) -> Job:
    async def run(count: int, concurrency: int) -> None:
        created = 0
        async for outcome in pay.invoices.create_many(
            requests(count), concurrency=concurrency, **options
        ):
            if not outcome.ok:
                raise RuntimeError(f"a request failed: {outcome.error}")
            created += 1
        assert created == count

    return Job(run)
