"""Receiver of the gateway's webhooks, without a face: verification, statuses, claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from paychainhq._core import validators
from paychainhq._core.credentials import conceal
from paychainhq._core.words import word
from paychainhq.gateway.models import AnyPaymentStatus, PaymentStatus
from paychainhq.gateway.webhooks.events import Event, parse
from paychainhq.telemetry import Telemetry
from paychainhq.webhooks.base import LEASE, BaseReceiver, Keeper
from paychainhq.webhooks.handlers import Handler
from paychainhq.webhooks.signatures import ConcealedHeaders

H = TypeVar("H", bound=Handler[Event])

_status = word(lambda: PaymentStatus)


class GatewayReceiver(BaseReceiver[Event]):
    """Receiver of the gateway's webhooks: handlers and claims go by the signed status."""

    # The gateway waits 10 s for a response.
    _within = 7.0
    _spare = 2.0

    def __init__(
        self,
        *,
        secrets: str | Sequence[str],
        ledger: Keeper,
        max_age: float = 300.0,
        lease: float = LEASE,
        name: str = "",
        telemetry: Telemetry | None = None,
    ) -> None:
        secrets = conceal(secrets)
        super().__init__(
            secrets=secrets, ledger=ledger, lease=lease, name=name, telemetry=telemetry
        )
        self._max_age = validators.seconds("max_age", max_age)

    def on(self, status: AnyPaymentStatus) -> Callable[[H], H]:
        """Return a decorator that registers a handler: `@receiver.on("RECEIVED")`.

        Args:
            status: The status of the payment, which is signed. Statuses without a handler are only
                acknowledged. One that resembles a known one is a `UserWarning`.

        Raises:
            ConfigurationError: The status already has a handler, the handler is invalid, or the
                status is the name of an event (`payment.completed`), which is not signed.
        """
        status = _status("status", status)
        if status.startswith("payment."):
            validators.invalid(
                "status",
                f"must be the status of a payment, such as 'RECEIVED', not {status!r}: the name of "
                "an event is not signed (payment.received and payment.completed have the status "
                "RECEIVED)",
            )
        return self._registration(status)

    def _parse(self, body: bytes, headers: ConcealedHeaders) -> Event:
        return parse(body, headers, secrets=self._secrets, max_age=self._max_age)

    def _topic(self, event: Event) -> str:
        return event.payment.status

    def _identity(self, event: Event) -> tuple[str, ...]:
        return "payment", event.payment.id, event.payment.status
