"""Retry queue of a job: its rules, one at a time."""

from __future__ import annotations

from typing import Any

import pytest

from paychainhq import (
    ConnectionFailedError,
    IdempotencyInProgressError,
    RequestTimeoutError,
    ServerError,
)
from paychainhq._jobs.retry_queue import Repeat, RetryQueue, Step
from paychainhq.errors import PayChainError


class Bench:
    """A queue with a clock."""

    def __init__(self, give_up_after: float = 600.0) -> None:
        self.queue: RetryQueue[str] = RetryQueue(give_up_after)
        self.now = 0.0

    def is_down(self) -> bool:
        return self.queue.down_since is not None

    def send(self) -> int:
        self.queue.sent += 1
        return self.queue.sent

    def succeed(self, times: int = 1) -> None:
        for _ in range(times):
            self.queue.succeeded(self.send())

    def fail(
        self, name: str, error: PayChainError | None = None, took: float = 0.01, **options: Any
    ) -> Repeat[str] | None:
        """Send a new request, which fails; return it if it is held."""
        number = self.send()
        repeat = Repeat(name, {}, name, number, error or ServerError("no"))
        return repeat if self.queue.failed(repeat, number, self.now, took, **options) else None

    def again(self, repeat: Repeat[str], **options: Any) -> bool:
        return self.queue.failed(repeat, self.send(), self.now, 0.01, **options)

    def step(self) -> Step[str] | None:
        return self.queue.step(self.now)


def test_a_failure_while_nothing_succeeds_is_an_outage() -> None:
    """The server is down until something succeeds; then the request is due at once."""
    bench = Bench()
    bench.succeed()
    repeat = bench.fail("a")
    assert repeat is not None
    assert bench.is_down()
    assert repeat.rounds == 0
    bench.succeed()
    assert not bench.is_down()
    bench.now = 1.0
    assert bench.step() == Step(repeat=repeat)


def test_a_failure_is_the_requests_own_if_a_later_request_succeeds() -> None:
    """A response to a request that was sent earlier proves nothing about the time since."""
    bench = Bench()
    early, number, late = bench.send(), bench.send(), bench.send()
    repeat = Repeat("a", {}, "a", number, ServerError("no"))
    bench.queue.succeeded(early)
    assert bench.queue.failed(repeat, number, 0.0, 0.01)
    assert (repeat.rounds, bench.queue.down_since) == (0, 0.0)
    bench.queue.succeeded(late)
    assert bench.queue.down_since is None
    assert bench.again(repeat)
    assert (repeat.rounds, bench.queue.down_since) == (1, None)


def test_three_failures_set_a_request_aside_until_the_intake_has_ended() -> None:
    """The request is held while others are read; three more failures are its outcome."""
    bench = Bench()
    repeat = bench.fail("a")
    assert repeat is not None
    for _ in range(3):
        bench.succeed()
        bench.now += 10
        assert bench.step() == Step(repeat=repeat)
        assert bench.again(repeat)
    bench.succeed()
    bench.now += 100
    assert bench.step() == Step(reads=True)
    bench.queue.end_intake(bench.now)
    for held in (True, True, False):
        bench.now += 5
        assert bench.step() == Step(repeat=repeat)
        assert bench.again(repeat) is held
    assert bench.step() is None
    assert bench.queue.is_calm
    assert bench.queue.given_up is None


def test_one_timeout_sets_a_request_aside() -> None:
    """The request is sent again at the end, and another timeout then is its outcome."""
    bench = Bench()
    number = bench.send()
    bench.succeed()
    repeat = Repeat("a", {}, "a", number, RequestTimeoutError("no"))
    assert bench.queue.failed(repeat, number, 20.0, 20.0)
    assert bench.queue.step(100.0) == Step(reads=True)
    bench.queue.end_intake(100.0)
    assert bench.queue.step(100.0) == Step(repeat=repeat)
    assert not bench.again(repeat)


