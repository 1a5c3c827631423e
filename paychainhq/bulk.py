"""Creating many things: concurrently, with an outcome for each, through outages."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, Generic, Literal, TypeVar

import attrs

from paychainhq import arguments, config
from paychainhq.calls import Caller
from paychainhq.concurrency import Level
from paychainhq.errors import (
    APIError,
    ConnectionFailedError,
    IdempotencyInProgressError,
    LedgerError,
    PayChainError,
    RateLimitError,
    RequestTimeoutError,
    Sent,
    ServerError,
)
from paychainhq.exchange import ResponseInfo
from paychainhq.gate import Gate
from paychainhq.idempotency import key_for_reference
from paychainhq.jobs import Outcome, Progress
from paychainhq.ledger.base import Ledger
from paychainhq.operations import Operation

log = logging.getLogger("paychainhq")

R = TypeVar("R")
T = TypeVar("T")

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0
_SHORTEST_PROBE = 0.1
_BETWEEN_REPORTS = 1.0
_RECORDING = 32  # more at once make a transaction cheaper by little, and a job's memory larger
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
) -> AsyncGenerator[Outcome[R, T], None]:
    """Run a job; the arguments are those of `pay.invoices.create_many`."""
    if concurrency == "auto":
        level = Level(caller.transport.route.max_connections)
    else:
        level = Level(config.at_least(1, "concurrency", concurrency), fixed=True)
    config.seconds("give_up_after", give_up_after, zero=True)
    ledger = caller.ledger if ledger is None else ledger
    caller = attrs.evolve(caller, business_id=business_id or caller.business_id, ledger=ledger)
    caller.complete(operation, {})
    return _Job(caller, operation, request_type, level, give_up_after).run(requests, progress)


class _Job(Generic[R, T]):
    """One run of `create_many`: workers that share an intake, and what they know of the server's state."""

    def __init__(self, caller: Caller, operation: Operation[T], request_type: type[R], level: Level, give_up_after: float) -> None:
        self._gate = None if caller.ledger is None else Gate(caller.ledger, level)
        self._caller = attrs.evolve(caller, ledger=self._gate)
        self._operation = operation
        self._request_type = request_type
        self._fields = attrs.fields_dict(request_type)  # type: ignore[arg-type]
        self._values = attrgetter(*self._fields)
        self._level = level
        self._give_up_after = give_up_after
        self._down_since: float | None = None
        self._given_up: PayChainError | None = None
        self._probing = asyncio.Lock()
        self._pause = _FIRST_PAUSE
        self._now: Callable[[], float] = time.monotonic
        self._workers: set[asyncio.Task[None]] = set()
        self._done: deque[Outcome[R, T]] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    async def run(self, requests: Requests[R], progress: Callable[[Progress], None] | None) -> AsyncGenerator[Outcome[R, T], None]:
        self._now = asyncio.get_running_loop().time
        intake = _Intake(requests)
        count = None if progress is None else _Count(progress)
        self._hire(intake)
        try:
            while self._workers or self._done:
                while self._done:
                    outcome = self._done.popleft()
                    self._room.set()
                    if count is not None:
                        count.add(outcome.ok, min(len(self._workers), self._level.value))
                    yield outcome
                self._news.clear()
                if self._workers and not self._done:
                    await self._news.wait()
        finally:
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
        if count is not None:
            count.report(0)
        if intake.failure is not None:
            raise intake.failure

    def _hire(self, intake: _Intake[R]) -> None:
        while len(self._workers) < self._wanted() and not intake.ended:
            worker = asyncio.create_task(self._work(intake))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    def _wanted(self) -> int:
        """How many workers there should be: those that record do not keep others from sending, and one alone keeps the order."""
        sending = self._level.value
        return sending if self._gate is None else sending + min(2 * (sending - 1), _RECORDING)

    async def _work(self, intake: _Intake[R]) -> None:
        try:
            async for request in intake:
                self._done.append(await self._outcome(request))
                self._news.set()
                # Whoever does not take outcomes holds up the workers, and these the intake.
                while len(self._done) >= self._level.most:
                    self._room.clear()
                    await self._room.wait()
                wanted = self._wanted()
                if len(self._workers) > wanted:
                    break
                if len(self._workers) < wanted:
                    self._hire(intake)
        except Exception as error:  # noqa: BLE001 (the ledger, or a middleware of the caller's, failed)
            intake.end(error)
        self._workers.discard(asyncio.current_task())
        self._news.set()

    async def _outcome(self, request: R | Mapping[str, Any]) -> Outcome[R, T]:
        try:
            given, key = self._arguments(request)
            return Outcome(request, await self._create(given, key))
        except LedgerError:
            raise  # this is no answer about the request: the job ends, and nothing that was recorded is lost
        except PayChainError as error:
            error.operation = self._operation.name
            return Outcome(request, error=error)

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
            arguments.refuse("request", f"must be {self._request_type.__name__} or a mapping, not {type(request).__name__}")
        for name in request:
            if name not in self._fields:
                arguments.refuse(str(name), f"is not known; the names are {', '.join(self._fields)}")
        for name, field in self._fields.items():
            if field.default is attrs.NOTHING and name not in request:
                arguments.refuse(name, "is missing")
        return self._request_type(**request)

    async def _create(self, given: dict[str, Any], key: str) -> T:
        """Ask until there is a definite answer, or until the job is given up."""
        met: PayChainError | None = None
        while self._given_up is None:
            try:
                if self._down_since is None:
                    return await self._call(self._caller, given, key)
                async with self._probing:
                    if self._down_since is not None and self._given_up is None:
                        return await self._probe(given, key)
            except PayChainError as error:
                if not is_transient(error):
                    raise
                if met is not None and _SENT.index(met.sent) > _SENT.index(error.sent):
                    error.sent = met.sent
                met = error
        if met is None:
            facts = vars(self._given_up) | {"idempotency_key": key, "attempts": (), "sent": "no", "request_id": None}
            met = type(self._given_up)(**facts)
        raise met

    async def _probe(self, given: dict[str, Any], key: str) -> T:
        """Ask once, and wait a little if that was in vain."""
        now = self._now()
        left = self._give_up_after - (now - (self._down_since or now))
        policy = self._caller.retry
        once = attrs.evolve(
            self._caller,
            timeout=min(self._caller.timeout, max(left, _SHORTEST_PROBE)),
            retry=None if policy is None else attrs.evolve(policy, attempts=1),
        )
        try:
            return await self._call(once, given, key)
        except PayChainError as error:
            if is_transient(error) and self._given_up is None:
                await asyncio.sleep(self._pause)
                self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            raise

    async def _call(self, caller: Caller, given: dict[str, Any], key: str) -> T:
        """Ask, and note what the answer says of the server's state."""
        started = self._now()
        try:
            result = await caller.call(self._operation, given, key)
        except PayChainError as error:
            if is_transient(error):
                self._note_failure(error)
            elif error.sent == "yes":
                self._down_since = None
            self._level.note(self._now(), self._now() - started, trouble=is_transient(error))
            raise
        finally:
            if self._gate is not None:
                self._gate.leave()
        self._down_since = None
        response: ResponseInfo | None = getattr(result, "response", None)
        attempts = () if response is None else response.attempts
        # A 429 is no trouble here: the limiter answers it with a slower pace, and fewer at once would only halve that again.
        failed = len(attempts) > 1 and any(attempt.status != 429 for attempt in attempts[:-1])
        self._level.note(self._now(), self._now() - started, trouble=failed)
        return result

    def _note_failure(self, error: PayChainError) -> None:
        now = self._now()
        if self._down_since is None:
            log.warning("%s: intake pauses until the server answers again: %s", self._operation.name, error)
            self._down_since, self._pause = now, _FIRST_PAUSE
        if now - self._down_since >= self._give_up_after:
            self._given_up = error


