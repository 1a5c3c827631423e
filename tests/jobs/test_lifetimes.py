"""Jobs that end early: by consumer, callback, cancellation or client, and under eager tasks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from paychainhq import (
    ConfigurationError,
    ConnectionFailedError,
    InvoiceRequest,
    Next,
    PayChainError,
    Progress,
    Request,
    Response,
)
from tests.support.client import INVOICE, client
from tests.support.raw_server import RawServer, Recorded, http_response

pytestmark = pytest.mark.usefixtures("face")


def orders(count: int) -> Iterator[InvoiceRequest]:
    return (
        InvoiceRequest(amount="5", token="USDC", chain="eth", reference=f"order-{n}")
        for n in range(count)
    )


def keys(server: RawServer) -> set[str]:
    return {request.headers["idempotency-key"] for request in server.requests}


class Begun(list[Request]):
    """Middleware that lists the requests as they begin.

    The server's list may still grow afterwards, by requests that were on their way to it.
    """

    async def __call__(self, request: Request, send: Next) -> Response:
        self.append(request)
        return await send(request)


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_block_that_is_left_by_an_exception_ends_the_job(concurrency: int) -> None:
    """No more requests are sent while the exception is handled."""
    begun = Begun()
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, middleware=[begun]) as pay,
    ):
        try:
            async with pay.invoices.create_many(
                orders(10_000), concurrency=concurrency
            ) as outcomes:
                async for _ in outcomes:
                    raise LookupError
        except LookupError:
            sent = len(begun)
            await asyncio.sleep(0.05)
            assert len(begun) == sent < 200
        assert len(server.requests) <= sent


async def test_a_block_that_is_never_iterated_over_sends_nothing() -> None:
    """A stream starts with its first item."""
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        async with pay.invoices.create_many(orders(10)):
            pass
        async with pay.invoices.watch(["inv_1"]):
            pass
        assert server.requests == []


async def test_a_watch_ends_with_its_block() -> None:
    """The reads of a watch end when its block is left."""
    begun = Begun()
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, middleware=[begun]) as pay,
    ):
        async with pay.invoices.watch(
            [f"inv_{n}" for n in range(40)], interval=0.001, concurrency=2
        ) as changes:
            await anext(changes)
        sent = len(begun)
        await asyncio.sleep(0.05)
        assert len(begun) == sent


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_progress_callback_that_raises_loses_no_outcome(
    concurrency: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No new request starts, each sent request has its outcome, then the exception is raised."""
    monkeypatch.setattr("paychainhq._jobs.progress._INTERVAL", 0.0)
    outcomes: list[Any] = []

    def progress(report: Progress) -> None:
        if report.ok >= 5:
            raise ZeroDivisionError

    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        with pytest.raises(ZeroDivisionError):
            async for outcome in pay.invoices.create_many(
                orders(5_000), concurrency=concurrency, progress=progress
            ):
                outcomes.append(outcome)
        assert len(outcomes) == len(keys(server)) < 1000
    assert all(outcome.ok for outcome in outcomes)


@pytest.mark.parametrize("concurrency", [1, 2, "auto"])
async def test_a_stray_cancellation_ends_the_job(concurrency: Any) -> None:
    """A `CancelledError` of a middleware ends the job; each sent request has its outcome."""
    begun: set[str | None] = set()

    async def stray(request: Request, send: Next) -> Response:
        begun.add(request.idempotency_key)
        if len(begun) == 5:
            raise asyncio.CancelledError
        return await send(request)

    outcomes: list[Any] = []
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, middleware=[stray]) as pay,
    ):
        with pytest.raises(ConnectionFailedError, match="cancelled"):
            async for outcome in pay.invoices.create_many(orders(200), concurrency=concurrency):
                outcomes.append(outcome)
    assert len(outcomes) == len(begun)
    [failed] = [outcome for outcome in outcomes if not outcome.ok]
    assert failed.error.sent == "no"
    assert failed.error.idempotency_key in begun


@pytest.mark.async_only("inspects the tasks of the loop")
async def test_workers_that_are_cancelled_end_the_job() -> None:
    """A worker that ends for any reason ends the job."""

    async def slow(_: Recorded, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        writer.write(http_response(INVOICE))

    async with RawServer(slow) as server, client(server.url) as pay:
        outcomes: list[Any] = []
        with pytest.raises(PayChainError):
            async for outcome in pay.invoices.create_many(orders(500), concurrency=3):
                outcomes.append(outcome)
                if len(outcomes) == 10:
                    for task in asyncio.all_tasks():
                        if "_Job._work" in repr(task.get_coro()):
                            task.cancel()
        references = {outcome.reference for outcome in outcomes}
        assert len(references) == len(outcomes) >= len(keys(server))


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_closing_the_client_ends_its_job(concurrency: int) -> None:
    """The job ends with an error, and each sent request has its outcome."""

    async def slow(_: Recorded, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        writer.write(http_response(INVOICE))

    outcomes: list[Any] = []
    async with RawServer(slow) as server:
        pay = client(server.url)
        with pytest.raises((ConfigurationError, ConnectionFailedError)):
            async for outcome in pay.invoices.create_many(orders(2_000), concurrency=concurrency):
                outcomes.append(outcome)
                if len(outcomes) == 20:
                    await pay.close()
        sent = {outcome.reference for outcome in outcomes}
        assert len(sent) == len(outcomes) >= len(keys(server))
        assert len(outcomes) < 1000


@pytest.mark.async_only("sets the task factory of the loop")
@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has eager tasks since Python 3.12")
@pytest.mark.parametrize("concurrency", [1, 5, "auto"])
@pytest.mark.parametrize("count", [0, 1, 300])
async def test_a_job_under_eager_tasks(concurrency: Any, count: int) -> None:
    """Tasks that run as soon as they are created change nothing, for sent and refused requests."""
    asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 (unknown to the checkers of Python 3.11)
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        given: list[Any] = [*orders(count), *[{"amount": "1"}] * count]
        outcomes = [
            outcome.ok async for outcome in pay.invoices.create_many(given, concurrency=concurrency)
        ]
        assert sorted(outcomes) == [False] * count + [True] * count
        assert len(keys(server)) == count
