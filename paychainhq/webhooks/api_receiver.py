"""Receiver of the API's webhooks, without a face: verification, event names, feeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self, TypedDict, TypeVar, Unpack, cast
from weakref import WeakSet

from paychainhq._core import validators
from paychainhq._core.credentials import conceal
from paychainhq._core.settings import WEBHOOK_VARIABLES, environment_settings
from paychainhq._core.words import word
from paychainhq.models.invoices import InvoiceStatus
from paychainhq.models.webhooks import AnyEvent, Event, EventName
from paychainhq.telemetry import Telemetry
from paychainhq.webhooks import signatures
from paychainhq.webhooks.base import LEASE, BaseReceiver, Keeper
from paychainhq.webhooks.events import parse
from paychainhq.webhooks.feed import Feed
from paychainhq.webhooks.handlers import Handler
from paychainhq.webhooks.signatures import ConcealedHeaders

H = TypeVar("H", bound=Handler[Event])

# Names in the form of the one that is documented are no misspellings of it.
_event_name = word(lambda: {*EventName, *(f"invoice.{status}" for status in InvoiceStatus)})


class ReceiverSettings(TypedDict, total=False):
    """Arguments of `Receiver` without its ledger, as a type for annotations."""

    secrets: str | Sequence[str]
    bearer: str | None
    max_age: float | None
    lease: float
    name: str
    telemetry: Telemetry | None


class APIReceiver(BaseReceiver[Event]):
    """Receiver of the API's webhooks: events are claimed by their id."""

    _within = 25.0  # the API waits 30 s for a response

    def __init__(
        self,
        *,
        secrets: str | Sequence[str],
        ledger: Keeper,
        bearer: str | None = None,
        max_age: float | None = None,
        lease: float = LEASE,
        name: str = "",
        telemetry: Telemetry | None = None,
    ) -> None:
        secrets, bearer = conceal(secrets), conceal(bearer)
        super().__init__(
            secrets=secrets, ledger=ledger, lease=lease, name=name, telemetry=telemetry
        )
        self._bearer = signatures.checked_bearer(bearer)
        self._max_age = max_age if max_age is None else validators.seconds("max_age", max_age)
        self._feeds: WeakSet[Feed] = WeakSet()

    @classmethod
    def from_env(cls, *, ledger: Keeper, **settings: Unpack[ReceiverSettings]) -> Self:
        """Return a receiver with the webhook secret from the environment.

        The secret is `PAYCHAIN_WEBHOOK_SECRET`, or else the content of the file that
        `PAYCHAIN_WEBHOOK_SECRET_FILE` names. During a rotation, pass `secrets=`.

        Args:
            ledger: The storage of claims.
            settings: Other arguments of the constructor, which precede the environment.

        Raises:
            ConfigurationError: The variable is not set, its file cannot be read, or a setting is
                invalid.

        Source: the name of the variable: the public guide to webhooks.
        """
        settings = cast(
            "ReceiverSettings",
            {
                name: conceal(value) if name in ("secrets", "bearer") else value
                for name, value in settings.items()
            },
        )
        return cls(ledger=ledger, **environment_settings(settings, WEBHOOK_VARIABLES))

    def on(self, event: AnyEvent) -> Callable[[H], H]:
        """Return a decorator that registers a handler: `@receiver.on("invoice.paid")`.

        Args:
            event: The name of the events. Events without a handler are only acknowledged. A name
                that resembles a known one is a `UserWarning`.

        Raises:
            ConfigurationError: The name already has a handler, or the handler is invalid.
        """
        return self._registration(_event_name("event", event))

    def invoice_ids(self) -> Feed:
        """Return the invoice ids of later webhooks, for `pay.invoices.watch(..., seen=...)`."""
        feed = Feed(self)
        self._feeds.add(feed)
        return feed

    def _parse(self, body: bytes, headers: ConcealedHeaders) -> Event:
        event = parse(
            body, headers, secrets=self._secrets, bearer=self._bearer, max_age=self._max_age
        )
        if event.invoice_id is not None:
            for feed in list(self._feeds):
                feed.add(event.invoice_id)
        return event

    def _topic(self, event: Event) -> str:
        return event.event

    def _identity(self, event: Event) -> tuple[str, ...]:
        return (event.id,)
