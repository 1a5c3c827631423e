"""Limits and retries that isolate operations: failures of one do not affect the others."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paychainhq import (
    RateLimit,
    RateLimitError,
    Request,
    RequestTimeoutError,
    Response,
    RetryPolicy,
    ServerError,
)
from paychainhq._core.credentials import Auth
from paychainhq._core.operation import Operation
from paychainhq.middleware.per_operation import PerOperation
from paychainhq.middleware.rate_limit import Limiter
from paychainhq.operations import OPERATIONS
from tests.support.client import INVOICE, PRICES, client, error_body, invoice
from tests.support.clocks import run_timeless, skipping_clock
from tests.support.raw_server import RawServer, Recorded, http_response

pytestmark = pytest.mark.usefixtures("face")
timeless = pytest.mark.async_only("runs the limiter itself")

OK = Response(200, {}, b"")
Send = Callable[[Request], Response]


def request(operation: str = "prices.list", deadline: float = 1e9) -> Request:
    return Request(
        operation=OPERATIONS[operation],
        path="/",
        headers={},
        body=None,
        idempotency_key=None,
        deadline=deadline,
        retry=None,
    )


def limited(retry_after: float | None = None) -> Response:
    return Response(429, {} if retry_after is None else {"Retry-After": str(retry_after)}, b"")


class Load:
    """Tasks that each send requests of an operation in sequence, in virtual time.

    Accepted requests are counted.
    """

    def __init__(
        self,
        limiter: Limiter,
        respond: Callable[[str, float], Response],
        latency: Callable[[], float] = lambda: 0.05,
    ) -> None:
        self.accepted: Counter[tuple[str, int]] = Counter()
        self.refused: Counter[tuple[str, int]] = Counter()
        self._limiter = limiter
        self._respond = respond
        self._latency = latency
        self._loop = asyncio.get_running_loop()

    async def run(self, operation: str, tasks: int, end: float) -> None:
        await asyncio.gather(*(self._work(operation, end) for _ in range(tasks)))

    async def _work(self, operation: str, end: float) -> None:
        while self._loop.time() < end:
            response = await self._limiter(request(operation), self._send)
            if response.status == 429:
                await asyncio.sleep(float(response.headers.get("Retry-After", 0.2)))

    async def _send(self, request: Request) -> Response:
        await asyncio.sleep(self._latency())
        now, name = self._loop.time(), request.operation.name
        response = self._respond(name, now)
        (self.refused if response.status == 429 else self.accepted)[name, int(now)] += 1
        return response

    def rate(self, operation: str, first: int, last: int) -> float:
        """Return the number of accepted requests a second."""
        return sum(self.accepted[operation, second] for second in range(first, last)) / (
            last - first
        )


def token_bucket(rate: float, burst: float) -> Callable[[float], bool]:
    tokens, filled = burst, 0.0

    def take(now: float) -> bool:
        nonlocal tokens, filled
        tokens, filled = min(burst, tokens + (now - filled) * rate), now
        if tokens < 1:
            return False
        tokens -= 1
        return True

    return take


LIMITS: dict[str, Callable[[], Callable[[float], bool]]] = {
    "all refused": lambda: lambda _: False,
    "ten a second": lambda: token_bucket(10, 10),
    "a fifth": lambda: token_bucket(40, 4),
}


@timeless
@pytest.mark.parametrize("retry_after", [None, 1, 3])
@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_a_limit_of_one_operation(
    limit: Callable[[], Callable[[float], bool]], retry_after: float | None
) -> None:
    """Another operation keeps its throughput, and the limited one recovers within ten seconds.

    The bulkhead has no more places than the other operation has tasks, so that a waiting call would
    take a place from it.
    """

    async def run() -> Load:
        take = limit()

        def respond(name: str, now: float) -> Response:
            return (
                limited(retry_after)
                if name == "prices.list" and 10 <= now < 70 and not take(now)
                else OK
            )

        load = Load(Limiter([], 20), respond)
        await asyncio.gather(load.run("prices.list", 10, 100), load.run("invoices.create", 10, 100))
        return load

    load = run_timeless(run())
    before = load.rate("invoices.create", 0, 10)
    assert before == pytest.approx(200, rel=0.05)
    assert load.rate("invoices.create", 10, 100) > 0.9 * before
    assert all(
        load.rate("invoices.create", second, second + 1) > 0.9 * before for second in range(100)
    )
    back = 80 + (0 if retry_after is None else retry_after - 1)  # requested waits are not counted
    assert load.rate("prices.list", int(back), 100) > 0.9 * load.rate("prices.list", 0, 10)
    # Probes during a pause are one a second, or one for each `Retry-After`.
    if limit is LIMITS["all refused"]:
        assert sum(load.refused.values()) < 10 + 60 / (retry_after or 1) * 1.2


@timeless
def test_waiting_for_a_limited_operation_takes_no_place_in_the_bulkhead() -> None:
    """A hundred calls that wait for one operation do not stop another."""

    async def run() -> None:
        limiter, loop = Limiter([], 3), asyncio.get_running_loop()

        async def refuse(_: Request) -> Response:
            return limited(30)

        async def accept(_: Request) -> Response:
            return OK

        await limiter(request(), refuse)
        waiting = [asyncio.create_task(limiter(request(), accept)) for _ in range(100)]
        await asyncio.sleep(1)
        for _ in range(100):
            await limiter(request("invoices.create"), accept)
        assert loop.time() == 1
        await asyncio.gather(*waiting)
        assert loop.time() > 30

    run_timeless(run())


@timeless
def test_a_limit_that_begins_while_calls_wait_for_a_place() -> None:
    """Calls in the bulkhead's queue give their place to other operations once theirs is limited."""

    async def run() -> list[tuple[str, float]]:
        limiter, loop = Limiter([], 1), asyncio.get_running_loop()
        sent: list[tuple[str, float]] = []

        async def send(request: Request) -> Response:
            sent.append((request.operation.name, loop.time()))
            await asyncio.sleep(0.1)
            return limited(5) if len(sent) == 1 else OK

        calls = ["prices.list"] * 3 + ["invoices.create"] * 2
        await asyncio.gather(*(limiter(request(name), send) for name in calls))
        return sent

    sent = run_timeless(run())
    assert [name for name, _ in sent] == [
        "prices.list",
        "invoices.create",
        "invoices.create",
        "prices.list",
        "prices.list",
    ]
    assert [at for _, at in sent] == pytest.approx([0, 0.1, 0.2, 5.1, 5.2])


