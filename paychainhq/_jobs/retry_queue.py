"""Retry queue of a job: failures and successes in, decisions out.

A transient failure is the failure of one request if a request that was sent later succeeds, and an
outage if nothing succeeds:

- Others succeed: the request is sent again after a pause. After three such failures, or one
  timeout, it is set aside until the intake has ended, then sent again, and after three further
  failures, or one timeout, its error is its outcome.
- Nothing succeeds: the server is down. One request at a time probes, each time another one, so that
  no request stands for the server. The first success ends the outage. After `give_up_after` seconds
  without one, the job is given up.
- Where the intake has ended, others have succeeded, and only failing requests are left, time alone
  can tell the two apart: the job is given up after 10 s for one such request, and 5 s more for each
  further one. A 500, or a key in progress, is taken for the failure of its request then, if twenty
  times as many requests have succeeded.

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
# A repeat is due after as long as the failure took: three such repeats are cheap, and soon show
# whose failure it is. After a timeout it is ten times as long, so that repeats take a tenth of a
# worker's time at most.
_REST, _REST_AFTER_TIMEOUT = 1.0, 10.0
_SHORTEST_REST = 0.01
# Once the intake has ended, a rest is a share of the time since the first failure: a long job waits
# longer for its last requests.
_LAST_REST, _LAST_REST_SHARE, _LONGEST_LAST_REST = 0.1, 0.05, 2.0
_MOSTLY_GOOD = 20  # so many successes for each failing request show a server that works
_PAUSE_SHARE = 0.25  # a pause between two probes, as a share of how long the outage has lasted
_SHORTEST_PAUSE = 0.01
_LONGEST_PAUSE = 2.0
_PATIENCE = 5.0
_MOST_HELD = 10_000  # some ten megabytes


@attrs.define(eq=False)
class Repeat(Generic[R]):
    """A request that has failed, and is to be sent again under its key.

    Attributes:
        request: The request, as it was given.
        arguments: What the call takes.
        key: Its idempotency key.
        number: The number of its last call: calls are numbered in the order in which they are sent.
        error: Its last failure.
        rounds: How often it has failed while others succeeded.
        failed_at: When it last failed.
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
        """Return whether the failures are its own, so that they say nothing about the server any
        more.
        """
        return self.rounds >= _ROUNDS


@attrs.frozen
class Step(Generic[R]):
    """One decision: send `repeat`, read a new request, or wait.

    Attributes:
        repeat: The request to send again, or None.
        reads: Whether a new request is to be read and sent.
        wait: Seconds until there may be something to do, or None where only a change can bring it.
        is_probe: Whether it is the probe of an outage; `RetryQueue.is_probing` holds until it has
            ended.
    """

    repeat: Repeat[R] | None = None
    reads: bool = False
    wait: float | None = None
    is_probe: bool = False