@pytest.mark.parametrize(
    "error", [ServerError("no", status=500), IdempotencyInProgressError("wait", status=409)]
)
def test_a_failure_of_the_last_request_is_its_own_if_it_describes_that_request(
    error: PayChainError,
) -> None:
    """No success can follow the last request; its outage ends long before the job gives up."""
    bench = Bench()
    bench.succeed(20)
    bench.queue.end_intake(0.0)
    number = bench.send()
    repeat = Repeat("a", {}, "a", number, error)
    failures = 0
    while bench.queue.failed(repeat, number, bench.now, 0.01):
        failures += 1
        assert bench.queue.down_since is None
        while (step := bench.queue.step(bench.now)) == Step(wait=step.wait if step else None):
            assert step is not None
            assert step.wait is not None
            bench.now += step.wait
        assert step == Step(repeat=repeat)
        number = bench.send()
    assert failures == 5
    assert bench.now < 1.0


def test_an_outage_is_probed_by_one_request_at_a_time_and_each_time_by_another() -> None:
    """New requests come first, then the oldest failures; pauses grow up to two seconds."""
    bench = Bench()
    held = [bench.fail("a"), bench.fail("b")]
    assert bench.step() == Step(reads=True, is_probe=True)
    assert bench.step() == Step(wait=None), "one at a time"
    bench.now = 8.0
    held.append(bench.fail("c", is_probe=True))
    bench.queue.is_probing = False
    assert bench.step() == Step(wait=2.0)
    bench.queue.end_intake(bench.now)
    for repeat in [*held, *held]:
        bench.now += 2.0
        assert repeat is not None
        assert bench.step() == Step(repeat=repeat, is_probe=True)
        assert bench.again(repeat, is_probe=True)
        bench.queue.is_probing = False
    assert all(repeat is not None and repeat.rounds == 0 for repeat in held)


@pytest.mark.parametrize("others", [0, 1])
def test_a_job_is_given_up_after_too_long_without_a_success(others: int) -> None:
    """The other requests have their last errors; some seconds each suffice if all of them fail."""
    bench = Bench(give_up_after=600.0)
    bench.succeed(others)
    first, second = bench.fail("a"), bench.fail("b", ConnectionFailedError("lost"))
    assert first is not None
    assert second is not None
    bench.queue.end_intake(0.0)
    limit = 15.0 if others else 600.0
    while bench.queue.given_up is None:
        step = bench.step()
        assert step is not None
        if step.repeat is not None:
            bench.again(step.repeat, is_probe=True)
            bench.queue.is_probing = False
        else:
            bench.now += step.wait or 0.01
    assert limit <= bench.now < limit + 5
    assert len(list(bench.queue.held())) == 1, "the other one has its outcome"


def test_a_request_without_a_slot_is_no_outage_but_ends_a_job_in_the_end() -> None:
    """A wait for a send slot counts only after the job has been too long without a success."""
    bench = Bench(give_up_after=60.0)
    error = RequestTimeoutError("no turn")
    bench.queue.delayed(error, 0.0)
    assert bench.queue.is_calm
    bench.queue.delayed(error, 59.0)
    assert bench.queue.given_up is None
    bench.succeed()
    bench.queue.delayed(error, 61.0)
    assert bench.queue.given_up is None
    bench.queue.delayed(error, 121.0)
    assert bench.queue.given_up is error


def test_the_number_of_held_requests_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a request's own failure is its outcome; held requests probe outages."""
    monkeypatch.setattr("paychainhq._jobs.retry_queue._MOST_HELD", 3)
    bench = Bench()
    for name in "abc":
        assert bench.fail(name) is not None
    step = bench.step()
    assert step is not None
    assert step.repeat is not None
    bench.succeed()
    number = bench.send()
    bench.succeed()
    assert bench.queue.failed(step.repeat, number, 0.0, 0.01)
    repeat = Repeat("d", {}, "d", number, ServerError("no"))
    assert not bench.queue.failed(repeat, number, 0.0, 0.01)


def test_a_stream_of_requests_that_never_ends_holds_nothing_for_ever() -> None:
    """A request that was set aside is sent again after `give_up_after`."""
    bench = Bench(give_up_after=600.0)
    number = bench.send()
    bench.succeed()
    repeat = Repeat("a", {}, "a", number, RequestTimeoutError("no"))
    assert bench.queue.failed(repeat, number, 0.0, 1.0)
    assert bench.queue.step(599.0) == Step(reads=True)
    assert bench.queue.step(600.0) == Step(repeat=repeat)
