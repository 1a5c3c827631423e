"""Jobs that create many things: concurrently, with an outcome for each, through outages."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, Generic, Literal, TypeVar, cast

import attrs

from paychainhq import arguments, config
from paychainhq.calls import Caller
from paychainhq.concurrency import Level
from paychainhq.errors import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    IdempotencyInProgressError,
    InvalidArgumentError,
    LedgerError,
    PayChainError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    Sent,
    ServerError,
)
from paychainhq.gate import Gate
from paychainhq.idempotency import key_for_reference
from paychainhq.intake import ENDED, NOT_YET, Intake
from paychainhq.jobs import Failure, Outcome, Progress, Success
from paychainhq.ledger.base import Ledger
from paychainhq.operations import Operation
from paychainhq.retry_queue import Repeat, RetryQueue, Step
from paychainhq.streams import Stream

log = logging.getLogger("paychainhq")

R = TypeVar("R")
T = TypeVar("T")

_SHORTEST_PROBE = 0.1
_BETWEEN_REPORTS = 1.0
_RECORDING = 32  # more at once make a transaction cheaper by little, and a job's memory larger
_LONGEST_WAIT = 1.0
_READ_FOR_A_PROBE = 0.1  # a held request probes where no new one is at hand after so many seconds
# A 429 is repeated by its worker, so that fewer are under way; so many in a row are a failure of
# the request.
_MOST_REFUSALS = 6
_LONGEST_RETRY_AFTER = 60.0
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0  # between two tries for a turn
# The key, or the client, is no good for any other request either.
_ENDS_JOB = (AuthenticationError, PermissionDeniedError, ConfigurationError)
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
        level = Level(caller.transport.route.max_connections)
    else:
        level = Level(config.at_least(1, "concurrency", concurrency), fixed=True)
    config.seconds("give_up_after", give_up_after, zero=True)
    ledger = caller.ledger if ledger is None else ledger
    caller = attrs.evolve(caller, business_id=business_id or caller.business_id, ledger=ledger)
    caller.complete(operation, {})
    job = _Job(caller, operation, request_type, level, give_up_after)
    return Stream(job.run(requests, progress), job.done)


class _Job(Generic[R, T]):
    """One run of `create_many`: workers that share an intake and a retry queue.

    A call of a worker is one attempt: repeats are the queue's, so that no worker waits for a
    request that fails.
    """

    def __init__(
        self,
        caller: Caller,
        operation: Operation[T],
        request_type: type[R],
        level: Level,
        give_up_after: float,
    ) -> None:
        self._gate = None if caller.ledger is None else Gate(caller.ledger, level)
        once = None if caller.retry is None else attrs.evolve(caller.retry, attempts=1)
        self._caller = attrs.evolve(caller, ledger=self._gate, retry=once)
        self._operation = operation
        self._request_type = request_type
        self._fields = attrs.fields_dict(request_type)  # type: ignore[arg-type]
        self._values = attrgetter(*self._fields)
        self._level = level
        self._give_up_after = give_up_after
        self._queue: RetryQueue[R] = RetryQueue(give_up_after)
        self._now: Callable[[], float] = time.monotonic
        self._workers: set[asyncio.Task[None]] = set()
        self.done: deque[Outcome[R, T]] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._changed = asyncio.Event()
        self._reported: float | None = None  # the outage that the log has
        self._is_closing = False

    async def run(
        self, requests: Requests[R], progress: Callable[[Progress], None] | None
    ) -> AsyncGenerator[Outcome[R, T], None]:
        loop = asyncio.get_running_loop()
        self._now = loop.time
        if self._gate is not None:
            self._gate.loop = loop
        self._intake: Intake[R | Mapping[str, Any]] = Intake(requests)
        count = _Count(progress)
        self._hire()
        try:
            while self._workers or self.done:
                while self.done:
                    outcome = self.done.popleft()
                    self._room.set()
                    yield outcome
                    try:
                        count.add(outcome.ok, self._under_way)
                    except Exception as error:  # noqa: BLE001 (the caller's own: raised once what is under way is done)
                        self._intake.end(error)
                self._news.clear()
                if self._workers and not self.done:
                    await self._news.wait()
        finally:
            self._is_closing = True
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
            await self._intake.close()
        if self._intake.failure is None:
            count.report(0)
            return
        self._intake.failure.add_note(f"{self._operation.name}: the job ended early, after {count}")
        raise self._intake.failure

    # --- workers ---

    def _hire(self) -> None:
        while len(self._workers) < self._wanted() and not self._intake.ended:
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._note_end)

    def _wanted(self) -> int:
        """Return how many workers there should be: those that record do not keep others from
        sending; one alone keeps the order.
        """
        sending = self._level.value
        return sending if self._gate is None else sending + min(2 * (sending - 1), _RECORDING)

    def _under_way(self) -> int:
        """Return how many requests may be under way at once."""
        return min(len(self._workers), self._level.value)

    def _note_end(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            self._end(error)  # the ledger, or a middleware of the caller's, failed
        elif worker.cancelled() and not self._is_closing:
            self._end(
                ConnectionFailedError(
                    "a worker of the job was cancelled, and not by the job",
                    operation=self._operation.name,
                )
            )
        if not self._workers:
            self.done.extend(Failure(repeat.request, repeat.error) for repeat in self._queue.held())
        self._news.set()

    def _end(self, failure: BaseException) -> None:
        """Begin nothing more; what is under way is finished, what is held has its last error as its
        outcome.
        """
        self._intake.end(failure)
        self._queue.give_up(ConnectionFailedError("the job has ended"))
        self._changed.set()
        self._room.set()

    async def _work(self) -> None:
        await asyncio.sleep(0)  # under an eager task factory, it would begin before it is counted
        while True:
            if self._queue.is_calm:
                request = await self._intake.read()
                outcome = None
                if request is ENDED:
                    self._end_intake()
                else:
                    outcome = await self._first(request)
            elif (step := self._queue.step(self._now())) is not None:
                outcome = await self._take(step)
            else:
                return
            if outcome is None:
                if self._intake.ended and self._queue.is_calm:
                    return
                continue
            self.done.append(outcome)
            self._news.set()
            # A caller that takes no outcomes holds up the workers, and these the intake.
            while len(self.done) >= self._level.most and self._intake.failure is None:
                self._room.clear()
                await self._room.wait()
            wanted = self._wanted()
            if len(self._workers) > wanted:
                self._workers.discard(
                    cast("asyncio.Task[None]", asyncio.current_task())
                )  # at once: others are not to leave as well
                return
            if len(self._workers) < wanted:
                self._hire()

    def _end_intake(self) -> None:
        self._queue.end_intake(self._now())
        self._changed.set()

    async def _take(self, step: Step[R]) -> Outcome[R, T] | None:
        """Take a step of the retry queue."""
        repeat = step.repeat
        try:
            if step.reads:
                request = await self._intake.read(_READ_FOR_A_PROBE if step.is_probe else step.wait)
                if request is ENDED:
                    self._end_intake()
                    return None
                if request is not NOT_YET:
                    return await self._first(request, is_probe=step.is_probe)
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
        self, request: R | Mapping[str, Any], *, is_probe: bool = False
    ) -> Outcome[R, T] | None:
        """Send a new request; None if it is held to be sent again."""
        try:
            given, key = self._arguments(request)
        except PayChainError as error:
            error.operation = self._operation.name
            return Failure(request, error)
        if self._queue.given_up is not None:
            facts = vars(self._queue.given_up) | {
                "idempotency_key": key,
                "attempts": (),
                "sent": "no",
                "request_id": None,
            }
            return Failure(request, type(self._queue.given_up)(**facts))
        self._queue.sent = number = self._queue.sent + 1
        started = self._now()
        found = await self._call(request, given, key, number, started, is_probe=is_probe)
        if not isinstance(found, PayChainError):
            return found
        return self._judge(
            Repeat(request, given, key, number, found), number, started, is_probe=is_probe
        )

    async def _again(self, repeat: Repeat[R], *, is_probe: bool) -> Outcome[R, T] | None:
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
    ) -> Success[R, T] | Failure[R] | PayChainError:
        """Return the outcome of a request, or the transient failure that it met; one that gets no
        turn waits for the next.
        """
        caller = self._prober() if is_probe else self._caller
        refusals, delay = 0, _FIRST_DELAY
        while True:
            try:
                result = await caller.call(self._operation, given, key)
            except PayChainError as error:
                failure = error
            except asyncio.CancelledError:
                if self._is_closing:
                    raise
                facts = {
                    "operation": self._operation.name,
                    "idempotency_key": key,
                    "sent": "unknown",
                }
                failure = ConnectionFailedError(
                    "the call was cancelled, and not by the job", **facts
                )
                self._end(failure)
                return Failure(request, failure)
            else:
                self._note_answer(number, started)
                return Success(request, result)
            finally:
                if self._gate is not None:
                    self._gate.leave()
            failure.operation = self._operation.name
            if isinstance(failure, LedgerError):
                # this is no answer about the request: the job ends, and nothing that was recorded
                # is lost
                raise failure
            if isinstance(failure, _ENDS_JOB) and not isinstance(failure, InvalidArgumentError):
                self._end(failure)
                return Failure(request, failure)
            if isinstance(failure.__cause__, asyncio.CancelledError):  # of a middleware, for one
                self._end(failure)
                return Failure(request, failure)
            if not is_transient(failure):
                if failure.sent == "yes":
                    self._note_answer(number, started)
                return Failure(request, failure)
            if isinstance(failure, RateLimitError) and refusals < _MOST_REFUSALS:
                refusals += 1
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

    def _prober(self) -> Caller:
        """Return what probes with: a probe ends when the job is given up at the latest."""
        now = self._now()
        left = self._give_up_after - (now - (self._queue.down_since or now))
        return attrs.evolve(
            self._caller, timeout=min(self._caller.timeout, max(left, _SHORTEST_PROBE))
        )

    def _note_answer(self, number: int, started: float) -> None:
        """Note a definite answer."""
        now = self._now()
        if not self._queue.is_calm:
            self._changed.set()
        self._queue.succeeded(number)
        self._level.note(now, now - started, trouble=False)

    def _judge(
        self, repeat: Repeat[R], number: int, started: float, *, is_probe: bool
    ) -> Failure[R] | None:
        """Hold a request that has met a transient failure, or give it up."""
        now, error = self._now(), repeat.error
        if repeat.rounds == 0:  # what is known to fail is no trouble of the server
            # Nor is a 429: the limiter answers it with a slower pace, and fewer at once would only
            # halve that again.
            self._level.note(now, now - started, trouble=not isinstance(error, RateLimitError))
        is_held = self._queue.failed(repeat, number, now, now - started, is_probe=is_probe)
        self._changed.set()
        if is_probe and self._reported != self._queue.down_since:
            self._reported = self._queue.down_since
            log.warning(
                "%s: intake pauses until the server answers again: %s", self._operation.name, error
            )
        return None if is_held else Failure(repeat.request, error)

    def _arguments(self, request: object) -> tuple[dict[str, Any], str]:
        """Return the arguments of a request, and the key that its reference gives."""
        if not isinstance(request, self._request_type):
            request = self._from_mapping(request)
        given = dict(zip(self._fields, self._values(request), strict=True))
        reference = arguments.reference("reference", given.pop("reference"))
        given["business_id"] = business_id = self._caller.business_id
        return given, key_for_reference(self._operation.name, business_id or "", reference)

    def _from_mapping(self, request: object) -> R:
        if not isinstance(request, Mapping):
            arguments.refuse(
                "request",
                f"must be {self._request_type.__name__} or a mapping, not {type(request).__name__}",
            )
        for name in request:
            if name not in self._fields:
                arguments.refuse(
                    str(name), f"is not known; the names are {', '.join(self._fields)}"
                )
        for name, field in self._fields.items():
            if field.default is attrs.NOTHING and name not in request:
                arguments.refuse(name, "is missing")
        return self._request_type(**request)


def is_transient(error: PayChainError) -> bool:
    """Return whether an error describes only the state of the server or the network."""
    if isinstance(
        error,
        (
            ConnectionFailedError,
            RequestTimeoutError,
            RateLimitError,
            ServerError,
            IdempotencyInProgressError,
        ),
    ):
        return True
    return isinstance(error, APIError) and error.status in (408, 425)


class _Count:
    """Counts of outcomes, reported to the caller about once a second."""

    def __init__(self, progress: Callable[[Progress], None] | None) -> None:
        self._progress = progress
        self._started = self._reported = time.monotonic()
        self._ok = self._failed = 0

    def __str__(self) -> str:
        return f"{self._ok} results and {self._failed} errors"

    def add(self, ok: bool, concurrency: Callable[[], int]) -> None:
        self._ok += ok
        self._failed += not ok
        if self._progress is not None and time.monotonic() - self._reported >= _BETWEEN_REPORTS:
            self.report(concurrency())

    def report(self, concurrency: int) -> None:
        """Call the callback; one that has raised is not called again."""
        progress, self._progress = self._progress, None
        if progress is not None:
            self._reported = time.monotonic()
            progress(Progress(self._ok, self._failed, concurrency, self._reported - self._started))
            self._progress = progress
