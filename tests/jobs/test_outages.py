"""Jobs against a simulated server and clock: failing requests, outages and cancellations."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paychainhq import DecodeError, InvoiceRequest, Outcome, Request, Response
from paychainhq._jobs.bulk import create_many
from paychainhq._jobs.streams import Stream
from paychainhq.codec import parse
from paychainhq.ledger import MemoryLedger
from paychainhq.models import Invoice
from paychainhq.operations import INVOICES_CREATE
from tests.support.clocks import run_timeless
from tests.support.often import often
from tests.support.simulated import KINDS, Kind, Outage, Server

TRANSIENT: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "undecodable")
GIVE_UP_AFTER = 600.0

InvoiceOutcome = Outcome[InvoiceRequest, Invoice]


def orders(count: int) -> Iterator[InvoiceRequest]:
    return (
        InvoiceRequest(amount="1", token="USDC", chain="eth", description=str(n), reference=str(n))
        for n in range(count)
    )


def job(
    server: Server, count: int, concurrency: Any = 4, *, with_ledger: bool = False, **options: Any
) -> Stream[InvoiceOutcome]:
    caller = server.caller(MemoryLedger() if with_ledger else None, **options)
    return create_many(
        caller,
        INVOICES_CREATE,
        InvoiceRequest,
        orders(count),
        ledger=None,
        concurrency=concurrency,
        give_up_after=GIVE_UP_AFTER,
        progress=None,
        business_id=None,
    )


class Run:
    """The result of a job: its outcomes by reference, and the times of last invoice and end."""

    def __init__(self, server: Server, count: int, concurrency: Any = 4, **options: Any) -> None:
        self.outcomes: dict[str | None, InvoiceOutcome] = {}
        self.last_invoice = self.end = 0.0
        run_timeless(self._run(server, count, concurrency, options))

    async def _run(
        self, server: Server, count: int, concurrency: Any, options: dict[str, Any]
    ) -> None:
        loop = asyncio.get_running_loop()
        async for outcome in job(server, count, concurrency, **options):
            assert outcome.reference not in self.outcomes
            self.outcomes[outcome.reference] = outcome
            if outcome.ok:
                self.last_invoice = loop.time()
        self.end = loop.time()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert set(self.outcomes) == {str(n) for n in range(count)}
        assert {reference for reference, outcome in self.outcomes.items() if outcome.ok} == set(
            server.made
        )

    @property
    def failed(self) -> set[str | None]:
        return {reference for reference, outcome in self.outcomes.items() if not outcome.ok}


CASES: list[tuple[Any, int, bool]] = [
    (1, 1, False),
    (1, 6, True),
    (16, 1, True),
    (16, 6, False),
    ("auto", 1, False),
]


@cache
def end_of_healthy(concurrency: Any, attempts: int, *, with_ledger: bool) -> float:
    """Return the end of a job of 495 orders none of which fails: the same for each kind."""
    return Run(Server(), 495, concurrency, attempts=attempts, with_ledger=with_ledger).end


@pytest.mark.parametrize(("concurrency", "attempts", "with_ledger"), CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_healthy_requests_do_not_wait_for_failing_ones(
    kind: Kind, concurrency: Any, attempts: int, with_ledger: bool
) -> None:
    """495 of 500 orders take about as long as if 5 did not always fail; the job ends soon after."""
    options: dict[str, Any] = {"attempts": attempts, "with_ledger": with_ledger}
    without_poison = end_of_healthy(concurrency, attempts, with_ledger=with_ledger)
    poison = {str(n): kind for n in (3, 120, 121, 300, 480)}
    run = Run(server := Server(poison), 500, concurrency, **options)
    assert run.failed == set(poison)
    assert all(
        isinstance(run.outcomes[name].error, DecodeError) == (kind == "undecodable")
        for name in poison
    )
    held = (
        2 * 5 * 2.0 / (8 if concurrency == "auto" else concurrency) if kind == "silence" else 0.0
    )  # the cost of silence: its attempts
    assert run.last_invoice <= 1.5 * without_poison + held
    assert run.end <= 1.5 * without_poison + held + 15.0
    assert server.sent <= 500 + 5 * 10


@attrs.define
class SlowServer(Server):
    """Server that takes a second and a half for some references."""

    slow: frozenset[str] = frozenset()

    async def _respond(self, request: Request) -> Response:
        if parse(request.body or b"")["description"] in self.slow:
            await asyncio.sleep(1.5)
        return await super()._respond(request)


@pytest.mark.parametrize("with_ledger", [False, True])
@pytest.mark.parametrize("concurrency", [16, "auto"])
def test_silence_to_some_requests_does_not_hold_the_workers(
    concurrency: Any, with_ledger: bool
) -> None:
    """Healthy orders do not wait for the attempt timeouts of 50 silent ones among 5,000."""
    healthy = Run(Server(latency=0.005), 4950, concurrency, with_ledger=with_ledger)
    silent: dict[str, Kind] = {str(n): "silence" for n in range(0, 5000, 100)}
    run = Run(Server(silent, latency=0.005), 5000, concurrency, with_ledger=with_ledger)
    assert run.failed == set(silent)
    assert run.last_invoice <= 1.5 * healthy.end


def test_a_slow_request_that_was_overtaken_has_its_invoice() -> None:
    """A request that was cancelled for its slowness gets a whole attempt at the end."""
    slow = frozenset({"5", "700"})
    run = Run(server := SlowServer(slow=slow, latency=0.005), 2000, 8)
    assert run.failed == set()
    assert server.sent == 2000 + len(slow)


@pytest.mark.parametrize("with_ledger", [False, True])
def test_an_undecodable_response_does_not_prove_that_the_server_works(with_ledger: bool) -> None:
    """In an outage, undecodable responses do not turn the failures of others into outcomes."""
    undecodable: dict[str, Kind] = dict.fromkeys(("2", "5", "6"), "undecodable")
    server = Server(undecodable, outages=[Outage(0.0, 1.0, "500")], latency=0.001)
    assert Run(server, 7, 1, attempts=1, with_ledger=with_ledger).failed == set(undecodable)


def test_a_stall_of_the_server_overtakes_no_request() -> None:
    """A second without any response, in the middle of the job, costs no attempt."""
    run = Run(server := SlowServer(slow=frozenset(map(str, range(400, 408)))), 800, 8)
    assert run.failed == set()
    assert server.sent == 800


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("first", [0, 30, 90])
@pytest.mark.parametrize("kind", TRANSIENT)
def test_requests_that_fail_in_a_row_are_no_outage(
    kind: Kind, first: int, concurrency: int
) -> None:
    """Ten failures in a row, more than there are workers: at the beginning, middle, and end."""
    poison = {str(n): kind for n in range(first, first + 10)}
    run = Run(Server(poison), 100, concurrency)
    assert run.failed == set(poison)
    assert run.last_invoice < 65
    assert run.end < 150


def test_a_job_in_which_nothing_succeeds_waits_until_it_is_given_up() -> None:
    """A single order that fails cannot be told from an outage."""
    run = Run(Server({"0": "500"}), 1)
    assert run.failed == {"0"}
    assert GIVE_UP_AFTER <= run.end < GIVE_UP_AFTER + 10


@pytest.mark.parametrize("kind", TRANSIENT)
def test_an_outage_of_minutes_costs_no_request_an_error(kind: Kind) -> None:
    """All orders are invoiced soon after the server comes back, and few are sent meanwhile."""
    server = Server(outages=[Outage(0.6, 300.0, kind)])
    run = Run(server, 200)
    assert run.failed == set()
    assert run.end < 320
    assert server.sent < 200 + 200


@settings(max_examples=often(60), deadline=None)
@given(
    count=st.integers(1, 60),
    poison=st.dictionaries(st.integers(0, 59), st.sampled_from(KINDS), max_size=12),
    outages=st.lists(
        st.tuples(st.floats(0, 5), st.floats(0, 8), st.sampled_from(TRANSIENT)), max_size=2
    ),
    latency=st.sampled_from([0.001, 0.05, 1.0]),
    concurrency=st.sampled_from([1, 2, 5, 16, "auto"]),
    attempts=st.sampled_from([1, 6]),
    with_ledger=st.booleans(),
)
def test_each_request_has_its_own_outcome(
    count: int,
    poison: dict[int, Kind],
    outages: list[tuple[float, float, Kind]],
    latency: float,
    concurrency: Any,
    attempts: int,
    with_ledger: bool,
) -> None:
    """Any failures at any time: healthy orders are invoiced, others have their errors, in time."""
    server = Server(
        {str(n): kind for n, kind in poison.items() if n < count},
        [Outage(begin, begin + lasts, kind) for begin, lasts, kind in outages],
        latency,
    )
    run = Run(server, count, concurrency, attempts=attempts, with_ledger=with_ledger)
    assert run.failed == set(server.poison)
    alone = len(server.poison) == count and not all(
        kind == "undecodable" for kind in server.poison.values()
    )
    assert run.end <= (
        GIVE_UP_AFTER + 60 if alone else 20 + 20 * len(server.poison) + 10 * latency * count
    )


@settings(max_examples=often(60), deadline=None)
@given(
    turns=st.integers(0, 400),
    poison=st.dictionaries(st.integers(0, 29), st.sampled_from(KINDS), max_size=6),
    outage=st.tuples(st.floats(0, 2), st.floats(0, 50), st.sampled_from(TRANSIENT)),
    concurrency=st.sampled_from([1, 4, "auto"]),
    with_ledger=st.booleans(),
)
def test_a_job_that_is_left_at_any_time_leaves_nothing(
    turns: int,
    poison: dict[int, Kind],
    outage: tuple[float, float, Kind],
    concurrency: Any,
    with_ledger: bool,
) -> None:
    """A consumer that is cancelled or raises in its block ends the workers at once."""
    server = Server(
        {str(n): kind for n, kind in poison.items()},
        [Outage(outage[0], outage[0] + outage[1], outage[2])],
    )
    seen: Counter[str | None] = Counter()

    async def consume() -> None:
        async with job(server, 30, concurrency, with_ledger=with_ledger) as outcomes:
            async for outcome in outcomes:
                seen[outcome.reference] += 1

    async def run() -> None:
        task = asyncio.create_task(consume())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert server.under_way == 0

    run_timeless(run())
    assert max(seen.values(), default=1) == 1