@timeless
@pytest.mark.parametrize(("after", "pause"), [(86_400, 60), (3_600, 60), (61, 60), (59, 59)])
def test_a_long_pause_is_capped_and_ended_by_a_probe(after: float, pause: float) -> None:
    """One request is sent alone after at most a minute; once it is accepted, the others follow."""

    async def run() -> list[float]:
        limiter, loop = Limiter([], 100), asyncio.get_running_loop()
        sent: list[float] = []

        async def refuse(_: Request) -> Response:
            return limited(after)

        async def accept(_: Request) -> Response:
            sent.append(loop.time())
            await asyncio.sleep(0.5)
            return OK

        await limiter(request(), refuse)
        await asyncio.gather(*(limiter(request(), accept) for _ in range(3)))
        return sent

    assert run_timeless(run()) == pytest.approx([pause, pause + 0.5, pause + 0.6], abs=0.02)


@timeless
@pytest.mark.parametrize("end", ["cancelled", "failed", "silent"])
def test_a_probe_without_a_response_blocks_nobody(end: str) -> None:
    """The others go on when the probe is cancelled or fails, or after a second of silence."""

    async def run() -> float:
        limiter, loop = Limiter([], 100), asyncio.get_running_loop()

        async def refuse(_: Request) -> Response:
            return limited(2)

        async def probe(_: Request) -> Response:
            await asyncio.sleep(1e6 if end == "silent" else 0.5)
            raise ConnectionError

        async def accept(_: Request) -> Response:
            return OK

        await limiter(request(), refuse)
        first = asyncio.create_task(limiter(request(), probe))
        second = asyncio.create_task(limiter(request(), accept))
        if end == "cancelled":
            loop.call_at(2.5, first.cancel)
        await second
        now = loop.time()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        return now

    assert run_timeless(run()) == pytest.approx(3 if end == "silent" else 2.5)