def is_transient(error: PayChainError) -> bool:
    """Whether an error speaks only of the state of the server or the network."""
    if isinstance(error, (ConnectionFailedError, RequestTimeoutError, RateLimitError, ServerError, IdempotencyInProgressError)):
        return True
    return isinstance(error, APIError) and error.status in (408, 425)


class _Intake(Generic[R]):
    """The requests, read one at a time by whichever worker is free; a failure of theirs ends the intake and is kept."""

    def __init__(self, requests: Requests[R]) -> None:
        self._next: Callable[[], R | Mapping[str, Any]] | None = None
        if isinstance(requests, AsyncIterable):
            self._later = aiter(requests)
        else:
            self._next = iter(requests).__next__
        self._lock = asyncio.Lock()
        self.ended = False
        self.failure: Exception | None = None

    def __aiter__(self) -> _Intake[R]:
        return self

    async def __anext__(self) -> R | Mapping[str, Any]:
        try:
            if self.ended:
                raise StopAsyncIteration
            if self._next is not None:
                return self._next()
            async with self._lock:
                if not self.ended:
                    return await anext(self._later)
        except (StopAsyncIteration, StopIteration):
            self.ended = True
        except Exception as error:  # noqa: BLE001 (the caller's own: told once what is under way is done)
            self.end(error)
        raise StopAsyncIteration

    def end(self, failure: Exception) -> None:
        self.ended = True
        self.failure = self.failure or failure


class _Count:
    """Counts outcomes, and tells the caller of them about once a second."""

    def __init__(self, progress: Callable[[Progress], None]) -> None:
        self._progress = progress
        self._started = self._reported = time.monotonic()
        self._ok = self._failed = 0

    def add(self, ok: bool, concurrency: int) -> None:
        self._ok += ok
        self._failed += not ok
        if time.monotonic() - self._reported >= _BETWEEN_REPORTS:
            self.report(concurrency)

    def report(self, concurrency: int) -> None:
        self._reported = time.monotonic()
        self._progress(Progress(self._ok, self._failed, concurrency, self._reported - self._started))
