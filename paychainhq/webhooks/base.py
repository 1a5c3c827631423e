"""Base of both receivers of webhooks: settings, handlers, claims, and the steps of a delivery."""

from __future__ import annotations

import json
import logging
import secrets as random
import time
from asyncio import CancelledError
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, Literal, Protocol
from weakref import WeakSet

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
from paychainhq.models.invoices import InvoiceStatus
from paychainhq.models.webhooks import AnyEvent, Event, EventName
from paychainhq.telemetry import Outcome, Telemetry, checked
from paychainhq.webhooks import signatures
from paychainhq.webhooks.delivery import Delivery
from paychainhq.webhooks.events import parse
from paychainhq.webhooks.feed import Feed
from paychainhq.webhooks.handlers import H, Handler, check_handler
from paychainhq.webhooks.signatures import Headers

log = logging.getLogger("paychainhq")

WITHIN = 25.0  # seconds for a handler: the API waits 30 s for a response
SPARE = 3.0  # seconds after that for recording the event as done
_LEASE = 60.0  # seconds until the API's first repeat of an event
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0

# Names in the form of the one that is documented are no misspellings of it.
_event_name = validators.word(
    lambda: {*EventName, *(f"invoice.{status}" for status in InvoiceStatus)}
)

Step = Callable[[], object] | Literal["handle"]
"""Step of a delivery: a call that waits for the ledger, or the handler."""


class Keeper(Protocol):
    """Ledger with claims: `SQLiteLedger`, `MemoryLedger`."""

    @property
    def claims(self) -> Claims: ...


