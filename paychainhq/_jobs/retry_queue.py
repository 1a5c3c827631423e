"""Retry queue of a job: failures and successes in, decisions out.

A transient failure is specific to its request if a request that was sent later succeeds, and an
outage if no request succeeds:

- Specific: the request is sent again after a delay. After three such failures, or one timeout, it
  is set aside until the intake has ended, then sent again. After three further failures, or one
  timeout, its error is its outcome.
- Outage: one request at a time is a probe, each time another one, so that a request that always
  fails does not prolong the outage. The first success ends the outage. After `give_up_after`
  seconds without a success, the job gives up.
- After the end of the intake, if other requests have succeeded and only failing ones are left, both
  cases look the same: the job gives up after 10 s for one such request, and 5 s more for each
  further one. A 500, or a key in progress, is then specific to its request if twenty times as many
  requests have succeeded.

The queue has no clock, no tasks and no I/O: times are arguments.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import attrs

from paychainhq.errors import (
    IdempotencyInProgressError,
    PayChainError,
    RequestTimeoutError,
    ServerError,
)

R = TypeVar("R")

_ROUNDS = 3
_ROUNDING = 1e-6  # sums and differences of times are not exact
# The delay of a repeat, as a multiple of the duration of the failed call: three quick repeats are
# cheap, and distinguish specific failures from an outage. After a timeout the delay is longer, so
# that repeats take a tenth of a worker's time at most.
_DELAY, _DELAY_AFTER_TIMEOUT = 1.0, 10.0
_SHORTEST_DELAY = 0.01
# After the end of the intake, a delay is a share of the time since the first failure: a long job
# waits longer for its last requests.
_LAST_DELAY, _LAST_DELAY_SHARE, _LONGEST_LAST_DELAY = 0.1, 0.05, 2.0
_MOSTLY_GOOD = 20  # successes for each failing request that prove a working server
_PROBE_DELAY_SHARE = 0.25  # the delay between two probes, as a share of the outage's duration
_SHORTEST_PROBE_DELAY = 0.01
_LONGEST_PROBE_DELAY = 2.0
_GIVE_UP_PER_REQUEST = 5.0
_MOST_HELD = 10_000  # some ten megabytes


@attrs.define(eq=False)
class Repeat(Generic[R]):
    """Failed request that will be sent again under its key.

    Attributes:
        request: The request, as it was given.
        arguments: The arguments of the call.
        key: Its idempotency key.
        number: The number of its last call. Calls are numbered in the order in which they are sent.
        error: Its last failure.
        rounds: The number of its failures while others succeeded.
        failed_at: The time of its last failure.
    """

    request: R | Mapping[str, Any]
    arguments: Mapping[str, Any]
    key: str
    number: int
    error: PayChainError
    rounds: int = 0
    failed_at: float = 0.0

    @property
    def is_proven(self) -> bool:
        """Return whether the failures are specific to the request."""
        return self.rounds >= _ROUNDS


@attrs.frozen
class Step(Generic[R]):
    """Decision for a worker: send `repeat`, read a new request, or wait.

    Attributes:
        repeat: The request to send again, or None.
        reads: Whether to read and send a new request.
        wait: Seconds until the next decision, or None until an event.
        is_probe: Whether it is the probe of an outage: `RetryQueue.is_probing` is true until the
            probe has ended.
    """

    repeat: Repeat[R] | None = None
    reads: bool = False
    wait: float | None = None
    is_probe: bool = False


class RetryQueue(Generic[R]):
    """Failed requests of a job, and the state of the server.

    Args:
        give_up_after: Seconds without any success after which the job gives up.

    Attributes:
        sent: The number of the last call.
        is_calm: Whether no decision is due: no request is held, and there is no outage.
        down_since: The start of the outage, or None.
        good: The number of definite responses.
        given_up: The failure that made the job give up, or None.
        is_probing: Whether a probe is in progress.
    """

    def __init__(self, give_up_after: float) -> None:
        self.sent = 0
        self.is_calm = True
        self.down_since: float | None = None
        self.given_up: PayChainError | None = None
        self.is_probing = False
        self._give_up_after = give_up_after
        self._last_good = 0  # the highest number of a call with a definite response
        self.good = 0
        self._first_failure = math.inf
        self._next_probe = 0.0
        self._stuck_since: float | None = None
        self._ended = False
        self._count = 0
        # Proven requests first, then by due time.
        self._heap: list[tuple[bool, float, int, Repeat[R]]] = []
        self._aside: deque[Repeat[R]] = deque()

    def __len__(self) -> int:
        return len(self._heap) + len(self._aside)

    # --- events ---

    def succeeded(self, number: int) -> None:
        """Record a definite response, which proves that the server works."""
        self._last_good = max(self._last_good, number)
        self.good += 1
        if self._stuck_since is not None:
            self._stuck_since = self.down_since = None
            self._settle()

    def failed(
        self, repeat: Repeat[R], number: int, now: float, took: float, *, is_probe: bool = False
    ) -> bool:
        """Record a transient failure, and return whether the queue holds the request.

        If it does not, the error is the outcome of the request.

        Args:
            repeat: The request with its error, and the number of its previous call, or of this one
                if it is the first.
            number: The number of the call.
            now: The time.
            took: The duration of the call in seconds.
            is_probe: Whether the call was the probe of an outage.
        """
        is_own = (
            self._last_good > repeat.number or repeat.is_proven or self._is_specific(repeat.error)
        )
        repeat.number, repeat.failed_at = number, now
        self._first_failure = min(self._first_failure, now)
        timed_out = isinstance(repeat.error, RequestTimeoutError)
        if is_own:
            # A timeout occupies a worker for a long time, so it counts as three failures.
            repeat.rounds += _ROUNDS if timed_out else 1
            if repeat.rounds >= 2 * _ROUNDS or len(self) >= _MOST_HELD:
                return False
        else:
            self._note_outage(repeat, now, is_probe=is_probe)
        if self.given_up is not None:
            return False
        if repeat.is_proven and not self._ended:
            self._aside.append(repeat)
        elif self._ended:
            delay = min(
                max(_LAST_DELAY, _LAST_DELAY_SHARE * (now - self._first_failure)),
                _LONGEST_LAST_DELAY,
            )
            self._push(repeat, now + delay * (repeat.rounds % _ROUNDS))
        else:
            delay = (_DELAY_AFTER_TIMEOUT if timed_out else _DELAY) * took
            self._push(repeat, now + max(delay, _SHORTEST_DELAY))
        self.is_calm = False
        return True

    def delayed(self, error: PayChainError, now: float) -> None:
        """Record that a request waits without a failure.

        The job gives up after `give_up_after` seconds without a success.
        """
        if self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since >= self._give_up_after:
            self.give_up(error)

    def end_intake(self, now: float) -> None:
        """Record the end of the intake: set-aside requests are due now, other held ones soon."""
        if self._ended:
            return
        self._ended = True
        held = [*self._aside, *(entry[-1] for entry in self._heap)]
        self._heap.clear()
        self._aside.clear()
        for repeat in held:
            soon = min(now, repeat.failed_at) + _LAST_DELAY
            self._push(repeat, now if repeat.is_proven else soon)
        self._settle()

    def give_up(self, error: PayChainError) -> None:
        """End held requests with their last errors, and all other ones with this error."""
        self.given_up = self.given_up or error
        self.is_calm = False

    # --- decisions ---

    def step(self, now: float, *, at_hand: bool = True) -> Step[R] | None:
        """Return the next step of a free worker, or None if its work is done.

        Args:
            now: The time.
            at_hand: Whether a new request can be read now: False after a read that took too long.
        """
        reads = at_hand and not self._ended
        if self.given_up is not None:
            return (
                Step(repeat=held)
                if (held := self.pop()) is not None
                else None
                if self._ended
                else Step(reads=True)
            )
        if self._is_due(now):
            return Step(repeat=self.pop())
        if (
            not self._ended
            and self._aside
            and now - self._aside[0].failed_at >= self._give_up_after
        ):
            # An endless intake does not delay a set-aside request for ever.
            return Step(repeat=self._aside.popleft())
        wait = self._until_due(now)
        if self.down_since is not None:
            if self.is_probing or (not reads and not self._heap):
                return Step(wait=wait) if self or self.is_probing or not self._ended else None
            delay = self._next_probe - now
            if delay > _ROUNDING:
                return Step(wait=delay if wait is None else min(delay, wait))
            self.is_probing = True
            if reads and (len(self) < _MOST_HELD or not self._heap):
                return Step(reads=True, wait=wait, is_probe=True)
            return Step(repeat=self._pop_oldest(), is_probe=True)
        if reads:
            return Step(reads=True, wait=wait)
        return Step(wait=wait) if self or not self._ended else None

    def pop(self) -> Repeat[R] | None:
        """Remove and return the next held request, due or not."""
        held = (
            heapq.heappop(self._heap)[-1]
            if self._heap
            else self._aside.popleft()
            if self._aside
            else None
        )
        self._settle()
        return held

    def held(self) -> Iterator[Repeat[R]]:
        """Remove and yield all held requests."""
        while (repeat := self.pop()) is not None:
            yield repeat

    # --- rules ---

    def _is_specific(self, error: PayChainError) -> bool:
        """Return whether a failure after the end of the intake is specific to its request."""
        if (
            not self._ended
            or self.down_since is not None
            or self.good < _MOSTLY_GOOD * (1 + len(self))
        ):
            return False
        return isinstance(error, IdempotencyInProgressError) or (
            isinstance(error, ServerError) and error.status == 500
        )

    def _note_outage(self, repeat: Repeat[R], now: float, *, is_probe: bool) -> None:
        if self._stuck_since is None:
            self._stuck_since = now
        if self.down_since is None:
            self.down_since = self._next_probe = now
        elif is_probe:
            delay = (now - self.down_since) * _PROBE_DELAY_SHARE
            self._next_probe = now + min(max(delay, _SHORTEST_PROBE_DELAY), _LONGEST_PROBE_DELAY)
        give_up_after = self._give_up_after
        if self._ended and self._last_good:
            unproven = 1 + sum(entry[0] for entry in self._heap)
            give_up_after = min(give_up_after, _GIVE_UP_PER_REQUEST * (1 + unproven))
        if now - self._stuck_since >= give_up_after:
            self.give_up(repeat.error)

    def _push(self, repeat: Repeat[R], due: float) -> None:
        self._count += 1
        heapq.heappush(self._heap, (not repeat.is_proven, due, self._count, repeat))

    def _pop_oldest(self) -> Repeat[R]:
        entry = min(self._heap, key=lambda entry: (entry[-1].failed_at, entry[2]))
        self._heap.remove(entry)
        heapq.heapify(self._heap)
        return entry[-1]

    def _is_due(self, now: float) -> bool:
        """Return whether the first request is due; in an outage, only proven ones are."""
        if not self._heap:
            return False
        unproven, due, *_ = self._heap[0]
        return due - now <= _ROUNDING and not (unproven and self.down_since is not None)

    def _until_due(self, now: float) -> float | None:
        if not self._heap:
            return None
        unproven, due, *_ = self._heap[0]
        return None if unproven and self.down_since is not None else max(due - now, 0.0)

    def _settle(self) -> None:
        self.is_calm = (
            not self._heap and not self._aside and self.down_since is None and self.given_up is None
        )
