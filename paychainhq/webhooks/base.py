"""Base of all receivers of webhooks: settings, handlers, claims, and the steps of a delivery."""

from __future__ import annotations

import json
import logging
import secrets as random
import time
from asyncio import CancelledError
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import attrs

from paychainhq._core import validators
from paychainhq._core.credentials import conceal
from paychainhq.errors import (
    ConfigurationError,
    DecodeError,
    LedgerError,
    WebhookVerificationError,
    printable,
)
from paychainhq.ledger.claims import Claims
from paychainhq.webhooks import signatures
from paychainhq.webhooks.handlers import Handler, check_handler
from paychainhq.webhooks.signatures import ConcealedHeaders

log = logging.getLogger("paychainhq")

LEASE = 60.0  # seconds until the first repeat of a webhook, by either API
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0

OK, BAD_REQUEST, FAILED, HELD = 200, 400, 500, 503

E = TypeVar("E")
H = TypeVar("H", bound=Callable[..., object])

Step = Callable[[], object] | Literal["handle"]
"""Step of a delivery: a call that waits for the ledger, or the handler."""


class Keeper(Protocol):
    """Ledger with claims: `SQLiteLedger`, `PostgresLedger`, `MemoryLedger`."""

    @property
    def claims(self) -> Claims: ...


@attrs.frozen
class Delivery(Generic[E]):
    """Verified webhook with a handler.

    Attributes:
        event: The content.
        handler: The handler.
        claim: The name of its claim.
        label: The text for the log: what it is about.
        began: The time of its arrival, in seconds of `time.monotonic`.
    """

    event: E
    handler: Handler[E]
    claim: str
    label: str
    began: float = attrs.field(factory=time.monotonic)


