"""Turns: the caller's own limits, the server's 429s, and the bulkhead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paychainhq import ConfigurationError, RateLimit, Request, RequestTimeoutError, Response
from paychainhq.middleware.rate_limit import Limiter
from paychainhq.operations import OPERATIONS
from tests.engine import PRICES, client, run_timeless, skipping_clock
from tests.support import RawServer, Recorded, answer

pytestmark = pytest.mark.usefixtures("face")

OK = Response(200, {}, b"")


def request(deadline: float = 1e9) -> Request:
    return Request(
        operation=OPERATIONS["prices.list"], path="/", headers={}, body=None, idempotency_key=None, deadline=deadline, retry=None
    )


def starts(
    limits: Sequence[RateLimit], calls: int, answers: Callable[[int], Response] = lambda _: OK, slots: int = 1000
) -> list[float]:
    """When each of many calls that all ask at second 0 gets its turn; `answers` gives what the n-th of them is told."""
    times: list[float] = []

    async def send(_: Request) -> Response:
        times.append(asyncio.get_running_loop().time())
        return answers(len(times))

    async def run() -> None:
        limiter = Limiter(limits, slots)
        await asyncio.gather(*(limiter(request(), send) for _ in range(calls)))

    run_timeless(run())
    return times


@pytest.mark.async_only("it runs the limiter itself")
def test_one_limit() -> None:
    """A full burst goes at once, and the rest in even steps."""
    assert starts([RateLimit(4)], 8) == pytest.approx([0, 0, 0, 0, 0.25, 0.5, 0.75, 1.0])


@pytest.mark.async_only("it runs the limiter itself")
def test_burst() -> None:
    """`burst` says how many go at once; a rate below one a period still lets one go."""
    assert starts([RateLimit(10, burst=1)], 4) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert starts([RateLimit(2, per=60, burst=3)], 5) == pytest.approx([0, 0, 0, 30, 60])
    assert starts([RateLimit(0.5)], 3) == pytest.approx([0, 2, 4])


@pytest.mark.async_only("it runs the limiter itself")
def test_several_limits() -> None:
    """With several limits, each of them is kept."""
    assert starts([RateLimit(2, per=1), RateLimit(3, per=60)], 5) == pytest.approx([0, 0, 0.5, 20, 40])


@pytest.mark.async_only("it runs the limiter itself")
@given(
    limits=st.lists(st.builds(RateLimit, st.integers(1, 20), st.floats(0.1, 60), st.none() | st.integers(1, 30)), max_size=3),
    calls=st.integers(1, 40),
)
def test_limits_are_kept(limits: list[RateLimit], calls: int) -> None:
    """No stretch of time ever holds more calls than a limit allows for it: its burst, and one more for each step."""
    times = starts(limits, calls)
    assert len(times) == calls
    for limit in limits:
        burst = limit.burst or max(1, int(limit.rate))
        for first, start in enumerate(times):
            for last in range(first + burst, len(times)):
                assert times[last] - start >= (last - first + 1 - burst) * limit.per / limit.rate - 1e-6


@pytest.mark.async_only("it runs the limiter itself")
@pytest.mark.parametrize(("headers", "pause"), [({"Retry-After": "7"}, 7), ({}, 1)])
def test_pause(headers: dict[str, str], pause: float) -> None:
    """A 429 holds back all who wait, for as long as the server says, or a second; after it, the limit is kept as before."""
    limited = Response(429, headers, b"")
    times = starts([RateLimit(1, burst=1)], 5, lambda number: limited if number == 2 else OK)
    assert times == pytest.approx([0, 1, 2 + pause, 3 + pause, 4 + pause])


@pytest.mark.async_only("it runs the limiter itself")
def test_one_pause_for_several_answers() -> None:
    """Several 429s at one time are one pause, the longest, and not their sum."""

    async def run() -> float:
        limiter, loop = Limiter([], 100), asyncio.get_running_loop()

        waits = iter(["4", "10", "4", "10", "4"])

        async def refuse(_: Request) -> Response:
            await asyncio.sleep(0.5)
            return Response(429, {"Retry-After": next(waits)}, b"")

        async def accept(_: Request) -> Response:
            return OK

        await asyncio.gather(*(limiter(request(), refuse) for _ in range(5)))
        await asyncio.gather(*(limiter(request(), accept) for _ in range(20)))
        return loop.time()

    assert run_timeless(run()) == pytest.approx(10.5)


@pytest.mark.async_only("it fakes the clock of the loop")
async def test_pause_over_the_wire() -> None:
    """After a 429 to one call, another call of the same client, or of a view of it, waits before it sends."""
    limited = answer({"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "no"}}, 429, {"Retry-After": "3"})
    async with RawServer(limited, answer(PRICES)) as server, client(server.url, retry=None) as pay:
        with skipping_clock() as clock:
            with pytest.raises(Exception, match="RATE_LIMIT_EXCEEDED"):
                await pay.prices.list()
            await pay.with_options(timeout=20).prices.list()
            await pay.prices.list()
    assert len(clock.waits) == 1
    assert clock.waits == pytest.approx([3], abs=0.5)
    assert len(server.requests) == 3


@pytest.mark.async_only("it runs the limiter itself")
def test_turn_beyond_the_deadline() -> None:
    """A turn after the deadline is refused at once, with nothing sent, and takes no turn from the others."""

    async def run() -> tuple[list[float], RequestTimeoutError]:
        limiter, loop = Limiter([RateLimit(1, per=10)], 100), asyncio.get_running_loop()
        times: list[float] = []

        async def send(_: Request) -> Response:
            times.append(loop.time())
            return OK

        await limiter(request(), send)
        with pytest.raises(RequestTimeoutError, match="which is in 10") as caught:
            await limiter(request(deadline=5), send)
        assert loop.time() == 0
        await limiter(request(), send)
        return times, caught.value

    times, error = run_timeless(run())
    assert times == pytest.approx([0, 10])
    assert (error.sent, error.attempts) == ("no", ())


@pytest.mark.async_only("a session of one's own belongs to this loop")
@pytest.mark.parametrize("slots", [1, 3])
async def test_bulkhead(slots: int) -> None:
    """The server never sees more requests at once than `max_connections`, and they are all made."""
    under_way: list[int] = [0]

    async def count(_: Recorded, writer: asyncio.StreamWriter) -> None:
        under_way.append(under_way[-1] + 1)
        for _turn in range(20):
            await asyncio.sleep(0)
        under_way.append(under_way[-1] - 1)
        writer.write(answer(PRICES))

    # A session of one's own, since the client's would keep the bound even without the bulkhead.
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    async with RawServer(count) as server, session, client(server.url, max_connections=slots, session=session) as pay:
        await asyncio.gather(*(pay.prices.list() for _ in range(20)))
    assert max(under_way) == slots
    assert len(server.requests) == 20


@pytest.mark.async_only("it fakes the clock of the loop")
async def test_limits_are_the_clients() -> None:
    """The limits of the constructor, one or several, are those that its calls keep."""
    for limits in (RateLimit(2, per=1), [RateLimit(100), RateLimit(2, per=1)]):
        async with RawServer(answer(PRICES)) as server, client(server.url, rate_limit=limits) as pay:
            with skipping_clock() as clock:
                for _ in range(4):
                    await pay.prices.list()
        assert clock.waits == pytest.approx([0.5, 0.5], abs=0.2)


@pytest.mark.async_only("it makes no client")
@pytest.mark.parametrize("settings", [{"rate": 0}, {"rate": -1}, {"rate": 1, "per": 0}, {"rate": 1, "burst": 0}, {"rate": "1"}])
def test_limit_that_cannot_be(settings: dict[str, float]) -> None:
    """A limit that would let nothing through, or that is no number, is refused."""
    with pytest.raises(ConfigurationError):
        RateLimit(**settings)  # type: ignore[arg-type]
