"""Events of the gateway's webhooks: verification, decoding, and signatures for tests."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Protocol, TypeVar

import attrs

from paychainhq import codec
from paychainhq._core import validators
from paychainhq._core.credentials import conceal
from paychainhq._core.validators import header_value
from paychainhq.errors import WebhookVerificationError
from paychainhq.gateway.models import Payment
from paychainhq.models.base import Model
from paychainhq.webhooks import signatures
from paychainhq.webhooks.signatures import Headers

T_co = TypeVar("T_co", covariant=True)

_EVENT = "X-PaymentService-Event"
_TIMESTAMP = "X-PaymentService-Timestamp"
_SIGNATURE = "X-PaymentService-Signature"
_SECONDS = re.compile(r"[0-9]{1,11}")


class _Payments(Protocol[T_co]):
    def get(self, payment_id: str, /) -> T_co: ...


class _Client(Protocol[T_co]):
    """Client of either face: its `payments.get` returns a payment, or a coroutine of one."""

    @cached_property
    def payments(self) -> _Payments[T_co]: ...


class EventName(StrEnum):
    """Name of an event; names are added over time, so an event may have any text."""

    COMPLETED = "payment.completed"
    RECEIVED = "payment.received"
    UNDERPAID = "payment.underpaid"
    REFUND = "payment.refund"


@attrs.frozen(kw_only=True)
class Event(Model):
    """Event of the gateway.

    Body and timestamp are signed, the name of the event is not: an attacker who has seen a webhook
    can send it again under another name until its timestamp is too old. So decide by `payment`, and
    not by `event`: fulfil when `payment.is_paid`, once for each `payment.id` (`payment.received`
    and `payment.completed` have the same status), or read the payment with `fetch`.

    The gateway writes no such object: `to_dict` has these three fields, and `from_json` reads them.

    Attributes:
        event: The name, such as `payment.completed`; not signed.
        payment: The payment at the time of the event; signed.
        timestamp: The time of sending; signed.

    Source: the gateway's pages on webhook events and webhook security.
    """

    event: EventName | str
    payment: Payment
    timestamp: datetime

    def fetch(self, gateway: _Client[T_co]) -> T_co:
        """Return the current state of the payment.

        Args:
            gateway: A client; the result of an asynchronous one is awaitable.
        """
        return gateway.payments.get(self.payment.id)


def parse(
    body: bytes, headers: Headers, *, secrets: str | Sequence[str], max_age: float = 300.0
) -> Event:
    """Verify and decode a webhook.

    Respond with 2xx within ten seconds, also to unknown events; otherwise the gateway sends the
    webhook again, up to seven times in all over some 40 hours. The status of the payment becomes
    `CONFIRMED` only after the response: do not wait for it in a handler.

    Args:
        body: The raw body, unparsed.
        headers: The headers, as a mapping or as pairs; their names may be in any case.
        secrets: The application's webhook secret, or several during its rotation.
        max_age: Refuse a timestamp that differs from now by more than this number of seconds,
            either way. No page says whether a webhook that is sent again has a new timestamp; if
            yours are refused as too old, it has not.

    Raises:
        WebhookVerificationError: The webhook is not verified as the gateway's.
        DecodeError: The webhook is verified, but holds no payment.
        ConfigurationError: The secrets are invalid; or, as an InvalidArgumentError, the body or the
            headers are.

    Source: the gateway's pages on webhook security, webhook events and webhook retries.
    """
    secrets = conceal(secrets)
    headers = signatures.concealed_headers(headers)
    secrets, body = signatures.checked_secrets(secrets), signatures.checked_body(body, headers)
    validators.seconds("max_age", max_age)
    event, written = (
        str(signatures.header(headers, _EVENT)),
        str(signatures.header(headers, _TIMESTAMP)),
    )
    if not _SECONDS.fullmatch(written):
        raise WebhookVerificationError(f"the header {_TIMESTAMP} is not a number of seconds")
    signatures.verify(secrets, _signed(written, body), signatures.header(headers, _SIGNATURE))
    signatures.check_age(int(written), max_age)
    payment = codec.decode_webhook(Payment, body, inside="payment")
    known = EventName(event) if event in set(EventName) else event
    return Event(event=known, payment=payment, timestamp=datetime.fromtimestamp(int(written), UTC))


def sign(
    body: bytes, *, secret: str, event: str = EventName.COMPLETED, timestamp: float | None = None
) -> dict[str, str]:
    """Return the headers of the gateway for a body, for tests.

    Args:
        body: The raw body.
        secret: The webhook secret.
        event: The name of the event.
        timestamp: The time of sending in seconds since 1970; None is now.

    Source: the gateway's page on webhook security.
    """
    secret = conceal(secret)
    (secret,) = signatures.checked_secrets(secret)
    written = str(int(time.time() if timestamp is None else timestamp))
    return {
        "Content-Type": "application/json",
        _EVENT: header_value("event", str(event)),
        _TIMESTAMP: written,
        _SIGNATURE: signatures.signature(secret, _signed(written, signatures.checked_body(body))),
    }


def _signed(timestamp: str, body: bytes) -> bytes:
    return timestamp.encode() + b"." + body