class RetryQueue(Generic[R]):
    """Failed requests of a job, and the state of the server.

    Args:
        give_up_after: Seconds without any success after which the job is given up.

    Attributes:
        sent: The number of the last call.
        is_calm: Whether there is nothing to decide: no request is held, and the server is not down.
        down_since: When the outage began, or None.
        given_up: The failure that the job was given up with, or None.
        is_probing: Whether a probe is under way.
    """

    def __init__(self, give_up_after: float) -> None:
        self.sent = 0
        self.is_calm = True
        self.down_since: float | None = None
        self.given_up: PayChainError | None = None
        self.is_probing = False
        self._give_up_after = give_up_after
        self._last_good = 0  # the highest number of a call that was answered for good
        self._good = 0
        self._first_failure = math.inf
        self._next_probe = 0.0
        self._stuck_since: float | None = None
        self._ended = False
        self._count = 0
        self._heap: list[
            tuple[bool, float, int, Repeat[R]]
        ] = []  # what is proven first, then by when it is due
        self._aside: deque[Repeat[R]] = deque()

    def __len__(self) -> int:
        return len(self._heap) + len(self._aside)

    # --- events ---

    def succeeded(self, number: int) -> None:
        """Note that a call had a definite answer: the server works."""
        self._last_good = max(self._last_good, number)
        self._good += 1
        if self._stuck_since is not None:
            self._stuck_since = self.down_since = None
            self._settle()

    def failed(
        self, repeat: Repeat[R], number: int, now: float, took: float, *, is_probe: bool = False
    ) -> bool:
        """Note a transient failure; return whether the request is held to be sent again, or else
        its error is its outcome.

        Args:
            repeat: The request, with the error that it met, and the number of the call before, or
                of this one if it is the first.
            number: The number of the call.
            now: The time.
            took: How long the call took, in seconds.
            is_probe: Whether it was the probe of an outage.
        """
        is_own = (
            self._last_good > repeat.number or repeat.is_proven or self._is_specific(repeat.error)
        )
        repeat.number, repeat.failed_at = number, now
        self._first_failure = min(self._first_failure, now)
        timed_out = isinstance(repeat.error, RequestTimeoutError)
        if is_own:
            # A timeout has held a worker for long: it counts as three failures.
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
            rest = min(
                max(_LAST_REST, _LAST_REST_SHARE * (now - self._first_failure)), _LONGEST_LAST_REST
            )
            self._push(repeat, now + rest * (repeat.rounds % _ROUNDS))
        else:
            self._push(
                repeat,
                now + max((_REST_AFTER_TIMEOUT if timed_out else _REST) * took, _SHORTEST_REST),
            )
        self.is_calm = False
        return True

    def delayed(self, error: PayChainError, now: float) -> None:
        """Note that a request got no turn: no failure and no outage, but after too long without a
        success the job is given up.
        """
        if self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since >= self._give_up_after:
            self.give_up(error)

    def end_intake(self, now: float) -> None:
        """Note that there are no new requests: what was set aside is due now, and the rest soon."""
        if self._ended:
            return
        self._ended = True
        held = [*self._aside, *(entry[-1] for entry in self._heap)]
        self._heap.clear()
        self._aside.clear()
        for repeat in held:
            self._push(repeat, now if repeat.is_proven else min(now, repeat.failed_at) + _LAST_REST)
        self._settle()

    def give_up(self, error: PayChainError) -> None:
        """End all that is held with the errors that were met, and all that is not sent yet with
        this one.
        """
        self.given_up = self.given_up or error
        self.is_calm = False

    # --- decisions ---

    def step(self, now: float, *, at_hand: bool = True) -> Step[R] | None:
        """Return what a free worker does next, or None if nothing is left for it.

        Args:
            now: The time.
            at_hand: Whether a new request can be read now; False after a read that took too long.
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
            return Step(
                repeat=self._aside.popleft()
            )  # a stream of requests that never ends does not hold it for ever
        wait = self._until_due(now)
        if self.down_since is not None:
            if self.is_probing or (not reads and not self._heap):
                return Step(wait=wait) if self or self.is_probing or not self._ended else None
            pause = self._next_probe - now
            if pause > _ROUNDING:
                return Step(wait=pause if wait is None else min(pause, wait))
            self.is_probing = True
            if reads and (len(self) < _MOST_HELD or not self._heap):
                return Step(reads=True, wait=wait, is_probe=True)
            return Step(repeat=self._pop_oldest(), is_probe=True)
        if reads:
            return Step(reads=True, wait=wait)
        return Step(wait=wait) if self or not self._ended else None

    def pop(self) -> Repeat[R] | None:
        """Return the next of the held requests, due or not."""
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
        """Give all that is held, and hold it no longer."""
        while (repeat := self.pop()) is not None:
            yield repeat

    # --- how ---

    def _is_specific(self, error: PayChainError) -> bool:
        """Return whether a failure describes its request, and not the server."""
        if (
            not self._ended
            or self.down_since is not None
            or self._good < _MOSTLY_GOOD * (1 + len(self))
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
            pause = (now - self.down_since) * _PAUSE_SHARE
            self._next_probe = now + min(max(pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        patience = self._give_up_after
        if self._ended and self._last_good:
            unproven = 1 + sum(entry[0] for entry in self._heap)
            patience = min(patience, _PATIENCE * (1 + unproven))
        if now - self._stuck_since >= patience:
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
        """Return whether the first of the heap is due; in an outage the others are for the
        probes.
        """
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