@timeless
@pytest.mark.parametrize("retry_after", [None, 1, 4])
def test_a_stray_429_limits_nobody(retry_after: float | None) -> None:
    """One 429 in a thousand responses delays its own call only; the throughput stays."""

    async def run() -> Load:
        counted = 0

        def respond(name: str, now: float) -> Response:
            nonlocal counted
            counted += 1
            return limited(retry_after) if counted % 1000 == 500 else OK

        load = Load(Limiter([], 100), respond)
        await load.run("prices.list", 50, 30)
        return load

    load = run_timeless(run())
    assert sum(load.refused.values()) > 5
    assert load.rate("prices.list", 0, 30) > 0.7 * 1000  # the waiting calls are not made up for
    assert min(load.rate("prices.list", second, second + 1) for second in range(29)) > 0.7 * 1000


@timeless
def test_a_limit_after_thousands_of_successes_is_found() -> None:
    """A server that starts to refuse most requests soon gets no more than it accepts."""

    async def run() -> Load:
        take = token_bucket(100, 10)
        load = Load(Limiter([], 100), lambda _, now: OK if now < 20 or take(now) else limited())
        await load.run("prices.list", 50, 60)
        return load

    load = run_timeless(run())
    refused = sum(load.refused["prices.list", second] for second in range(30, 60))
    assert refused < 0.03 * 30 * load.rate("prices.list", 30, 60)
    assert load.rate("prices.list", 30, 60) > 70


@timeless
@pytest.mark.parametrize("retry_after", [None, 1])
def test_processes_that_share_a_limit_use_most_of_it(retry_after: float | None) -> None:
    """Four clients with a common limit get most of it, in fair shares, with few 429s."""
    chance, take = random.Random(7), token_bucket(400, 40)

    async def run() -> list[Load]:
        loads = [
            Load(
                Limiter([], 100),
                lambda _, now: OK if take(now) else limited(retry_after),
                lambda: chance.uniform(0.015, 0.045),
            )
            for _ in range(4)
        ]
        await asyncio.gather(*(load.run("invoices.create", 64, 120) for load in loads))
        return loads

    loads = run_timeless(run())
    rates = [load.rate("invoices.create", 20, 120) for load in loads]
    assert sum(rates) > 375
    refused = sum(
        load.refused["invoices.create", second] for load in loads for second in range(20, 120)
    )
    assert refused < 0.0045 * 100 * sum(rates)
    assert min(rates) > 0.6 * sum(rates) / 4


@timeless
def test_a_stray_429_pauses_nobody_while_there_is_a_rate() -> None:
    """One 429 among a hundred responses lowers the adaptive rate; no other call pauses."""

    async def run() -> Load:
        take = token_bucket(100, 10)
        at: float | None = None

        def answers(name: str, now: float) -> Response:
            nonlocal at
            if now < 40:
                return OK if take(now) else limited(1)
            if at is None:
                at = now
                return limited(30)
            return OK

        load = Load(Limiter([], 100), answers)
        await load.run("prices.list", 50, 48)
        return load

    load = run_timeless(run())
    assert min(load.rate("prices.list", second, second + 1) for second in range(40, 48)) > 70


@timeless
def test_an_outage_leaves_the_rate() -> None:
    """After an outage of half a minute, a limited operation goes on at its last rate."""

    async def run() -> Load:
        take, failed = token_bucket(100, 10), Response(503, {}, b"")

        def answers(name: str, now: float) -> Response:
            if 30 <= now < 60:
                return failed
            return OK if take(now) else limited(1)

        load = Load(Limiter([], 100), answers)
        await load.run("prices.list", 50, 70)
        return load

    load = run_timeless(run())
    assert load.refused["prices.list", 60] + load.refused["prices.list", 61] < 5
    assert load.rate("prices.list", 60, 70) > 75


# --- turns under the caller's own limits ---


