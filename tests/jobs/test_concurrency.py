"""Adaptive concurrency of a job, against simulated servers."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paychainhq._jobs.concurrency import AdaptiveConcurrency


@attrs.define
class Run:
    """The result of a simulated job."""

    values: list[int]
    ends: list[float]

    def rate(self, first: int, last: int) -> float:
        return (last - first) / (self.ends[last - 1] - self.ends[first])


def run(
    concurrency: AdaptiveConcurrency,
    requests: int = 4000,
    *,
    latency: float = 0.1,
    capacity: Callable[[float], float] = lambda _: 1e9,
    trouble: Callable[[float, int], bool] = lambda *_: False,
) -> Run:
    """Process requests on a simulated server with a bounded rate and a minimum latency.

    `capacity` maps a time to responses per second; `latency` is in seconds.
    """
    chance = random.Random(7)
    now, free, begun = 0.0, 0.0, 0
    under_way: list[tuple[float, float, bool]] = []
    result = Run([], [])
    while begun < requests or under_way:
        while len(under_way) < concurrency.value and begun < requests:
            free = max(free, now) + 1 / capacity(now)
            bad = trouble(now, len(under_way) + 1)
            heapq.heappush(
                under_way, (max(free, now + latency * chance.uniform(0.8, 1.2)), now, bad)
            )
            begun += 1
        now, started, bad = heapq.heappop(under_way)
        concurrency.note(now, now - started, trouble=bad)
        result.values.append(concurrency.value)
        result.ends.append(now)
    return result


def test_a_fixed_concurrency_stays() -> None:
    """A concurrency given by the caller is neither raised nor lowered."""
    assert set(run(AdaptiveConcurrency(7, fixed=True), 500, trouble=lambda *_: True).values) == {7}


def test_the_concurrency_begins_low_and_stays_within_the_bound() -> None:
    """The initial value is 8, or the bound where that is lower."""
    assert [AdaptiveConcurrency(most).value for most in (1, 5, 8, 100)] == [1, 5, 8, 8]
    assert max(run(AdaptiveConcurrency(5), 500).values) == 5


def test_the_concurrency_rises_while_throughput_grows() -> None:
    """A server without a limit of its own is used up to the bound."""
    result = run(AdaptiveConcurrency(100))
    assert result.values[-1] == 100
    assert result.rate(2000, 4000) > 0.9 * 100 / 0.1


@pytest.mark.parametrize(("latency", "capacity"), [(0.1, 200), (0.3, 50), (0.01, 2000)])
def test_the_concurrency_stops_where_throughput_stops_growing(
    latency: float, capacity: float
) -> None:
    """A server of limited throughput gets about as many requests as fill it, not all."""
    result = run(AdaptiveConcurrency(1000), latency=latency, capacity=lambda _: capacity)
    settled = result.values[2000:]
    assert capacity * latency <= sum(settled) / len(settled) < 3 * capacity * latency
    assert result.rate(2000, 4000) > 0.9 * capacity


def test_the_concurrency_falls_with_a_slower_server() -> None:
    """Fewer requests are in progress once the same work takes much longer."""
    result = run(
        AdaptiveConcurrency(500), latency=0.1, capacity=lambda now: 2000 if now < 2 else 100
    )
    before = max(result.values)
    assert result.values[-1] < before / 2
    assert result.rate(3500, 4000) > 90


def test_overload_lowers_the_concurrency() -> None:
    """The concurrency settles below the point of failure, with throughput near the maximum."""
    result = run(AdaptiveConcurrency(200), 20_000, trouble=lambda _, under_way: under_way > 30)
    settled = result.values[10_000:]
    assert 12 < sum(settled) / len(settled) <= 31
    assert max(settled) <= 45


def test_a_few_failures_are_no_overload() -> None:
    """Single failures among many successes leave the concurrency as it is without them."""
    chance = random.Random(3)
    few = run(AdaptiveConcurrency(100), trouble=lambda *_: chance.random() < 0.03)
    assert few.values[-1] == 100


def test_failures_of_old_requests_count_once() -> None:
    """One bad moment is one step down, however many requests were in progress."""
    concurrency = AdaptiveConcurrency(100)
    run(concurrency, 3000)
    high = concurrency.value
    now = 1000.0
    for _ in range(3 * high):  # all started before the first failure was noted
        concurrency.note(now, now - 900.0, trouble=True)
        now += 0.01
    assert high * 0.5 <= concurrency.value < high


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10), st.booleans()), max_size=400),
    st.integers(1, 50),
)
def test_the_concurrency_is_always_between_one_and_the_bound(
    notes: list[tuple[float, float, bool]], most: int
) -> None:
    """Any sequence of reports, also with impossible times, keeps the value within its range."""
    concurrency = AdaptiveConcurrency(most)
    now = 0.0
    for step, took, trouble in notes:
        now += step
        concurrency.note(now, took, trouble=trouble)
        assert 1 <= concurrency.value <= most