class BaseReceiver:
    """Settings, handlers and claims of a receiver."""

    def __init__(
        self,
        *,
        secrets: str | Sequence[str],
        ledger: Keeper,
        bearer: str | None = None,
        max_age: float | None = None,
        lease: float = _LEASE,
        name: str = "",
        telemetry: Telemetry | None = None,
    ) -> None:
        secrets, bearer = conceal(secrets), conceal(bearer)
        self._secrets, self._bearer = (
            signatures.checked_secrets(secrets),
            signatures.checked_bearer(bearer),
        )
        if getattr(ledger, "claims", None) is None:
            raise ConfigurationError(
                "ledger must have claims, such as a paychainhq.ledger.SQLiteLedger"
            )
        self._ledger = ledger
        self._max_age = max_age if max_age is None else validators.seconds("max_age", max_age)
        self._lease = validators.seconds("lease", lease)
        if self._lease <= WITHIN:
            raise ConfigurationError(
                f"lease must be longer than the {WITHIN:g} s of a handler, or two could run at once"
            )
        if not isinstance(name, str):
            raise ConfigurationError(f"name must be a string, not {type(name).__name__}")
        self._name = name
        self._telemetry = checked(telemetry)
        self._handlers: dict[str, Handler] = {}
        self._feeds: WeakSet[Feed] = WeakSet()

    def on(self, event: AnyEvent) -> Callable[[H], H]:
        """Return a decorator that registers a handler: `@receiver.on("invoice.paid")`.

        Args:
            event: The name of the events. Events without a handler are only acknowledged. A name
                that resembles a known one is a `UserWarning`.

        Raises:
            ConfigurationError: The name already has a handler, or the handler is invalid.
        """
        event = _event_name("event", event)
        if event in self._handlers:
            raise ConfigurationError(f"{event} already has a handler")

        def register(handler: H) -> H:
            self._check(handler)
            self._handlers[event] = handler
            return handler

        return register

    def invoice_ids(self) -> Feed:
        """Return the invoice ids of later webhooks, for `pay.invoices.watch(..., seen=...)`."""
        feed = Feed(self)
        self._feeds.add(feed)
        return feed

    def _check(self, handler: Handler) -> None:
        """Raise `ConfigurationError` unless this receiver can run the handler."""
        check_handler(handler)

    def _opened(
        self, body: bytes, headers: Headers, delivery: Delivery
    ) -> tuple[Event, Handler] | None:
        """Return an event and its handler; None without one, after the outcome is recorded."""
        try:
            event = parse(
                body, headers, secrets=self._secrets, bearer=self._bearer, max_age=self._max_age
            )
        except WebhookVerificationError as error:
            log.warning("a webhook was refused: %s", error, extra=about(None))
            delivery.outcome, delivery.error = "refused", error
            return None
        except DecodeError as error:
            log.warning("a webhook of the API could not be decoded: %s", error, extra=about(None))
            delivery.error = error
            return None
        delivery.event = str(event.event)
        if event.invoice_id is not None:
            for feed in list(self._feeds):
                feed.add(event.invoice_id)
        handler = self._handlers.get(event.event)
        if handler is None:
            delivery.outcome = "ignored"
            return None
        return event, handler

    # --- claims: these methods wait for the disk ---

    def _claim_of(self, event: Event) -> str:
        """Return the name of the claim on an event: its id, with the receiver's name if any."""
        claim = (
            json.dumps([self._name, event.id], ensure_ascii=False, separators=(",", ":"))
            if self._name
            else event.id
        )
        return printable(claim)  # a lone surrogate, for instance, cannot be stored

    def _claim(self, event: Event, holder: str) -> Outcome | None:
        """Claim an event; return None, or the outcome if it must not be handled."""
        claimed = self._ledger.claims.claim(self._claim_of(event), holder, self._lease)
        return None if claimed == "claimed" else "duplicate" if claimed == "done" else "held"

    def _release(self, event: Event, holder: str) -> None:
        try:
            self._ledger.claims.release(self._claim_of(event), holder)
        except LedgerError as error:
            log.warning(
                "the claim on the event %s stays until its lease ends: %s",
                printable(event.id),
                error,
                extra=about(event),
            )

    def _settle(self, event: Event, began: float, delivery: Delivery) -> Outcome:
        """Record an event as done, and return the outcome.

        A failure is retried while the API waits for the response.

        Args:
            event: The event, after its handler.
            began: The start of the delivery, in seconds of `time.monotonic`.
            delivery: The delivery.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                self._ledger.claims.settle(self._claim_of(event))
                return "done"
            except Exception as error:
                if time.monotonic() + pause > began + WITHIN + SPARE:
                    log.exception(
                        "%s: the handler of the event %s has run, which could not be recorded: the "
                        "event will be delivered again, and its handler may run again",
                        event.event,
                        printable(event.id),
                        extra=about(event),
                    )
                    delivery.error = error
                    return "failed"
                log.info(
                    "retrying: the event %s could not be recorded as done: %s",
                    printable(event.id),
                    error,
                    extra=about(event),
                )
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    # --- a delivery ---

    def _steps(
        self, event: Event, began: float, delivery: Delivery, is_cancelled: Callable[[], bool]
    ) -> Generator[Step, Any, Outcome]:
        """Yield the steps of a delivery: claim the event, handle it, record it as done.

        The caller runs each step, and sends its result or throws its exception.

        Args:
            event: The event.
            began: The start of the delivery, in seconds of `time.monotonic`.
            delivery: The delivery.
            is_cancelled: Returns whether the task of the delivery is cancelled. Otherwise the
                handler has raised its CancelledError itself.

        Returns:
            The outcome.
        """
        holder = random.token_hex(8)
        release = partial(self._release, event, holder)
        try:
            known: Outcome | None = yield partial(self._claim, event, holder)
        except CancelledError:  # the event may be claimed by now
            yield release
            raise
        except Exception as error:  # noqa: BLE001 (logged)
            return _failed(event, error, delivery)
        if known is not None:
            return known
        handling = time.perf_counter()
        try:
            try:
                yield "handle"
            finally:
                delivery.handled = time.perf_counter() - handling
        except BaseException as error:
            yield release
            if isinstance(error, Exception) or (
                isinstance(error, CancelledError) and not is_cancelled()
            ):
                return _failed(event, error, delivery)
            raise
        settled: Outcome = yield partial(self._settle, event, began, delivery)
        return settled

    def _deliver(self, event: Event, handler: Handler, delivery: Delivery) -> Outcome:
        """Run all steps of a delivery in this thread, and return the outcome."""
        steps = self._steps(event, time.monotonic(), delivery, lambda: False)
        try:
            step = next(steps)
            while True:
                try:
                    result = handler(event) if step == "handle" else step()
                except BaseException as error:  # noqa: BLE001 (the delivery raises or logs it)
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


def _failed(event: Event, error: BaseException, delivery: Delivery) -> Outcome:
    """Log an error of the handler or the ledger, and return the outcome."""
    delivery.error = error
    log.error(
        "%s: the event %s was not handled, and will be delivered again",
        event.event,
        printable(event.id),
        exc_info=error,
        extra=about(event),
    )
    return "failed"


def about(event: Event | None) -> dict[str, dict[str, str | None]]:
    """Return the `extra` of a log record about a webhook, with its event once that is verified."""
    name, id_ = (None, None) if event is None else (str(event.event), event.id)
    return {"paychainhq": {"event": name, "event_id": id_}}
