"""Adaptive rate: the rate that a client derives from 429s, against simulated servers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paychainhq.middleware.adaptive_rate import AdaptiveRate

PAUSE = 1.0


@attrs.frozen
class Run:
    """The times of accepted requests for each process, and of the 429s of all."""

    taken: list[list[float]]
    limited: list[float]

    def counts(self, first: float, last: float) -> list[int]:
        return [sum(first <= at < last for at in times) for times in self.taken]

    def share(self, first: float, last: float) -> float:
        """Return the share of 429s among all requests."""
        limited = sum(first <= at < last for at in self.limited)
        return limited / (limited + sum(self.counts(first, last)))


def run(
    rate: Callable[[float], float],
    burst: float,
    seconds: float,
    begins: Sequence[float] = (0, 0, 0, 0),
) -> Run:
    """Simulate processes with unlimited requests that share one server's token bucket.

    Each process sees its own 429s only, and pauses after each.
    """
    chance = random.Random(7)
    rates, ready = [AdaptiveRate() for _ in begins], [begin + chance.random() for begin in begins]
    result = Run([[] for _ in begins], [])
    tokens, filled = burst, 0.0
    while (now := min(ready)) < seconds:
        process = ready.index(now)
        adaptive = rates[process]
        tokens, filled = min(burst, tokens + (now - filled) * rate(now)), now
        turn = adaptive.take(now, waited=True)
        ready[process] = max(now, adaptive.due) + chance.expovariate(1000)  # timers are always late
        if tokens >= 1:
            tokens -= 1
            result.taken[process].append(now)
            adaptive.rise(turn)
        else:
            result.limited.append(now)
            ready[process] = now + PAUSE
            adaptive.begin = now
            adaptive.fall(turn)
    return result


@pytest.mark.parametrize(("rate", "burst"), [(20, 20), (60, 6), (400, 40), (400, 400), (1500, 150)])
def test_processes_share_the_granted_rate(rate: float, burst: float) -> None:
    """Settled processes get few 429s, use most of the granted rate, and share it fairly."""
    result = run(lambda _: rate, burst, 120)
    counts = result.counts(60, 120)
    assert result.share(60, 120) < 0.05
    assert sum(counts) > 0.8 * rate * 60
    assert min(counts) > 0.4 * sum(counts) / 4


def test_a_late_process_gets_a_share() -> None:
    """A process that starts when the others use the whole rate gets its part."""
    counts = run(lambda _: 200, 20, 180, begins=(0, 0, 0, 60)).counts(120, 180)
    assert counts[3] > 0.5 * sum(counts) / 4


def test_a_changed_limit_is_found() -> None:
    """Four times the rate is used within a minute; after a return to the old one 429s stay rare."""
    result = run(lambda now: 100 if now < 60 else 400 if now < 150 else 100, 40, 240)
    assert sum(result.counts(120, 150)) > 0.75 * 400 * 30
    assert result.share(180, 240) < 0.05


def test_the_rate_of_a_single_client_swings_around_the_limit() -> None:
    """The rate stays between three quarters of the limit and slightly more than the limit."""
    result = run(lambda _: 100, 10, 300, begins=(0,))
    rates = [
        count for (count,) in (result.counts(second, second + 10) for second in range(60, 300, 10))
    ]
    assert min(rates) > 700
    assert max(rates) <= 1010


def settled(falls: int = 1) -> AdaptiveRate:
    """Return a rate after a success and that many falls."""
    adaptive = AdaptiveRate()
    for _ in range(falls):
        turn = adaptive.take(0, waited=True)
        adaptive.rise(turn)
        adaptive.fall(turn)
    return adaptive


def test_concurrent_429s_are_one_fall() -> None:
    """The 429s of concurrent requests have one cause, also if others of them are accepted."""
    adaptive = settled()
    turns = [adaptive.take(0, waited=True) for _ in range(10)]
    adaptive.rise(turns[0])
    before = adaptive.rate
    adaptive.fall(turns[1])
    assert adaptive.rate == pytest.approx(0.92 * before)
    for turn in turns[2:]:
        before = adaptive.rate
        adaptive.fall(turn)
        assert adaptive.rate == before
        adaptive.rise(turn)
    later = adaptive.take(1, waited=True)
    adaptive.fall(later)
    assert adaptive.rate == pytest.approx(0.92 * before)


def test_the_first_fall_halves_the_rate() -> None:
    """A rate that grew quickly is halved."""
    adaptive = AdaptiveRate()
    turn = adaptive.take(0, waited=True)
    for _ in range(90):
        adaptive.rise(turn)
    adaptive.fall(turn)
    assert adaptive.rate == pytest.approx(50)


def fallen_from(rate: float) -> AdaptiveRate:
    """Return a rate that grew to this value and then fell for the first time."""
    adaptive = AdaptiveRate()
    while adaptive.rate < rate:
        adaptive.rise(adaptive.take(0, waited=True))
    adaptive.fall(adaptive.take(0, waited=True))
    adaptive.begin = adaptive.due
    return adaptive


def send_until(adaptive: AdaptiveRate, end: float) -> None:
    """Accept every request that the rate permits before a time."""
    while adaptive.due < end:
        adaptive.rise(adaptive.take(adaptive.due, waited=True))


def test_the_rate_explores_after_a_fall() -> None:
    """The rate stays for seconds, then grows gently, and then quickly exceeds any limit."""
    adaptive = fallen_from(200)
    begin = adaptive.begin
    steps = [(0, 1, 1), (4, 1, 1.01), (7, 1.1, 1.2), (8.6, 2.5, 3), (12, 30, 35)]
    for seconds, least, most in steps:
        send_until(adaptive, begin + seconds)
        assert 100 * least - 1e-9 <= adaptive.rate <= 100 * most + 1e-9


def test_a_fall_takes_back_half_of_the_exploration() -> None:
    """A client that explores keeps little of the others' share, and settles in a few rounds."""
    adaptive = fallen_from(200)
    send_until(adaptive, adaptive.begin + 11)
    explored = adaptive.rate
    assert explored > 600
    adaptive.fall(adaptive.take(adaptive.due, waited=True))
    assert adaptive.rate == pytest.approx(0.92 * (100 * explored) ** 0.5)


