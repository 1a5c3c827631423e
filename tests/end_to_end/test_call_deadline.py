"""Deadline of a call: it ends any wait."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from paychainhq import (
    ConfigurationError,
    Next,
    RateLimit,
    Request,
    RequestTimeoutError,
    Response,
    RetryPolicy,
    ServerError,
)
from tests.support.client import PRICES, client, error_body, invoice, states
from tests.support.clocks import skipping_clock
from tests.support.raw_server import RawServer, Recorded, http_response, silence

pytestmark = pytest.mark.usefixtures("face")


@pytest.mark.parametrize(
    "retry", [RetryPolicy(), None, RetryPolicy(attempt_timeout=1.5, first=0.01, cap=0.02)]
)
async def test_silent_server(retry: RetryPolicy | None) -> None:
    """A call with a deadline to a silent server ends about then, and reports its key."""
    async with RawServer(silence) as server, client(server.url, timeout=3, retry=retry) as pay:
        began = time.monotonic()
        with pytest.raises(RequestTimeoutError) as caught:
            await invoice(pay, idempotency_key="order-7")
        assert 2.9 < time.monotonic() - began < 10
    assert (caught.value.sent, caught.value.idempotency_key) == ("unknown", "order-7")
    assert len(caught.value.attempts) == len(server.requests)
    assert set(states(caught.value)) == {"timed out"}


async def test_slow_body() -> None:
    """A server that keeps sending single bytes does not outlast the deadline."""

    async def drip(_: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"1\r\n \r\n")
            await asyncio.sleep(0.01)

    async with RawServer(drip) as server, client(server.url, timeout=2, retry=None) as pay:
        with pytest.raises(RequestTimeoutError) as caught:
            await pay.prices.list()
    assert (caught.value.sent, states(caught.value)) == ("yes", ["timed out"])


async def test_connecting() -> None:
    """A connection without a TLS handshake ends at the deadline, with nothing sent."""
    async with (
        RawServer(silence) as server,
        client(server.url.replace("http", "https"), timeout=2) as pay,
    ):
        with pytest.raises(RequestTimeoutError) as caught:
            await pay.request("POST", "/api/v1/new", body={})
    assert (caught.value.sent, states(caught.value)[0], server.requests) == ("no", "timed out", [])


async def test_waiting_for_a_slot() -> None:
    """A call that waits for a connection until its deadline ends then, unsent."""
    async with (
        RawServer(silence) as server,
        client(server.url, max_connections=1, retry=None) as pay,
    ):
        holder = asyncio.create_task(invoice(pay))
        while not server.requests:
            await asyncio.sleep(0)
        with pytest.raises(RequestTimeoutError) as caught:
            await invoice(pay.with_options(timeout=0.1), idempotency_key="order-7")
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)
    assert (caught.value.sent, caught.value.attempts, caught.value.idempotency_key) == (
        "no",
        (),
        "order-7",
    )
    assert len(server.requests) == 1


async def test_waiting_for_a_turn() -> None:
    """A turn of the rate limit after the deadline is not waited for."""
    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, rate_limit=RateLimit(1, per=60)) as pay,
    ):
        await pay.prices.list()
        with skipping_clock() as clock, pytest.raises(RequestTimeoutError) as caught:
            await pay.prices.list()
    assert clock.waits == []
    assert (caught.value.sent, caught.value.attempts) == ("no", ())
    assert len(server.requests) == 1


@pytest.mark.async_only("fakes the clock of the loop")
async def test_back_off() -> None:
    """No back-off starts that would end after the deadline: the last failure is raised."""
    busy = http_response(error_body("X"), 503)
    async with (
        RawServer(busy) as server,
        client(server.url, timeout=30, retry=RetryPolicy(1000, first=9, cap=9)) as pay,
    ):
        with skipping_clock() as clock, pytest.raises(ServerError) as caught:
            await pay.prices.list()
    assert sum(clock.waits) < 30
    assert len(caught.value.attempts) == len(clock.waits) + 1 < 1000


@pytest.mark.parametrize("after", [False, True])
async def test_middleware_that_hangs(after: bool) -> None:
    """A middleware that hangs ends at the deadline too, and the error has `sent`."""

    async def hang(request: Request, send: Next) -> Response:
        if after:
            await send(request)
        await asyncio.Event().wait()
        raise AssertionError

    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, timeout=2 if after else 0.2, middleware=[hang]) as pay,
    ):
        with pytest.raises(RequestTimeoutError) as caught:
            await pay.prices.list()
    assert caught.value.sent == ("yes" if after else "no")
    assert len(server.requests) == len(caught.value.attempts) == after


async def test_timeout_of_the_caller() -> None:
    """A timeout that the caller puts around a call raises the caller's `TimeoutError`."""
    async with RawServer(silence) as server, client(server.url) as pay:
        with pytest.raises(TimeoutError) as caught:
            await asyncio.wait_for(pay.prices.list(), 0.05)
    assert type(caught.value) is TimeoutError


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True, "5", None])
async def test_an_invalid_deadline(timeout: Any) -> None:
    """A deadline must be a number of seconds above zero, on the client and on a view."""
    with pytest.raises(ConfigurationError, match="timeout must be a number of seconds"):
        client("http://127.0.0.1:1", timeout=timeout)
    async with client("http://127.0.0.1:1") as pay:
        with pytest.raises(ConfigurationError, match="timeout must be a number of seconds"):
            pay.with_options(timeout=timeout)
