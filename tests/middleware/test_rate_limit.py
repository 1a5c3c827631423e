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
from tests.support.client import PRICES, client
from tests.support.clocks import run_timeless, skipping_clock
from tests.support.raw_server import RawServer, Recorded, http_response

pytestmark = pytest.mark.usefixtures("face")

OK = Response(200, {}, b"")


def request(deadline: float = 1e9) -> Request:
    return Request(
        operation=OPERATIONS["prices.list"],
        path="/",
        headers={},
        body=None,
        idempotency_key=None,
        deadline=deadline,
        retry=None,
    )


def starts(
    limits: Sequence[RateLimit],
    calls: int,
    respond: Callable[[int], Response] = lambda _: OK,
    slots: int = 1000,
) -> list[float]:
    """Return the start times of calls made at second 0; `respond` maps numbers to responses."""
    times: list[float] = []

    async def send(_: Request) -> Response:
        times.append(asyncio.get_running_loop().time())
        return respond(len(times))

    async def run() -> None:
        limiter = Limiter(limits, slots)
        await asyncio.gather(*(limiter(request(), send) for _ in range(calls)))

    run_timeless(run())
    return times


@pytest.mark.async_only("runs the limiter itself")
def test_one_limit() -> None:
    """A full burst starts at once, and the rest in even steps."""
    assert starts([RateLimit(4)], 8) == pytest.approx([0, 0, 0, 0, 0.25, 0.5, 0.75, 1.0])


@pytest.mark.async_only("runs the limiter itself")
def test_burst() -> None:
    """`burst` calls start at once; a rate below one a period still permits one."""
    assert starts([RateLimit(10, burst=1)], 4) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert starts([RateLimit(2, per=60, burst=3)], 5) == pytest.approx([0, 0, 0, 30, 60])
    assert starts([RateLimit(0.5)], 3) == pytest.approx([0, 2, 4])


@pytest.mark.async_only("runs the limiter itself")
def test_several_limits() -> None:
    """With several limits, each of them is kept."""
    assert starts([RateLimit(2, per=1), RateLimit(3, per=60)], 5) == pytest.approx(
        [0, 0, 0.5, 20, 40]
    )


@pytest.mark.async_only("runs the limiter itself")
@given(
    limits=st.lists(
        st.builds(
            RateLimit, st.integers(1, 20), st.floats(0.1, 60), st.none() | st.integers(1, 30)
        ),
        max_size=3,
    ),
    calls=st.integers(1, 40),
)
def test_limits_are_kept(limits: list[RateLimit], calls: int) -> None:
    """No interval has more calls than a limit allows: its burst, and one for each step."""
    times = starts(limits, calls)
    assert len(times) == calls
    for limit in limits:
        burst = limit.burst or max(1, int(limit.rate))
        for first, start in enumerate(times):
            for last in range(first + burst, len(times)):
                assert (
                    times[last] - start
                    >= (last - first + 1 - burst) * limit.per / limit.rate - 1e-6
                )


@pytest.mark.async_only("runs the limiter itself")
@pytest.mark.parametrize(("headers", "pause"), [({"Retry-After": "7"}, 7), ({}, 1)])
def test_pause(headers: dict[str, str], pause: float) -> None:
    """A 429 pauses all calls for `Retry-After`, or a second; then the limit is kept as before."""
    limited = Response(429, headers, b"")
    times = starts([RateLimit(1, burst=1)], 5, lambda number: limited if number == 2 else OK)
    assert times == pytest.approx([0, 1, 1 + pause, 2 + pause, 3 + pause])


@pytest.mark.async_only("runs the limiter itself")
def test_one_pause_for_several_429s() -> None:
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
        await limiter(request(), accept)
        return loop.time()

    assert run_timeless(run()) == pytest.approx(10.5)