def test_slow_responses_slow_the_growth() -> None:
    """The rate grows by the time of the requests with a response, not by that of the response."""
    adaptive = fallen_from(200)
    turn = adaptive.take(adaptive.due, waited=True)
    adaptive.take(adaptive.due + 11, waited=True)
    adaptive.rise(turn)
    assert adaptive.rate == pytest.approx(100)


def test_a_returning_limit_finds_the_last_rate() -> None:
    """The rate resumes from its last fall, without the growth by exploration since then."""
    adaptive = fallen_from(200)
    send_until(adaptive, adaptive.begin + 11)
    adaptive.resume()
    assert adaptive.rate == pytest.approx(100)
    untried = AdaptiveRate()
    send_until(untried, 3)
    untried.resume()
    assert untried.rate == 10


def test_the_rate_never_reaches_zero() -> None:
    """A server that refuses every second request still gets one every two seconds."""
    adaptive = settled()
    for second in range(100):
        adaptive.rise(adaptive.take(second, waited=True))
        adaptive.fall(adaptive.take(second, waited=True))
        adaptive.begin = second
    assert adaptive.rate == pytest.approx(0.5)


def test_429s_without_a_success_leave_the_rate() -> None:
    """429s with no success in between leave the rate as it is, whatever their number."""
    adaptive = settled()
    rate = adaptive.rate
    for second in range(100):
        adaptive.fall(adaptive.take(second, waited=True))
    assert adaptive.rate == rate


def test_unpaced_requests_prove_nothing() -> None:
    """A client that sends less than the rate allows does not raise it, before or after a fall."""
    for adaptive in (AdaptiveRate(), settled()):
        rate = adaptive.rate
        for second in range(100):
            adaptive.rise(adaptive.take(second, waited=False))
        assert adaptive.rate == rate


def test_the_rate_grows_quickly_until_its_first_fall() -> None:
    """The rate grows from ten a second to a thousand within five seconds."""
    adaptive, now = AdaptiveRate(), 0.0
    while adaptive.rate < 1000:
        adaptive.rise(adaptive.take(now, waited=True))
        now = adaptive.due
    assert now < 5


@given(
    st.lists(
        st.tuples(
            st.floats(0, 3), st.booleans(), st.sampled_from(["taken", "429", "failed", "later"])
        ),
        max_size=300,
    )
)
def test_any_sequence_of_responses(steps: list[tuple[float, bool, str]]) -> None:
    """No interval has more requests than its highest rate allows, and the rate stays above zero."""
    adaptive, now = AdaptiveRate(), 0.0
    open_turns, times, rates = [], [], []
    for late, waited, response in steps:
        now = max(now, adaptive.due) + late
        turn = adaptive.take(now, waited=waited)
        times.append(now)
        rates.append(adaptive.rate)
        open_turns.append(turn)
        before = adaptive.rate
        if response == "taken":
            adaptive.rise(turn)
            assert adaptive.rate >= before
        elif response == "429":
            adaptive.fall(open_turns.pop(0))
            assert 0.5 <= adaptive.rate <= before
    for first in range(0, len(times), 7):
        for last in range(first + 1, len(times), 5):
            # Late timers may be made up for by a twentieth of a second; the request at the start
            # counts.
            assert (
                last - first
                <= (times[last] - times[first] + 0.05) * max(rates[first : last + 1]) + 1
            )
