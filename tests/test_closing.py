"""A client that is closed under its calls, and cancellations that nobody asked for."""

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
from tests.engine import INVOICE, PRICES, client, invoice
from tests.samples import BY_NAME
from tests.support import Behaviour, RawServer, answer, silence

pytestmark = pytest.mark.usefixtures("face")


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.002)


class Counting:
    """Middleware that counts the calls that have come as far as it."""

    def __init__(self) -> None:
        self.entered = 0

    async def __call__(self, request: Request, send: Next) -> Response:
        self.entered += 1
        return await send(request)


async def sleeping(request: Request, send: Next) -> Response:
    await asyncio.sleep(3600)
    return await send(request)


async def unavailable(_: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(b"", 503))


PLACES: dict[str, tuple[Behaviour, dict[str, Any], int, set[str]]] = {
    # The server's behaviour, the client's settings, how many requests come, and what the calls say
    # about having been sent.
    "at the server": (silence, {}, 3, {"unknown"}),
    "before a repetition": (unavailable, {"retry": RetryPolicy(first=3600, cap=3600)}, 3, {"yes"}),
    "in the queue for a connection": (silence, {"max_connections": 1}, 1, {"unknown", "no"}),
    "in the queue of a rate limit": (
        silence,
        {"rate_limit": RateLimit(1, per=3600)},
        1,
        {"unknown", "no"},
    ),
    "in a middleware": (silence, {"middleware": [sleeping]}, 0, {"no"}),
}


@pytest.mark.parametrize("place", PLACES)
async def test_calls_under_way(place: str, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever a call is, the end of its client ends it with one error, which says whether it was
    sent.
    """
    behaviour, settings, requests, sent = PLACES[place]
    caplog.set_level(logging.INFO, "paychainhq")
    repetitions = 3 if place == "before a repetition" else 0
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
        await until(lambda: caplog.text.count("; again in") == repetitions)
        await pay.close()
        errors = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 30)
        assert [type(error) for error in errors] == [ConnectionFailedError] * 3
        assert {error.sent for error in errors if isinstance(error, PayChainError)} <= sent
        assert all(error.idempotency_key for error in errors if isinstance(error, PayChainError))
        with pytest.raises(ConfigurationError, match="closed"):
            await invoice(pay)
    assert len(server.requests) == requests


async def test_closing_twice_at_the_same_time() -> None:
    """Both ends wait for the same one."""
    async with RawServer(silence) as server:
        pay = client(server.url, timeout=7200)
        call = asyncio.create_task(invoice(pay))
        await until(lambda: len(server.requests) == 1)
        await asyncio.wait_for(asyncio.gather(pay.close(), pay.close(), pay.close()), 30)
        with pytest.raises(ConnectionFailedError):
            await asyncio.wait_for(call, 30)


async def test_a_list_that_is_read_ahead() -> None:
    """The page that is fetched ahead is cut off, and the loop over the items ends with the same
    error.
    """
    first = BY_NAME["invoices.list"].response
    page = {
        **first,
        "data": [{**first["data"][0], "id": f"inv_{n}"} for n in range(3)],
        "pagination": {"page": 1, "limit": 3, "total": 9, "totalPages": 3, "hasMore": True},
    }
    taken = []
    async with RawServer(answer(page), silence) as server:
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


async def test_a_cancellation_that_nobody_asked_for() -> None:
    """A `CancelledError` of a middleware, and one of a future that it awaits, is a failure of the
    call, and no cancellation.
    """

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

    async with RawServer(answer(INVOICE)) as server:
        for middleware, sent in ((raising, "no"), (awaiting, "no"), (after, "yes")):
            async with client(server.url, middleware=[middleware], retry=None) as pay:
                with pytest.raises(ConnectionFailedError) as caught:
                    await invoice(pay)
            assert caught.value.sent == sent
            assert caught.value.idempotency_key


@pytest.mark.async_only("a blocking caller cannot be cancelled from outside")
async def test_a_cancellation_of_the_callers_stays_one() -> None:
    """Before, during and together with the end of the client."""
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
    """It does not wait for itself."""

    async def closing(request: Request, send: Next) -> Response:
        await pay.close()
        return await send(request)

    async with RawServer(answer(PRICES)) as server:
        pay = client(server.url, middleware=[closing])
        with pytest.raises(PayChainError, match="closed"):
            await asyncio.wait_for(pay.prices.list(), 30)
    assert server.requests == []
