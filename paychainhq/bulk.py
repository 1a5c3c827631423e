"""Creating many things: concurrently, with an outcome for each, through outages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from paychainhq import arguments, config
from paychainhq.calls import Caller
from paychainhq.errors import (
    APIError,
    ConnectionFailedError,
    IdempotencyInProgressError,
    PayChainError,
    RateLimitError,
    RequestTimeoutError,
    Sent,
    ServerError,
)
from paychainhq.idempotency import key_for_reference
from paychainhq.jobs import Outcome
from paychainhq.operations import Operation

log = logging.getLogger("paychainhq")

R = TypeVar("R")
T = TypeVar("T")

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0
_SHORTEST_PROBE = 0.1
_SENT: list[Sent] = ["no", "unknown", "yes"]


Requests = Iterable[R | Mapping[str, Any]] | AsyncIterable[R | Mapping[str, Any]]


def create_many(
    caller: Caller,
    operation: Operation[T],
    request_type: type[R],
    requests: Requests[R],
    concurrency: int,
    give_up_after: float,
    business_id: str | None,
) -> AsyncGenerator[Outcome[R, T], None]:
    """Run a job; the arguments are those of `pay.invoices.create_many`."""
    config.at_least(1, "concurrency", concurrency)
    config.seconds("give_up_after", give_up_after, zero=True)
    caller = attrs.evolve(caller, business_id=business_id or caller.business_id)
    caller.complete(operation, {})
    return _Job(caller, operation, request_type, give_up_after).run(requests, concurrency)


class _Job(Generic[R, T]):
    """One run of `create_many`: workers that share an intake, and what they know of the server's state."""

    def __init__(self, caller: Caller, operation: Operation[T], request_type: type[R], give_up_after: float) -> None:
        self._caller = caller
        self._operation = operation
        self._request_type = request_type
        self._give_up_after = give_up_after
        self._down_since: float | None = None
        self._given_up: PayChainError | None = None
        self._probing = asyncio.Lock()
        self._pause = _FIRST_PAUSE

    async def run(self, requests: Requests[R], concurrency: int) -> AsyncGenerator[Outcome[R, T], None]:
        intake = _Intake(requests)
        # As small as that: a caller who does not take outcomes holds up the workers, and these the intake.
        outcomes: asyncio.Queue[Outcome[R, T] | None] = asyncio.Queue(concurrency)
        workers = [asyncio.create_task(self._work(intake, outcomes)) for _ in range(concurrency)]
        try:
            working = concurrency
            while working:
                outcome = await outcomes.get()
                if outcome is None:
                    working -= 1
                else:
                    yield outcome
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if intake.failure is not None:
            raise intake.failure

    async def _work(self, intake: _Intake[R], outcomes: asyncio.Queue[Outcome[R, T] | None]) -> None:
        try:
            async for request in intake:
                await outcomes.put(await self._outcome(request))
        except Exception as error:  # noqa: BLE001 (a middleware of the caller's failed)
            intake.end(error)
        await outcomes.put(None)

    async def _outcome(self, request: R | Mapping[str, Any]) -> Outcome[R, T]:
        try:
            given, key = self._arguments(request)
            return Outcome(request, await self._create(given, key))
        except PayChainError as error:
            error.operation = self._operation.name
            return Outcome(request, error=error)

    def _arguments(self, request: object) -> tuple[dict[str, Any], str]:
        """Return the arguments of a request, and the key that its reference gives."""
        if isinstance(request, Mapping):
            request = self._from_mapping(request)
        if not isinstance(request, self._request_type):
            arguments.refuse("request", f"must be {self._request_type.__name__} or a mapping, not {type(request).__name__}")
        given = attrs.asdict(request, recurse=False)  # type: ignore[arg-type]
        reference = arguments.text("reference", given.pop("reference"))
        return given, key_for_reference(self._operation.name, self._caller.business_id or "", reference)

    def _from_mapping(self, request: Mapping[str, Any]) -> R:
        fields = attrs.fields_dict(self._request_type)  # type: ignore[arg-type]
        for name in request:
            if name not in fields:
                arguments.refuse(str(name), f"is not known; the names are {', '.join(fields)}")
        for name, field in fields.items():
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
        now = asyncio.get_running_loop().time()
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
        try:
            result = await caller.call(self._operation, given, key)
        except PayChainError as error:
            if is_transient(error):
                self._note_failure(error)
            elif error.sent == "yes":
                self._down_since = None
            raise
        self._down_since = None
        return result

    def _note_failure(self, error: PayChainError) -> None:
        now = asyncio.get_running_loop().time()
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
        self._requests = requests.__aiter__() if isinstance(requests, AsyncIterable) else _asynchronously(requests)
        self._lock = asyncio.Lock()
        self._ended = False
        self.failure: Exception | None = None

    def __aiter__(self) -> _Intake[R]:
        return self

    async def __anext__(self) -> R | Mapping[str, Any]:
        async with self._lock:
            if not self._ended:
                try:
                    return await anext(self._requests)
                except StopAsyncIteration:
                    self._ended = True
                except Exception as error:  # noqa: BLE001 (the caller's own: told once what is under way is done)
                    self.end(error)
            raise StopAsyncIteration

    def end(self, failure: Exception) -> None:
        self._ended = True
        self.failure = failure


async def _asynchronously(items: Iterable[R]) -> AsyncIterator[R]:
    for item in items:
        yield item
