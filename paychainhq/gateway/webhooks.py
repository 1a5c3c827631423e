"""The gateway's webhooks, verified and decoded; `sign` writes what the gateway would send."""

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
    """What an event is called; more may come, so any text may."""

    COMPLETED = "payment.completed"
    RECEIVED = "payment.received"
    UNDERPAID = "payment.underpaid"
    REFUND = "payment.refund"


@attrs.frozen(kw_only=True)
class Event:
    """A notice of the gateway.

    The name of the event is not signed: whoever has seen a webhook can send it again under another
    name, as long as its timestamp is young enough. Body and timestamp are signed. So let `payment`
    decide, and not `event`: fulfil when `payment.is_paid`, once for each `payment.id`
    (`payment.received` and `payment.completed` come with the same status), or ask with `fetch`.

    Attributes:
        event: Its name, such as `payment.completed`; not signed.
        payment: The payment, as it was when the notice was made; signed.
        timestamp: When it was sent; signed.

    Source: the gateway's pages on webhook events and webhook security.
    """

    event: EventName | str
    payment: Payment
    timestamp: datetime

    def fetch(self, gateway: _Client[T_co]) -> T_co:
        """Return the current state of the payment.

        Args:
            gateway: A client; of an async one the result is to be awaited.
        """
        return gateway.payments.get(self.payment.id)


def parse(
    body: bytes, headers: Headers, *, secrets: str | Sequence[str], max_age: float = 300.0
) -> Event:
    """Verify a webhook and decode it.

    Answer 2xx within ten seconds, also to events that you do not know; everything else is sent
    again, with seven attempts in all over some 40 hours. The status of the payment becomes
    `CONFIRMED` only after that answer: do not wait for it in a handler.

    Args:
        body: The body as it came, before anything has parsed it.
        headers: The headers, as a mapping or as pairs; their names may be in any case.
        secrets: The application's webhook secret, or several while it is being changed.
        max_age: Refuse a timestamp that is more seconds than that away from now, either way. No
            page says whether a webhook that is sent again has a new timestamp; if yours are refused
            as too old, it has not.

    Raises:
        WebhookVerificationError: It is not proven to be from the gateway.
        DecodeError: It is, and it holds no payment.
        ConfigurationError: The secrets cannot be any, or (InvalidArgumentError) the body or the
            headers.

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
    """Return the headers that the gateway would send with a body: for tests.

    Args:
        body: The raw body.
        secret: The webhook secret.
        event: The name of the event.
        timestamp: When it is sent, in seconds since 1970; None is now.

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
