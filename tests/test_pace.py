"""The pace that is learned from 429s, against simulated servers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paychainhq.middleware.pace import Pace

PAUSE = 1.0


@attrs.frozen
class Run:
    """When each process had a request taken, and when any met a 429."""

    taken: list[list[float]]
    limited: list[float]

    def counts(self, first: float, last: float) -> list[int]:
        return [sum(first <= at < last for at in times) for times in self.taken]

    def share(self, first: float, last: float) -> float:
        """The share of 429s."""
        limited = sum(first <= at < last for at in self.limited)
        return limited / (limited + sum(self.counts(first, last)))


def run(
    rate: Callable[[float], float],
    burst: float,
    seconds: float,
    begins: Sequence[float] = (0, 0, 0, 0),
) -> Run:
    """Let processes that always have something to ask share a token bucket; each knows of its own
    429s only, and pauses.
    """
    chance = random.Random(7)
    paces, ready = [Pace() for _ in begins], [begin + chance.random() for begin in begins]
    result = Run([[] for _ in begins], [])
    tokens, filled = burst, 0.0
    while (now := min(ready)) < seconds:
        process = ready.index(now)
        pace = paces[process]
        tokens, filled = min(burst, tokens + (now - filled) * rate(now)), now
        turn = pace.take(now, waited=True)
        ready[process] = max(now, pace.due) + chance.expovariate(1000)  # a timer is never in time
        if tokens >= 1:
            tokens -= 1
            result.taken[process].append(now)
            pace.rise(turn)
        else:
            result.limited.append(now)
            ready[process] = now + PAUSE
            pace.fall(turn)
    return result


@pytest.mark.parametrize(("rate", "burst"), [(20, 20), (60, 6), (400, 40), (400, 400), (1500, 150)])
def test_processes_share_what_is_granted(rate: float, burst: float) -> None:
    """Once settled, few requests meet a 429, most of what the server takes is asked of it, and
    nobody starves.
    """
    result = run(lambda _: rate, burst, 120)
    counts = result.counts(60, 120)
    assert result.share(60, 120) < 0.05
    assert sum(counts) > 0.8 * rate * 60
    assert min(counts) > 0.4 * sum(counts) / 4


def test_who_comes_later_gets_a_share() -> None:
    """A process that begins when the others have shared all among them comes to its part."""
    counts = run(lambda _: 200, 20, 180, begins=(0, 0, 0, 60)).counts(120, 180)
    assert counts[3] > 0.5 * sum(counts) / 4


def test_it_finds_out_that_more_is_granted() -> None:
    """A server that grants four times as much is asked for it within a minute; one that grants a
    quarter is asked for less.
    """
    result = run(lambda now: 100 if now < 60 else 400 if now < 150 else 100, 40, 240)
    assert sum(result.counts(120, 150)) > 0.75 * 400 * 30
    assert result.share(180, 240) < 0.05


def test_the_rate_of_one_client_swings_around_what_is_granted() -> None:
    """A client that is alone stays between three quarters of the rate and a little more than all of
    it.
    """
    result = run(lambda _: 100, 10, 300, begins=(0,))
    rates = [
        count for (count,) in (result.counts(second, second + 10) for second in range(60, 300, 10))
    ]
    assert min(rates) > 700
    assert max(rates) <= 1010


def settled(falls: int = 1) -> Pace:
    """A pace that has had something taken, and has fallen that often."""
    pace = Pace()
    for _ in range(falls):
        turn = pace.take(0, waited=True)
        pace.rise(turn)
        pace.fall(turn)
    return pace


def test_one_fall_for_all_that_went_before_it() -> None:
    """The 429s to requests that were under way together speak of the same thing, also if others of
    them are taken in between.
    """
    pace = settled()
    turns = [pace.take(0, waited=True) for _ in range(10)]
    pace.rise(turns[0])
    before = pace.rate
    pace.fall(turns[1])
    assert pace.rate == pytest.approx(0.9 * before)
    for turn in turns[2:]:
        before = pace.rate
        pace.fall(turn)
        assert pace.rate == before
        pace.rise(turn)
    later = pace.take(1, waited=True)
    pace.fall(later)
    assert pace.rate == pytest.approx(0.9 * before)


def test_the_first_fall_is_a_deep_one() -> None:
    """A rate that grew quickly is halved."""
    pace = Pace()
    turn = pace.take(0, waited=True)
    for _ in range(90):
        pace.rise(turn)
    pace.fall(turn)
    assert pace.rate == pytest.approx(50)


def fallen_from(rate: float) -> Pace:
    """A pace that grew without a fall until it met its first one at this rate."""
    pace = Pace()
    while pace.rate < rate:
        pace.rise(pace.take(0, waited=True))
    pace.fall(pace.take(0, waited=True))
    return pace


def send_until(pace: Pace, end: float) -> None:
    """Have every request accepted that the pace lets go before a time."""
    while pace.due < end:
        pace.rise(pace.take(pace.due, waited=True))


def test_the_way_back() -> None:
    """It is soon near the rate where it fell, stays there for some seconds, and has then left it
    far behind within one more.
    """
    pace = fallen_from(200)
    begin, summit = pace.due, pace.rate * 0.96 / 0.9
    for seconds, least, most in (
        (0, 0.93, 0.94),
        (3, 0.98, 0.99),
        (6, 0.99, 1.01),
        (7.5, 1.0, 1.02),
        (8.5, 6, 8),
    ):
        send_until(pace, begin + seconds)
        assert least * summit <= pace.rate <= most * summit


def test_a_fall_takes_back_most_of_what_exploring_added() -> None:
    """A client that explores keeps little of what the others had, and comes to what is granted in a
    few rounds.
    """
    pace = fallen_from(200)
    summit = pace.rate * 0.96 / 0.9
    send_until(pace, pace.due + 8.5)
    explored = pace.rate
    assert explored > 6 * summit
    pace.fall(pace.take(pace.due, waited=True))
    assert pace.rate == pytest.approx(0.9 * summit**0.8 * explored**0.2, rel=0.05)


def test_slow_answers_slow_the_growth() -> None:
    """The rate grows no further than answered requests have shown: the time of the request counts,
    and not that of the answer.
    """
    pace = fallen_from(200)
    turn = pace.take(pace.due, waited=True)
    pace.take(pace.due + 8.5, waited=True)
    pace.rise(turn)
    assert pace.rate == pytest.approx(100)


def test_a_limit_that_comes_again_finds_the_last_rate() -> None:
    """The rate goes on from where it fell last, without what exploring has added since."""
    pace = fallen_from(200)
    send_until(pace, pace.due + 8.5)
    pace.resume()
    assert pace.rate == pytest.approx(100 * 0.96 / 0.9)
    untried = Pace()
    send_until(untried, 3)
    untried.resume()
    assert untried.rate == 10


def test_it_never_comes_to_a_stop() -> None:
    """A server that refuses every second request, whatever the rate, is still asked every two
    seconds.
    """
    pace = settled()
    for second in range(100):
        pace.rise(pace.take(second, waited=True))
        pace.fall(pace.take(second, waited=True))
    assert pace.rate == pytest.approx(0.5)


def test_a_closed_door_is_no_rate() -> None:
    """429s with nothing taken in between leave the rate as it is, however many they are."""
    pace = settled()
    rate = pace.rate
    for second in range(100):
        pace.fall(pace.take(second, waited=True))
    assert pace.rate == rate


def test_answers_to_who_did_not_wait_prove_nothing() -> None:
    """A client that asks for less than the pace allows does not raise it, before the first fall or
    after it.
    """
    for pace in (Pace(), settled()):
        rate = pace.rate
        for second in range(100):
            pace.rise(pace.take(second, waited=False))
        assert pace.rate == rate


def test_it_grows_quickly_until_its_first_fall() -> None:
    """From ten a second it comes to a thousand within five seconds."""
    pace, now = Pace(), 0.0
    while pace.rate < 1000:
        pace.rise(pace.take(now, waited=True))
        now = pace.due
    assert now < 5


@given(
    st.lists(
        st.tuples(
            st.floats(0, 3), st.booleans(), st.sampled_from(["taken", "429", "failed", "later"])
        ),
        max_size=300,
    )
)
def test_whatever_comes(steps: list[tuple[float, bool, str]]) -> None:
    """No stretch of time holds more than the highest rate in it allows, and the rate stays one that
    comes back.
    """
    pace, now = Pace(), 0.0
    open_turns, times, rates = [], [], []
    for late, waited, answer in steps:
        now = max(now, pace.due) + late
        turn = pace.take(now, waited=waited)
        times.append(now)
        rates.append(pace.rate)
        open_turns.append(turn)
        before = pace.rate
        if answer == "taken":
            pace.rise(turn)
            assert pace.rate >= before
        elif answer == "429":
            pace.fall(open_turns.pop(0))
            assert 0.5 <= pace.rate <= before
    for first in range(0, len(times), 7):
        for last in range(first + 1, len(times), 5):
            # A twentieth of a second may be made up for, and the one at the beginning counts.
            assert (
                last - first
                <= (times[last] - times[first] + 0.05) * max(rates[first : last + 1]) + 1
            )
