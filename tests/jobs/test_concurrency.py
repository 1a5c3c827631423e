"""The concurrency of a job finds its own level, against simulated servers."""

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
    """What a simulated job came to."""

    levels: list[int]
    ends: list[float]

    def rate(self, first: int, last: int) -> float:
        return (last - first) / (self.ends[last - 1] - self.ends[first])


def run(
    level: AdaptiveConcurrency,
    requests: int = 4000,
    *,
    latency: float = 0.1,
    capacity: Callable[[float], float] = lambda _: 1e9,
    trouble: Callable[[float, int], bool] = lambda *_: False,
) -> Run:
    """Work through requests against a server that answers `capacity` of them a second, none faster
    than `latency`.
    """
    chance = random.Random(7)
    now, free, begun = 0.0, 0.0, 0
    under_way: list[tuple[float, float, bool]] = []
    result = Run([], [])
    while begun < requests or under_way:
        while len(under_way) < level.value and begun < requests:
            free = max(free, now) + 1 / capacity(now)
            bad = trouble(now, len(under_way) + 1)
            heapq.heappush(
                under_way, (max(free, now + latency * chance.uniform(0.8, 1.2)), now, bad)
            )
            begun += 1
        now, started, bad = heapq.heappop(under_way)
        level.note(now, now - started, trouble=bad)
        result.levels.append(level.value)
        result.ends.append(now)
    return result


def test_a_fixed_level_stays() -> None:
    """A number that the caller gave is neither raised nor lowered."""
    assert set(run(AdaptiveConcurrency(7, fixed=True), 500, trouble=lambda *_: True).levels) == {7}


def test_it_begins_low_and_never_passes_the_bound() -> None:
    """It begins at 8, or at the bound, and ends at most at the bound."""
    assert [AdaptiveConcurrency(most).value for most in (1, 5, 8, 100)] == [1, 5, 8, 8]
    assert max(run(AdaptiveConcurrency(5), 500).levels) == 5


def test_it_rises_while_that_brings_throughput() -> None:
    """A server that answers as much as it is asked is asked as much as the bound allows."""
    result = run(AdaptiveConcurrency(100))
    assert result.levels[-1] == 100
    assert result.rate(2000, 4000) > 0.9 * 100 / 0.1


@pytest.mark.parametrize(("latency", "capacity"), [(0.1, 200), (0.3, 50), (0.01, 2000)])
def test_it_stops_where_it_does_not_pay(latency: float, capacity: float) -> None:
    """A server with a bound on its throughput gets about what fills it, and not the whole crowd."""
    result = run(AdaptiveConcurrency(1000), latency=latency, capacity=lambda _: capacity)
    settled = result.levels[2000:]
    assert capacity * latency <= sum(settled) / len(settled) < 3 * capacity * latency
    assert result.rate(2000, 4000) > 0.9 * capacity


def test_it_falls_when_the_server_slows_down() -> None:
    """Where the same work takes much longer, fewer requests are under way than before."""
    result = run(
        AdaptiveConcurrency(500), latency=0.1, capacity=lambda now: 2000 if now < 2 else 100
    )
    before = max(result.levels)
    assert result.levels[-1] < before / 2
    assert result.rate(3500, 4000) > 90


def test_trouble_lets_it_fall_and_rest() -> None:
    """Requests beyond what the server takes meet trouble: it settles below, and the throughput near
    what is allowed.
    """
    result = run(AdaptiveConcurrency(200), 20_000, trouble=lambda _, under_way: under_way > 30)
    settled = result.levels[10_000:]
    assert 12 < sum(settled) / len(settled) <= 31
    assert max(settled) <= 45


def test_a_few_failures_are_no_trouble() -> None:
    """Single requests that fail, among many that do not, keep the level as it is without them."""
    chance = random.Random(3)
    few = run(AdaptiveConcurrency(100), trouble=lambda *_: chance.random() < 0.03)
    assert few.levels[-1] == 100


def test_trouble_of_old_requests_counts_once() -> None:
    """One bad moment costs one step down, however many requests were under way in it."""
    level = AdaptiveConcurrency(100)
    run(level, 3000)
    high = level.value
    now = 1000.0
    for _ in range(3 * high):  # all begun before anything was noticed
        level.note(now, now - 900.0, trouble=True)
        now += 0.01
    assert high * 0.5 <= level.value < high


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10), st.booleans()), max_size=400),
    st.integers(1, 50),
)
def test_it_is_always_between_one_and_the_bound(
    notes: list[tuple[float, float, bool]], most: int
) -> None:
    """Whatever it is told, also of times that make no sense."""
    level = AdaptiveConcurrency(most)
    now = 0.0
    for step, took, trouble in notes:
        now += step
        level.note(now, took, trouble=trouble)
        assert 1 <= level.value <= most
