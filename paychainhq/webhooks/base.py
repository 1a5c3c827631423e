"""Base of all receivers of webhooks: settings, handlers, claims, and the steps of a delivery."""

from __future__ import annotations

import json
import logging
import secrets as random
import time
from asyncio import CancelledError
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

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
from paychainhq.telemetry import Telemetry, checked
from paychainhq.webhooks import signatures
from paychainhq.webhooks.handlers import Handler, check_handler
from paychainhq.webhooks.reception import Reception
from paychainhq.webhooks.signatures import ConcealedHeaders

if TYPE_CHECKING:
    from paychainhq.telemetry.facts import Outcome

log = logging.getLogger("paychainhq")

LEASE = 60.0  # seconds until the first repeat of a webhook, by either API
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0

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
        topic: The text by which the event has its handler.
        id: The texts that identify the event, as one.
        claim: The name of its claim.
        reception: Its reception.
        began: The time of its arrival, in seconds of `time.monotonic`.
    """

    event: E
    handler: Handler[E]
    topic: str
    id: str
    claim: str
    reception: Reception
    began: float = attrs.field(factory=time.monotonic)

    @property
    def label(self) -> str:
        """Return the text for the log: what it is about."""
        return f"{self.topic}: the event {self.id}"

    @property
    def extra(self) -> dict[str, dict[str, str | None]]:
        """Return the `extra` of a log record about it."""
        return about(self.topic, self.id)


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
        self,
        *,
        secrets: str | Sequence[str],
        ledger: Keeper,
        lease: float,
        name: str,
        telemetry: Telemetry | None,
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
        self._telemetry = checked(telemetry)
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

    def _opened(
        self, body: bytes, headers: ConcealedHeaders, reception: Reception
    ) -> Delivery[E] | None:
        """Return a delivery; None if there is nothing to handle, after recording the outcome."""
        try:
            event = self._parse(body, headers)
        except WebhookVerificationError as error:
            log.warning("a webhook was refused: %s", error, extra=about())
            reception.outcome, reception.error = "refused", error
            return None
        except DecodeError as error:
            log.warning("a verified webhook could not be decoded: %s", error, extra=about())
            reception.error = error
            return None
        topic = reception.event = str(self._topic(event))
        handler = self._handlers.get(topic)
        if handler is None:
            reception.outcome = "ignored"
            return None
        return Delivery(
            event,
            handler,
            topic,
            printable(" ".join(self._identity(event))),
            self.claim_name(event),
            reception,
        )

    # --- claims: these methods wait for the disk ---

    def _claim(self, delivery: Delivery[E], holder: str) -> Outcome | None:
        """Claim an event; return None, or the outcome if it must not be handled."""
        claimed = self._ledger.claims.claim(delivery.claim, holder, self._lease)
        return None if claimed == "claimed" else "duplicate" if claimed == "done" else "held"

    def _release(self, delivery: Delivery[E], holder: str) -> None:
        try:
            self._ledger.claims.release(delivery.claim, holder)
        except LedgerError as error:
            log.warning(
                "%s: its claim stays until its lease ends: %s",
                delivery.label,
                error,
                extra=delivery.extra,
            )

    def _settle(self, delivery: Delivery[E]) -> Outcome:
        """Record an event as done, and return the outcome.

        A failure is retried while the API waits for the response.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                self._ledger.claims.settle(delivery.claim)
                return "done"
            except Exception as error:
                if time.monotonic() + pause > delivery.began + self._within + self._spare:
                    log.exception(
                        "%s: its handler has run, which could not be recorded: the event will be "
                        "delivered again, and its handler may run again",
                        delivery.label,
                        extra=delivery.extra,
                    )
                    delivery.reception.error = error
                    return "failed"
                log.info(
                    "retrying: %s could not be recorded as done: %s",
                    delivery.label,
                    error,
                    extra=delivery.extra,
                )
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    # --- a delivery ---

    def _steps(
        self, delivery: Delivery[E], is_cancelled: Callable[[], bool]
    ) -> Generator[Step, Any, Outcome]:
        """Yield the steps of a delivery: claim the event, handle it, record it as done.

        The caller runs each step, and sends its result or throws its exception.

        Args:
            delivery: The delivery.
            is_cancelled: Returns whether the task of the delivery is cancelled. Otherwise the
                handler has raised its CancelledError itself.

        Returns:
            The outcome.
        """
        holder = random.token_hex(8)
        release = partial(self._release, delivery, holder)
        try:
            known: Outcome | None = yield partial(self._claim, delivery, holder)
        except CancelledError:  # the event may be claimed by now
            yield release
            raise
        except Exception as error:  # noqa: BLE001 (logged)
            return _failed(delivery, error)
        if known is not None:
            return known
        handling = time.perf_counter()
        try:
            try:
                yield "handle"
            finally:
                delivery.reception.handled = time.perf_counter() - handling
        except BaseException as error:
            yield release
            if isinstance(error, Exception) or (
                isinstance(error, CancelledError) and not is_cancelled()
            ):
                return _failed(delivery, error)
            raise
        settled: Outcome = yield partial(self._settle, delivery)
        return settled

    def _deliver(self, delivery: Delivery[E], handle: Callable[[], object]) -> Outcome:
        """Run all steps of a delivery in this thread, and return the outcome."""
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
            outcome: Outcome = end.value
            return outcome


def _joined(parts: list[str]) -> str:
    """Return texts as one, which no other texts give."""
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def _failed(delivery: Delivery[Any], error: BaseException) -> Outcome:
    """Log an error of the handler or the ledger, and return the outcome."""
    delivery.reception.error = error
    log.error(
        "%s was not handled, and will be delivered again",
        delivery.label,
        exc_info=error,
        extra=delivery.extra,
    )
    return "failed"


def about(event: str | None = None, id_: str | None = None) -> dict[str, dict[str, str | None]]:
    """Return the `extra` of a log record about a webhook, with its event once that is verified."""
    return {"paychainhq": {"event": event, "event_id": id_}}