@pytest.mark.async_only("fakes the clock of the loop")
async def test_pause_over_the_wire() -> None:
    """A 429 to one call delays other calls of the same client, and of its views."""
    limited = http_response(
        {"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "no"}}, 429, {"Retry-After": "3"}
    )
    async with (
        RawServer(limited, http_response(PRICES)) as server,
        client(server.url, retry=None) as pay,
    ):
        with skipping_clock() as clock:
            with pytest.raises(Exception, match="RATE_LIMIT_EXCEEDED"):
                await pay.prices.list()
            await pay.with_options(timeout=20).prices.list()
            await pay.prices.list()
    first, *others = clock.waits
    assert first == pytest.approx(3, abs=0.5)
    assert sum(others) <= 0.1  # the adaptive rate starts with ten a second
    assert len(server.requests) == 3


def after_a_429(
    calls: int, limits: Sequence[RateLimit] = (), slots: int = 1000, cancelled: Sequence[int] = ()
) -> list[tuple[int, float]]:
    """Return order and times of calls made in a pause of a second, some of them cancelled in it."""
    order: list[tuple[int, float]] = []

    async def run() -> None:
        limiter, loop = Limiter(limits, slots), asyncio.get_running_loop()

        async def refuse(_: Request) -> Response:
            return Response(429, {}, b"")

        async def call(number: int) -> None:
            async def send(_: Request) -> Response:
                order.append((number, loop.time()))
                return OK

            await limiter(request(), send)

        await limiter(request(), refuse)
        tasks = [asyncio.create_task(call(number)) for number in range(calls)]
        await asyncio.sleep(0.5)
        for number in cancelled:
            tasks[number].cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [number for number, error in enumerate(ended) if error] == list(cancelled)

    run_timeless(run())
    return order


@pytest.mark.async_only("runs the limiter itself")
@pytest.mark.parametrize("slots", [3, 1000])
def test_the_adaptive_rate_after_a_429(slots: int) -> None:
    """Calls start in order after the pause, and each success adds one to the rate per second."""
    order = after_a_429(5, slots=slots)
    assert [number for number, _ in order] == [0, 1, 2, 3, 4]
    steps = [0, 1 / 10, 1 / 11, 1 / 12, 1 / 13]
    assert [at for _, at in order] == pytest.approx(
        [1 + sum(steps[: number + 1]) for number in range(5)], abs=0.02
    )


@pytest.mark.async_only("runs the limiter itself")
def test_a_call_cancelled_in_the_queue_takes_no_turn() -> None:
    """The first call in the queue, or one in its middle, is cancelled: the others move up."""
    order = after_a_429(5, cancelled=[0, 2])
    assert [number for number, _ in order] == [1, 3, 4]
    assert order[-1][1] == pytest.approx(1.2, abs=0.02)


@pytest.mark.async_only("runs the limiter itself")
def test_late_timers_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy loop with late timers, the calls in the queue catch up, and the rate grows."""
    sleep = asyncio.sleep
    in_time = after_a_429(400)[-1][1]
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: sleep(seconds + 0.03))
    assert after_a_429(400)[-1][1] < in_time + 0.1


@pytest.mark.async_only("runs the limiter itself")
def test_the_adaptive_rate_keeps_the_limits() -> None:
    """A limit below the adaptive rate is kept also after a 429."""
    order = after_a_429(4, [RateLimit(2, burst=1)])
    assert [at for _, at in order] == pytest.approx([1.0, 1.5, 2.0, 2.5], abs=0.02)


@pytest.mark.async_only("runs the limiter itself")
def test_other_errors_cause_no_adaptive_rate() -> None:
    """Errors other than a 429 delay no call."""
    assert starts([], 50, lambda number: Response(503, {}, b"") if number % 2 else OK) == [0.0] * 50


@pytest.mark.async_only("runs the limiter itself")
def test_a_failed_response_does_not_raise_the_rate() -> None:
    """The rate stays the same in an outage: a 5xx proves nothing about it."""

    async def run(status: int) -> float:
        limiter, loop = Limiter([], 1000), asyncio.get_running_loop()
        respond = iter([429])

        async def send(_: Request) -> Response:
            return Response(next(respond, status), {}, b"")

        await asyncio.gather(limiter(request(), send))
        await asyncio.gather(*(limiter(request(), send) for _ in range(51)))
        return loop.time()

    assert run_timeless(run(503)) == pytest.approx(6, abs=0.1)
    assert run_timeless(run(200)) < 4


@pytest.mark.async_only("runs the limiter itself")
def test_a_deadline_within_the_pause() -> None:
    """A pause beyond a call's deadline refuses it at once, also with other calls in the queue."""

    async def run() -> None:
        limiter, loop = Limiter([], 1000), asyncio.get_running_loop()

        async def refuse(_: Request) -> Response:
            return Response(429, {"Retry-After": "10"}, b"")

        async def accept(_: Request) -> Response:
            return OK

        await limiter(request(), refuse)
        waiting = asyncio.create_task(limiter(request(), accept))
        await asyncio.sleep(1)
        with pytest.raises(RequestTimeoutError, match="which is in 9") as caught:
            await limiter(request(deadline=5), accept)
        assert (loop.time(), caught.value.sent) == (1, "no")
        await waiting
        assert loop.time() == pytest.approx(10)

    run_timeless(run())


@pytest.mark.async_only("waits for its deadline")
async def test_a_deadline_in_the_queue() -> None:
    """A call whose deadline passes in the queue ends then, and has sent nothing."""
    limited = http_response(
        {"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "no"}}, 429, {"Retry-After": "0"}
    )
    async with (
        RawServer(limited, http_response(PRICES)) as server,
        client(server.url, retry=None) as pay,
    ):
        with pytest.raises(Exception, match="RATE_LIMIT_EXCEEDED"):
            await pay.prices.list()
        hasty = pay.with_options(timeout=0.2)
        ended = await asyncio.gather(
            *(hasty.prices.list() for _ in range(50)), return_exceptions=True
        )
    errors = [error for error in ended if isinstance(error, RequestTimeoutError)]
    assert len(errors) > 30
    assert {error.sent for error in errors} <= {"no", "unknown"}
    assert len(server.requests) < 20


@pytest.mark.async_only("runs the limiter itself")
def test_turn_beyond_the_deadline() -> None:
    """A turn after the deadline is refused at once, unsent, and takes no turn from other calls."""

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


@pytest.mark.async_only("the caller's session belongs to this loop")
@pytest.mark.parametrize("slots", [1, 3])
async def test_bulkhead(slots: int) -> None:
    """The server gets at most `max_connections` requests at once, and gets all of them."""
    under_way: list[int] = [0]

    async def count(_: Recorded, writer: asyncio.StreamWriter) -> None:
        under_way.append(under_way[-1] + 1)
        for _turn in range(20):
            await asyncio.sleep(0)
        under_way.append(under_way[-1] - 1)
        writer.write(http_response(PRICES))

    # A session of the caller's own: the client's would keep the bound even without the bulkhead.
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    async with (
        RawServer(count) as server,
        session,
        client(server.url, max_connections=slots, session=session) as pay,
    ):
        await asyncio.gather(*(pay.prices.list() for _ in range(20)))
    assert max(under_way) == slots
    assert len(server.requests) == 20


@pytest.mark.async_only("fakes the clock of the loop")
async def test_limits_of_the_constructor() -> None:
    """Calls keep the limits of the constructor, one or several."""
    for limits in (RateLimit(2, per=1), [RateLimit(100), RateLimit(2, per=1)]):
        async with (
            RawServer(http_response(PRICES)) as server,
            client(server.url, rate_limit=limits) as pay,
        ):
            with skipping_clock() as clock:
                for _ in range(4):
                    await pay.prices.list()
        assert clock.waits == pytest.approx([0.5, 0.5], abs=0.2)


@pytest.mark.async_only("makes no client")
@pytest.mark.parametrize(
    "settings",
    [{"rate": 0}, {"rate": -1}, {"rate": 1, "per": 0}, {"rate": 1, "burst": 0}, {"rate": "1"}],
)
def test_an_impossible_limit(settings: dict[str, float]) -> None:
    """A limit that permits nothing, or that is no number, is refused."""
    with pytest.raises(ConfigurationError):
        RateLimit(**settings)  # type: ignore[arg-type]
