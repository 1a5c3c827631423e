"""Bulk creation: concurrent requests, an outcome for each, retries through outages."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from copy import copy
from typing import Any, Generic, Literal, TypeVar, cast

import attrs

from paychainhq._attempts import Sent
from paychainhq._caller import Caller, current_request
from paychainhq._core import validators
from paychainhq._core.event_loop import running_loop
from paychainhq._core.operation import Operation
from paychainhq._http.transient import is_transient
from paychainhq._jobs.arguments import RequestArguments
from paychainhq._jobs.concurrency import AdaptiveConcurrency
from paychainhq._jobs.intake import ENDED, NOT_YET, Intake
from paychainhq._jobs.progress import ProgressCounter
from paychainhq._jobs.requests import Failure, Outcome, Progress, Success, make_success
from paychainhq._jobs.retry_queue import Repeat, RetryQueue, Step
from paychainhq._jobs.scopes import Scope
from paychainhq._jobs.streams import Stream
from paychainhq.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    DecodeError,
    InvalidArgumentError,
    LedgerError,
    PayChainError,
    PermissionDeniedError,
    ProxyAuthenticationError,
    RateLimitError,
    RequestTimeoutError,
)
from paychainhq.ledger.base import Ledger
from paychainhq.ledger.send_slots import SendSlots

log = logging.getLogger("paychainhq")

R = TypeVar("R")
T = TypeVar("T")

_SHORTEST_PROBE = 0.1
# Workers that only write to the ledger. More of them hardly reduce the cost of a batch.
_MOST_WRITERS = 32
_LONGEST_WAIT = 1.0
# Seconds to wait for a new request to probe with, before a held request is the probe.
_READ_FOR_PROBE = 0.1
# A call is overtaken if each send slot could have had so many responses since it began.
_OVERTAKEN = 20
# A worker retries a 429 itself. More in a row are a failure of the request.
_MOST_429S = 6
_LONGEST_RETRY_AFTER = 60.0
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0  # seconds between two calls that time out before an attempt
_OF_ANY_REQUEST = (
    AuthenticationError,
    PermissionDeniedError,
    ConfigurationError,
    ProxyAuthenticationError,
)
_SENT: list[Sent] = ["no", "unknown", "yes"]


Requests = Iterable[R | Mapping[str, Any]] | AsyncIterable[R | Mapping[str, Any]]


def create_many(
    caller: Caller,
    operation: Operation[T],
    request_type: type[R],
    requests: Requests[R],
    *,
    ledger: Ledger | None,
    concurrency: int | Literal["auto"],
    give_up_after: float,
    progress: Callable[[Progress], None] | None,
    business_id: str | None,
) -> Stream[Outcome[R, T]]:
    """Return the outcomes of a job; the arguments are those of `pay.invoices.create_many`."""
    if concurrency == "auto":
        limit = AdaptiveConcurrency(caller.transport.connection.max_connections)
    else:
        limit = AdaptiveConcurrency(validators.at_least(1, "concurrency", concurrency), fixed=True)
    validators.seconds("give_up_after", give_up_after, zero=True)
    ledger = caller.ledger if ledger is None else ledger
    caller = attrs.evolve(caller, business_id=business_id or caller.business_id, ledger=ledger)
    caller.complete(operation, {})
    job = _Job(caller, operation, request_type, limit, give_up_after)
    return Stream(job.run(requests, progress), job.done)


@attrs.define
class _InProgress:
    """First call of a worker's request.

    Attributes:
        since: The number of responses before it, or None if there is no call.
        is_overtaken: Whether the job has cancelled it.
    """

    since: int | None = None
    is_overtaken: bool = False


class _Job(Generic[R, T]):
    """Run of `create_many`: workers that share an intake and a retry queue.

    A worker's call makes one attempt. The retry queue schedules the others, so that no worker waits
    for a request that fails.
    """

    def __init__(
        self,
        caller: Caller,
        operation: Operation[T],
        request_type: type[R],
        concurrency: AdaptiveConcurrency,
        give_up_after: float,
    ) -> None:
        self._slots = (
            None if caller.ledger is None else SendSlots(caller.ledger, lambda: concurrency.value)
        )
        once = None if caller.retry is None else attrs.evolve(caller.retry, attempts=1)
        self._caller = attrs.evolve(caller, ledger=self._slots, retry=once)
        self._operation = operation
        self._arguments = RequestArguments(request_type, operation.name, caller.business_id)
        self._concurrency = concurrency
        self._give_up_after = give_up_after
        self._queue: RetryQueue[R] = RetryQueue(give_up_after)
        self._now: Callable[[], float] = time.monotonic
        self._workers: set[asyncio.Task[None]] = set()
        self.done: deque[Outcome[R, T]] = deque()
        self._progress: dict[asyncio.Task[Any], _InProgress] = {}
        self._has_outcome = asyncio.Event()
        self._has_room = asyncio.Event()
        self._changed = asyncio.Event()
        self._logged_outage: float | None = None
        self._is_closing = False

    async def run(
        self, requests: Requests[R], progress: Callable[[Progress], None] | None
    ) -> AsyncGenerator[Outcome[R, T], None]:
        loop = running_loop()
        self._now = loop.time
        if self._slots is not None:
            self._slots.loop = loop
        self._intake: Intake[R | Mapping[str, Any]] = Intake(requests)
        counter = ProgressCounter(progress, self._intake.total)
        telemetry = self._caller.transport.telemetry
        hook = None if telemetry is None else telemetry.job
        name = f"{self._operation.name}_many"
        with Scope(hook, name, counter.end) as self._scope:
            self._start_workers()
            try:
                while self._workers or self.done:
                    while self.done:
                        outcome = self.done.popleft()
                        self._has_room.set()
                        yield outcome
                        if not counter.add(outcome.ok):
                            continue
                        try:
                            counter.report(self._sending())
                        except Exception as error:  # noqa: BLE001 (the callback's: raised after the requests in progress)
                            self._intake.end(error)
                    self._has_outcome.clear()
                    if self._workers and not self.done:
                        await self._has_outcome.wait()
            finally:
                self._is_closing = True
                for worker in self._workers:
                    worker.cancel()
                await asyncio.gather(*self._workers, return_exceptions=True)
                await self._intake.close()
            if self._intake.failure is None:
                counter.report(0)
                return
            self._intake.failure.add_note(
                f"{self._operation.name}: the job ended early, after {counter}"
            )
            raise self._intake.failure

    # --- workers ---

    def _start_workers(self) -> None:
        while len(self._workers) < self._most_workers() and not self._intake.ended:
            worker = asyncio.create_task(self._work(), context=self._scope.context())
            self._workers.add(worker)
            worker.add_done_callback(self._remove_worker)

    def _most_workers(self) -> int:
        """Return the number of workers: send slots, and up to 32 that only write to the ledger.

        A single worker preserves the order of the requests.
        """
        sending = self._concurrency.value
        return sending if self._slots is None else sending + min(2 * (sending - 1), _MOST_WRITERS)

    def _sending(self) -> int:
        """Return the largest number of requests in progress."""
        return min(len(self._workers), self._concurrency.value)

    def _remove_worker(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        self._progress.pop(worker, None)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            self._end(error)  # of the ledger, or of a middleware of the caller
        elif worker.cancelled() and not self._is_closing:
            self._end(
                ConnectionFailedError(
                    "a worker of the job was cancelled from outside the job",
                    operation=self._operation.name,
                )
            )
        if not self._workers:
            self.done.extend(Failure(repeat.request, repeat.error) for repeat in self._queue.held())
        self._has_outcome.set()

    def _end(self, failure: BaseException) -> None:
        """Start no more requests.

        Requests in progress finish; held requests end with their last error.
        """
        self._intake.end(failure)
        self._queue.give_up(ConnectionFailedError("the job has ended"))
        self._changed.set()
        self._has_room.set()

    async def _work(self) -> None:
        await asyncio.sleep(0)  # an eager task factory would run it before it is in `_workers`
        task = cast("asyncio.Task[None]", asyncio.current_task())
        mine = self._progress[task] = _InProgress()
        while True:
            if self._queue.is_calm:
                request = await self._intake.read()
                outcome = None
                if request is ENDED:
                    self._end_intake()
                else:
                    outcome = await self._first(request, mine)
            elif (step := self._queue.step(self._now())) is not None:
                outcome = await self._execute(step, mine)
            else:
                return
            if outcome is None:
                if self._intake.ended and self._queue.is_calm:
                    return
                continue
            self.done.append(outcome)
            self._has_outcome.set()
            # Backpressure: workers, and so the intake, pause until outcomes are consumed.
            while len(self.done) >= self._concurrency.most and self._intake.failure is None:
                self._has_room.clear()
                await self._has_room.wait()
            most = self._most_workers()
            if len(self._workers) > most:
                # Removed before the end of the task, so that no other worker leaves in its place.
                self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))
                return
            if len(self._workers) < most:
                self._start_workers()

    def _end_intake(self) -> None:
        self._queue.end_intake(self._now())
        self._changed.set()

    async def _execute(self, step: Step[R], mine: _InProgress) -> Outcome[R, T] | None:
        """Execute a step of the retry queue."""
        repeat = step.repeat
        try:
            if step.reads:
                request = await self._intake.read(_READ_FOR_PROBE if step.is_probe else step.wait)
                if request is ENDED:
                    self._end_intake()
                    return None
                if request is not NOT_YET:
                    return await self._first(request, mine, is_probe=step.is_probe)
                if step.is_probe:
                    repeat = self._queue.pop()
            elif repeat is None:
                await self._wait(step.wait)
            return None if repeat is None else await self._again(repeat, is_probe=step.is_probe)
        finally:
            if step.is_probe:
                self._queue.is_probing = False
                self._changed.set()

    async def _wait(self, seconds: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(
                _LONGEST_WAIT if seconds is None else min(seconds, _LONGEST_WAIT)
            ):
                await self._changed.wait()
        except TimeoutError:
            pass

    # --- requests ---

    async def _first(
        self, request: R | Mapping[str, Any], mine: _InProgress, *, is_probe: bool = False
    ) -> Outcome[R, T] | None:
        """Send a new request; return None if the retry queue holds it."""
        try:
            given, key = self._arguments(request)
        except PayChainError as error:
            error.operation = self._operation.name
            return Failure(request, error)
        if self._queue.given_up is not None:
            failure = copy(self._queue.given_up).add(
                idempotency_key=key, attempts=(), sent="no", request_id=None
            )
            return Failure(request, failure)
        self._queue.sent = number = self._queue.sent + 1
        started = self._now()
        result = await self._call(
            request, given, key, number, started, is_probe=is_probe, mine=mine
        )
        if not isinstance(result, PayChainError):
            return result
        return self._judge(
            Repeat(request, given, key, number, result), number, started, is_probe=is_probe
        )

    async def _again(self, repeat: Repeat[R], *, is_probe: bool) -> Outcome[R, T] | None:
        """Send a held request; return None if the retry queue holds it again."""
        if self._queue.given_up is not None:
            return Failure(repeat.request, repeat.error)
        self._queue.sent = number = self._queue.sent + 1
        started = self._now()
        error = await self._call(
            repeat.request, repeat.arguments, repeat.key, number, started, is_probe=is_probe
        )
        if not isinstance(error, PayChainError):
            return error
        error.attempts = repeat.error.attempts + error.attempts
        error.sent = max(error.sent, repeat.error.sent, key=_SENT.index)
        repeat.error = error
        return self._judge(repeat, number, started, is_probe=is_probe)

    async def _call(
        self,
        request: R | Mapping[str, Any],
        given: Mapping[str, Any],
        key: str,
        number: int,
        started: float,
        *,
        is_probe: bool,
        mine: _InProgress | None = None,
    ) -> Success[R, T] | Failure[R] | PayChainError:
        """Return the outcome of a request, or its transient failure.

        A 429 and a deadline without an attempt are retried here.
        """
        caller = self._probe_caller() if is_probe else self._caller
        refused, delay = 0, _FIRST_DELAY
        while True:
            if mine is not None:
                mine.since = self._queue.good
            result: Success[R, T] | PayChainError
            try:
                result = make_success(request, await caller.call(self._operation, given, key))
            except PayChainError as error:
                result = error
            except asyncio.CancelledError:
                if self._is_closing:
                    raise
                if mine is not None and _withdraw_cancellation(mine):
                    return _overtaken_error()
                stray = ConnectionFailedError(
                    "the call was cancelled from outside the job",
                    operation=self._operation.name,
                    idempotency_key=key,
                    sent="unknown",
                )
                self._end(stray)
                return Failure(request, stray)
            finally:
                if mine is not None:
                    mine.since = None
                if self._slots is not None:
                    self._slots.leave()
            if mine is not None and mine.is_overtaken:
                _withdraw_cancellation(mine)  # the call ended before it arrived
            if isinstance(result, Success):
                self._note_response(number, started)
                return result
            failure = result
            failure.operation = self._operation.name
            if isinstance(failure, LedgerError):
                # The failure is not about the request: the job ends, and its ledger entries stay.
                raise failure
            # A cancellation from outside the job, such as a middleware's, ends it too.
            if _ends_job(failure) or isinstance(failure.__cause__, asyncio.CancelledError):
                self._end(failure)
                return Failure(request, failure)
            if not is_transient(failure):
                # A response that cannot be decoded does not prove that the server works.
                if failure.sent == "yes" and not isinstance(failure, DecodeError):
                    self._note_response(number, started)
                return Failure(request, failure)
            if isinstance(failure, RateLimitError) and refused < _MOST_429S:
                refused += 1
                pause = min(failure.retry_after or 0.0, _LONGEST_RETRY_AFTER)
            elif isinstance(failure, RequestTimeoutError) and not failure.attempts:
                pause, delay = delay, min(2 * delay, _LONGEST_DELAY)
            else:
                return failure
            self._queue.delayed(failure, self._now())
            until = self._now() + pause
            while self._queue.given_up is None and (left := until - self._now()) > 0:
                await self._wait(left)
            if self._queue.given_up is not None:
                return failure
            started = self._now()

    def _probe_caller(self) -> Caller:
        """Return the caller of a probe, whose deadline is the end of `give_up_after`."""
        now = self._now()
        left = self._give_up_after - (now - (self._queue.down_since or now))
        return attrs.evolve(
            self._caller, timeout=min(self._caller.timeout, max(left, _SHORTEST_PROBE))
        )

    def _note_response(self, number: int, started: float) -> None:
        """Note a definite response."""
        now = self._now()
        if not self._queue.is_calm:
            self._changed.set()
        self._queue.succeeded(number)
        self._concurrency.note(now, now - started, trouble=False)
        if self._queue.good % _OVERTAKEN == 0:  # as often as one worker can overtake a call
            self._cancel_overtaken()

    def _cancel_overtaken(self) -> None:
        """Cancel each first call during which the others had many responses.

        A server that is silent to some requests would otherwise hold most workers until
        `attempt_timeout`.
        """
        limit = self._queue.good - _OVERTAKEN * self._concurrency.value
        for task, call in self._progress.items():
            if call.since is not None and call.since < limit:
                call.since, call.is_overtaken = None, True
                task.cancel()

    def _judge(
        self, repeat: Repeat[R], number: int, started: float, *, is_probe: bool
    ) -> Failure[R] | None:
        """Add a request with a transient failure to the retry queue, or return its outcome."""
        now, error = self._now(), repeat.error
        if repeat.rounds == 0:  # further failures of the same request do not describe the server
            # The rate limiter handles a 429: a lower concurrency would slow the job down twice.
            self._concurrency.note(
                now, now - started, trouble=not isinstance(error, RateLimitError)
            )
        is_held = self._queue.failed(repeat, number, now, now - started, is_probe=is_probe)
        self._changed.set()
        if is_probe and self._logged_outage != self._queue.down_since:
            self._logged_outage = self._queue.down_since
            log.warning(
                "%s: the intake pauses until a request succeeds: %s",
                self._operation.name,
                error,
                extra={
                    "paychainhq": {
                        "operation": self._operation.name,
                        "attempt": len(error.attempts),
                        "status": getattr(error, "status", None),
                        "elapsed": now - started,
                        "request_id": error.request_id,
                        "sent": error.sent,
                    }
                },
            )
        return None if is_held else Failure(repeat.request, error)


def _ends_job(error: PayChainError) -> bool:
    """Return whether an error is about the credential, client or proxy, and so every request."""
    return isinstance(error, _OF_ANY_REQUEST) and not isinstance(error, InvalidArgumentError)


def _withdraw_cancellation(mine: _InProgress) -> bool:
    """Withdraw the cancellation of an overtaken call, and return whether it was the only one."""
    if not mine.is_overtaken:
        return False
    mine.is_overtaken = False
    return cast("asyncio.Task[None]", asyncio.current_task()).uncancel() == 0


def _overtaken_error() -> RequestTimeoutError:
    """Return the failure of a call that was cancelled because others overtook it."""
    facts = current_request.get().facts()
    return RequestTimeoutError("no response while later requests had theirs", **facts)