class BaseReceiver(Generic[E]):
    """Settings, handlers and claims of a receiver.

    A subclass for an API defines `_parse`, `_topic`, `_identity` and the two times, and one for a
    face runs the steps.
    """

    _within: ClassVar[float]
    """Seconds for a handler, before the API stops waiting for a response."""

    _spare: ClassVar[float] = 3.0
    """Seconds after that for recording the event as done."""

    def __init__(
        self, *, secrets: str | Sequence[str], ledger: Keeper, lease: float, name: str
    ) -> None:
        secrets = conceal(secrets)
        self._secrets = signatures.checked_secrets(secrets)
        if getattr(ledger, "claims", None) is None:
            raise ConfigurationError(
                "ledger must have claims, such as a paychainhq.ledger.SQLiteLedger"
            )
        self._ledger = ledger
        self._lease = validators.seconds("lease", lease)
        if self._lease <= self._within:
            raise ConfigurationError(
                f"lease must be longer than the {self._within:g} s of a handler, or two could run "
                "at once"
            )
        if not isinstance(name, str):
            raise ConfigurationError(f"name must be a string, not {type(name).__name__}")
        self._name = name
        self._handlers: dict[str, Handler[E]] = {}

    # --- what an API defines ---

    def _parse(self, body: bytes, headers: ConcealedHeaders) -> E:
        """Verify and decode a webhook."""
        raise NotImplementedError

    def _topic(self, event: E) -> str:
        """Return the text by which an event has its handler."""
        raise NotImplementedError

    def _identity(self, event: E) -> tuple[str, ...]:
        """Return the texts that identify an event in claims: the same for each delivery of it."""
        raise NotImplementedError

    # --- handlers ---

    def _registration(self, topic: str) -> Callable[[H], H]:
        """Return a decorator that registers a handler."""
        if topic in self._handlers:
            raise ConfigurationError(f"{topic} already has a handler")

        def register(handler: H) -> H:
            self._check(handler)
            self._handlers[topic] = handler
            return handler

        return register

    def claim_name(self, event: E) -> str:
        """Return the name of the claim on an event, which includes the receiver's name if any.

        On a `PostgresLedger`, a handler may record it as done in its own transaction.

        Source: docs/scale-out.md.
        """
        identity = self._identity(event)
        parts = [self._name, *identity] if self._name else [*identity]
        claim = parts[0] if len(parts) == 1 else _joined(parts)
        return printable(claim)  # a lone surrogate, for instance, cannot be stored

    def _check(self, handler: Handler[E]) -> None:
        """Raise `ConfigurationError` unless this receiver can run the handler."""
        check_handler(handler)

    def _opened(self, body: bytes, headers: ConcealedHeaders) -> Delivery[E] | int:
        """Return a delivery, or the status of the response if there is nothing to handle."""
        try:
            event = self._parse(body, headers)
        except WebhookVerificationError as error:
            log.warning("a webhook was refused: %s", error)
            return BAD_REQUEST
        except DecodeError as error:
            log.warning("a verified webhook could not be decoded: %s", error)
            return FAILED
        topic = self._topic(event)
        handler = self._handlers.get(topic)
        if handler is None:
            return OK
        label = f"{topic}: the event {printable(' '.join(self._identity(event)))}"
        return Delivery(event, handler, self.claim_name(event), label)

    # --- claims: these methods wait for the disk ---

    def _claim(self, delivery: Delivery[E], holder: str) -> int | None:
        """Claim an event; return None, or the status of the response if it must not be handled."""
        claimed = self._ledger.claims.claim(delivery.claim, holder, self._lease)
        return None if claimed == "claimed" else OK if claimed == "done" else HELD

    def _release(self, delivery: Delivery[E], holder: str) -> None:
        try:
            self._ledger.claims.release(delivery.claim, holder)
        except LedgerError as error:
            log.warning("%s: its claim stays until its lease ends: %s", delivery.label, error)

    def _settle(self, delivery: Delivery[E]) -> int:
        """Record an event as done, and return the status of the response.

        A failure is retried while the API waits for the response.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                self._ledger.claims.settle(delivery.claim)
                return OK
            except Exception as error:
                if time.monotonic() + pause > delivery.began + self._within + self._spare:
                    log.exception(
                        "%s: its handler has run, which could not be recorded: the event will be "
                        "delivered again, and its handler may run again",
                        delivery.label,
                    )
                    return FAILED
                log.info("retrying: %s could not be recorded as done: %s", delivery.label, error)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    # --- a delivery ---

    def _steps(
        self, delivery: Delivery[E], is_cancelled: Callable[[], bool]
    ) -> Generator[Step, Any, int]:
        """Yield the steps of a delivery: claim the event, handle it, record it as done.

        The caller runs each step, and sends its result or throws its exception.

        Args:
            delivery: The delivery.
            is_cancelled: Returns whether the task of the delivery is cancelled. Otherwise the
                handler has raised its CancelledError itself.

        Returns:
            The status of the response.
        """
        holder = random.token_hex(8)
        release = partial(self._release, delivery, holder)
        try:
            status = yield partial(self._claim, delivery, holder)
        except CancelledError:  # the event may be claimed by now
            yield release
            raise
        except Exception as error:  # noqa: BLE001 (logged)
            return _failed(delivery, error)
        if status is not None:
            return int(status)
        try:
            yield "handle"
        except BaseException as error:
            yield release
            if isinstance(error, Exception) or (
                isinstance(error, CancelledError) and not is_cancelled()
            ):
                return _failed(delivery, error)
            raise
        return int((yield partial(self._settle, delivery)))

    def _deliver(self, delivery: Delivery[E], handle: Callable[[], object]) -> int:
        """Run all steps of a delivery in this thread, and return the status of the response."""
        steps = self._steps(delivery, lambda: False)
        try:
            step = next(steps)
            while True:
                try:
                    result = handle() if step == "handle" else step()
                except BaseException as error:  # noqa: BLE001 (the delivery raises or logs it)
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as end:
            return int(end.value)


def _joined(parts: list[str]) -> str:
    """Return texts as one, which no other texts give."""
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def _failed(delivery: Delivery[Any], error: BaseException) -> int:
    """Log an error of the handler or the ledger, and return the status of the response."""
    log.error("%s was not handled, and will be delivered again", delivery.label, exc_info=error)
    return FAILED
