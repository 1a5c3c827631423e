"""Clients closed under their calls, and stray cancellations."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from paychainhq import (
    ConfigurationError,
    ConnectionFailedError,
    Next,
    PayChainError,
    RateLimit,
    Request,
    Response,
    RetryPolicy,
)
from tests.support.client import INVOICE, PRICES, client, invoice
from tests.support.raw_server import Behaviour, RawServer, http_response, silence
from tests.support.samples import BY_NAME

pytestmark = pytest.mark.usefixtures("face")


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.002)


class Counting:
    """Middleware that counts the calls that reach it."""

    def __init__(self) -> None:
        self.entered = 0

    async def __call__(self, request: Request, send: Next) -> Response:
        self.entered += 1
        return await send(request)


async def sleeping(request: Request, send: Next) -> Response:
    await asyncio.sleep(3600)
    return await send(request)


async def unavailable(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(http_response(b"", 503))


PLACES: dict[str, tuple[Behaviour, dict[str, Any], int, set[str]]] = {
    # The server's behaviour, the client's settings, the number of requests, and the possible
    # `sent`.
    "at the server": (silence, {}, 3, {"unknown"}),
    "before a retry": (unavailable, {"retry": RetryPolicy(first=3600, cap=3600)}, 3, {"yes"}),
    "in the queue for a connection": (silence, {"max_connections": 1}, 1, {"unknown", "no"}),
    "in the queue of a rate limit": (
        silence,
        {"rate_limit": RateLimit(1, per=1800)},
        1,
        {"unknown", "no"},
    ),
    "in a middleware": (silence, {"middleware": [sleeping]}, 0, {"no"}),
}


@pytest.mark.parametrize("place", PLACES)
async def test_calls_in_progress(place: str, caplog: pytest.LogCaptureFixture) -> None:
    """Closing the client ends calls at any point with one error, which has `sent`."""
    behaviour, settings, requests, sent = PLACES[place]
    caplog.set_level(logging.INFO, "paychainhq")
    repetitions = 3 if place == "before a retry" else 0
    counting = Counting()
    settings = {
        "timeout": 7200,
        "retry": None,
        **settings,
        "middleware": [counting, *settings.get("middleware", [])],
    }
    async with RawServer(behaviour) as server:
        pay = client(server.url, **settings)
        calls = [asyncio.create_task(invoice(pay)) for _ in range(3)]
        await until(lambda: counting.entered == 3 and len(server.requests) == requests)
        await until(lambda: caplog.text.count("; retry in") == repetitions)
        await pay.close()
        errors = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 30)
        assert [type(error) for error in errors] == [ConnectionFailedError] * 3
        assert {error.sent for error in errors if isinstance(error, PayChainError)} <= sent
        assert all(error.idempotency_key for error in errors if isinstance(error, PayChainError))
        with pytest.raises(ConfigurationError, match="closed"):
            await invoice(pay)
    assert len(server.requests) == requests


async def test_closing_twice_at_the_same_time() -> None:
    """All calls of `close()` wait for the same end."""
    async with RawServer(silence) as server:
        pay = client(server.url, timeout=7200)
        call = asyncio.create_task(invoice(pay))
        await until(lambda: len(server.requests) == 1)
        await asyncio.wait_for(asyncio.gather(pay.close(), pay.close(), pay.close()), 30)
        with pytest.raises(ConnectionFailedError):
            await asyncio.wait_for(call, 30)


async def test_a_list_with_a_prefetch() -> None:
    """The prefetched page is cancelled, and the loop over the items raises the same error."""
    first = BY_NAME["invoices.list"].response
    page = {
        **first,
        "data": [{**first["data"][0], "id": f"inv_{n}"} for n in range(3)],
        "pagination": {"page": 1, "limit": 3, "total": 9, "totalPages": 3, "hasMore": True},
    }
    taken = []
    async with RawServer(http_response(page), silence) as server:
        pay = client(server.url, timeout=7200, retry=None)

        async def read() -> None:
            async for item in pay.invoices.list(limit=3):
                taken.append(item.id)

        reading = asyncio.create_task(read())
        await until(lambda: len(server.requests) == 2 and len(taken) == 3)
        await pay.close()
        with pytest.raises(ConnectionFailedError):
            await asyncio.wait_for(reading, 30)
    assert taken == ["inv_0", "inv_1", "inv_2"]


async def test_a_stray_cancellation() -> None:
    """A `CancelledError` from a middleware, or a future it awaits, is a failure of the call."""

    async def raising(request: Request, send: Next) -> Response:
        raise asyncio.CancelledError

    async def awaiting(request: Request, send: Next) -> Response:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future
        return await send(request)

    async def after(request: Request, send: Next) -> Response:
        await send(request)
        raise asyncio.CancelledError

    async with RawServer(http_response(INVOICE)) as server:
        for middleware, sent in ((raising, "no"), (awaiting, "no"), (after, "yes")):
            async with client(server.url, middleware=[middleware], retry=None) as pay:
                with pytest.raises(ConnectionFailedError) as caught:
                    await invoice(pay)
            assert caught.value.sent == sent
            assert caught.value.idempotency_key


@pytest.mark.async_only("a blocking caller cannot be cancelled from outside")
async def test_a_cancellation_by_the_caller_stays_one() -> None:
    """A call ends as cancelled before, during and together with the end of the client."""
    async with RawServer(silence) as server:
        pay = client(server.url, timeout=7200)

        async def cancelled_before() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await invoice(pay)

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(cancelled_before())
        during, together = asyncio.create_task(invoice(pay)), asyncio.create_task(invoice(pay))
        await until(lambda: len(server.requests) == 2)
        during.cancel()
        with pytest.raises(asyncio.CancelledError):
            await during
        closing = asyncio.create_task(pay.close())
        await asyncio.sleep(0)
        together.cancel()
        with pytest.raises(asyncio.CancelledError):
            await together
        await closing


@pytest.mark.async_only("on the background loop a middleware has no blocking client to close")
async def test_a_middleware_that_closes_its_client() -> None:
    """The middleware does not wait for itself."""

    async def closing(request: Request, send: Next) -> Response:
        await pay.close()
        return await send(request)

    async with RawServer(http_response(PRICES)) as server:
        pay = client(server.url, middleware=[closing])
        with pytest.raises(PayChainError, match="closed"):
            await asyncio.wait_for(pay.prices.list(), 30)
    assert server.requests == []