@timeless
@pytest.mark.parametrize("way", ["cancelled", "deadline"])
def test_an_unused_turn_is_given_back(way: str) -> None:
    """Calls that end while they wait for their turn delay no other call."""

    async def run() -> float:
        limiter, loop = Limiter([RateLimit(2, burst=2)], 100), asyncio.get_running_loop()

        async def accept(_: Request) -> Response:
            return OK

        tasks = [asyncio.create_task(limiter(request(), accept)) for _ in range(60)]
        await asyncio.sleep(0.1)
        if way == "cancelled":
            for task in tasks:
                task.cancel()
        else:  # the transport cancels a call at its deadline
            for task in tasks:
                loop.call_at(0.2, task.cancel)
            await asyncio.sleep(0.2)
        await limiter(request(), accept)
        now = loop.time()
        await asyncio.gather(*tasks, return_exceptions=True)
        return now

    assert run_timeless(run()) == pytest.approx(0.5)


@timeless
@settings(max_examples=60, deadline=None)
@given(
    limits=st.lists(
        st.builds(RateLimit, st.integers(1, 10), st.floats(0.5, 20), st.integers(1, 5)),
        min_size=1,
        max_size=2,
    ),
    calls=st.lists(
        st.tuples(st.floats(0, 10), st.none() | st.floats(0, 30)), min_size=1, max_size=40
    ),
    slots=st.integers(1, 50),
)
def test_limits_are_kept_where_calls_are_cancelled(
    limits: list[RateLimit], calls: list[tuple[float, float | None]], slots: int
) -> None:
    """Any cancellations: limits are kept, turns are in the order of the calls, none is wasted."""
    sent: list[tuple[int, float]] = []
    begun = sorted(at for at, _ in calls)

    async def run() -> None:
        limiter, loop = Limiter(limits, slots), asyncio.get_running_loop()

        async def call(number: int) -> None:
            async def send(_: Request) -> Response:
                sent.append((number, loop.time()))
                return OK

            await limiter(request(), send)

        tasks = []
        for number, (at, (_, cancelled)) in enumerate(zip(begun, calls, strict=True)):
            await asyncio.sleep(at - loop.time())
            tasks.append(task := asyncio.create_task(call(number)))
            await asyncio.sleep(0)
            if cancelled is not None:
                loop.call_later(cancelled, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)

    run_timeless(run())
    assert [number for number, _ in sent] == sorted(number for number, _ in sent)
    assert {number for number, (_, cancelled) in enumerate(calls) if cancelled is None} <= {
        number for number, _ in sent
    }
    times = [at for _, at in sent]
    due = [0.0] * len(limits)
    for number, at in sent:
        # The earliest time that the limits allow, after the calls before it.
        opens = [
            due[n] - ((limit.burst or 1) - 1) * limit.per / limit.rate
            for n, limit in enumerate(limits)
        ]
        before = max([begun[number], *opens, *times[: times.index(at)][-1:]])
        assert at == pytest.approx(before, abs=1e-4)
        due = [max(at, due[n]) + limit.per / limit.rate for n, limit in enumerate(limits)]


@timeless
def test_a_turn_beyond_the_deadline_behind_others() -> None:
    """Waiting calls count: a call whose own turn is after its deadline is refused at once."""

    async def run() -> None:
        limiter, loop = Limiter([RateLimit(1)], 100), asyncio.get_running_loop()

        async def accept(_: Request) -> Response:
            return OK

        waiting = [asyncio.create_task(limiter(request(), accept)) for _ in range(10)]
        await asyncio.sleep(0.5)
        with pytest.raises(RequestTimeoutError, match="which is in 9"):
            await limiter(request(deadline=9), accept)
        assert loop.time() == 0.5
        await limiter(request(deadline=11), accept)
        assert loop.time() == pytest.approx(10)
        await asyncio.gather(*waiting)

    run_timeless(run())


# --- over the wire ---


def by_path(
    respond: dict[str, Sequence[bytes]],
) -> Callable[[Recorded, asyncio.StreamWriter], object]:
    """Return a behaviour with one script for each path, the last response of which repeats."""
    scripts = {path: list(script) for path, script in respond.items()}

    async def behave(recorded: Recorded, writer: asyncio.StreamWriter) -> None:
        script = next(script for path, script in scripts.items() if recorded.target.endswith(path))
        writer.write(script.pop(0) if len(script) > 1 else script[0])

    return behave


LONG = http_response(error_body("RATE_LIMIT_EXCEEDED"), 429, {"Retry-After": "86400"})


@pytest.mark.async_only("fakes the clock of the loop")
async def test_a_wait_of_a_day_over_the_wire() -> None:
    """The call ends at once; other operations go on; a request is sent again after a minute."""
    behave = by_path(
        {"/prices": [LONG, http_response(PRICES)], "/invoices": [http_response(INVOICE)]}
    )
    async with RawServer(behave) as server, client(server.url, timeout=100) as pay:  # type: ignore[arg-type]
        with skipping_clock() as clock:
            with pytest.raises(RateLimitError) as caught:
                await pay.prices.list()
            assert caught.value.retry_after == 86_400
            for _ in range(3):
                await invoice(pay)
            assert clock.waits == []
            await pay.prices.list()
            await pay.prices.list()
        assert clock.waits[0] == pytest.approx(60, abs=1)
        assert sum(clock.waits) < 62


async def test_a_broken_operation_spends_no_retries_of_another() -> None:
    """An operation that spends its retries leaves the retries of the others as they were."""
    busy = http_response(error_body("INTERNAL_ERROR"), 503)
    policy = RetryPolicy(60, first=0.000_001, cap=0.000_001)
    behave = by_path(
        {
            "/prices": [busy],
            "/customers": [busy],
            "/invoices": [busy] * 59 + [http_response(INVOICE)],
        }
    )
    async with RawServer(behave) as server, client(server.url, retry=policy) as pay:  # type: ignore[arg-type]
        for broken in (pay.prices.list, lambda: pay.customers.create("c-1")):
            for _ in range(3):
                with pytest.raises(ServerError):
                    await broken()
        assert len((await invoice(pay)).response.attempts) == 60
    counts = Counter(recorded.target.rpartition("/")[2] for recorded in server.requests)
    assert counts == {"prices": 103, "customers": 103, "invoices": 60}


# --- unit tests ---


def operation(path: str, method: str = "GET", auth: Auth | None = "api_key") -> Operation[object]:
    return Operation(
        name=f"{method} {path}", method=method, path=path, response=lambda: object, auth=auth
    )


@pytest.mark.async_only("makes no client")
def test_an_operation_is_its_method_credential_and_path() -> None:
    """Ids in the path do not count: a plain request shares the state of the modelled operation."""
    states = PerOperation(list[int])
    one = states.of(operation("/api/v1/payouts/po_1"))
    assert states.of(operation("/api/v1/payouts/po_2")) is one
    assert states.of(operation("/api/v1/payouts")) is not one
    assert states.of(operation("/api/v1/payouts/po_1", "POST")) is not one
    assert states.of(operation("/api/v1/payouts/po_1", auth="payout_key")) is not one
    assert states.of(operation("/api/v1/businesses/biz_123/invoices", "POST")) is states.of(
        OPERATIONS["invoices.create"]
    )
    assert states.of(operation("/api/v1/prices", auth=None)) is states.of(OPERATIONS["prices.list"])


@pytest.mark.async_only("makes no client")
def test_the_state_is_bounded() -> None:
    """Any number of paths is bounded in memory, and other credentials keep their own state."""
    states = PerOperation(list[int])
    letters = [
        f"/api/v1/{chr(97 + a)}{chr(97 + b)}{chr(97 + c)}"
        for a in range(26)
        for b in range(26)
        for c in range(5)
    ]
    seen = [states.of(operation(path)) for path in letters]
    assert 256 <= len({id(state) for state in seen}) <= 257
    assert len(states._by_name) <= 1024
    other = states.of(operation("/api/v1/x", auth="payout_key"))
    assert all(state is not other for state in seen)
    assert states.of(operation(letters[-1])) is seen[-1]
    assert states.of(operation(letters[-1], "POST")) is not seen[-1]
