"""Verification, decoding and signing of webhooks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from hmac import compare_digest

from paychainhq import codec
from paychainhq._core import validators
from paychainhq._core.credentials import conceal
from paychainhq._core.validators import header_value
from paychainhq.errors import WebhookVerificationError
from paychainhq.models.webhooks import Event
from paychainhq.webhooks import signatures
from paychainhq.webhooks.signatures import Headers

_SIGNATURE = "X-Webhook-Signature"
_TIMESTAMP = "X-Webhook-Timestamp"
_MILLISECONDS = 10**11  # as seconds, that is the year 5138


def parse(
    body: bytes,
    headers: Headers,
    *,
    secrets: str | Sequence[str],
    bearer: str | None = None,
    max_age: float | None = None,
) -> Event:
    """Verify a webhook and decode it.

    The signature covers only the raw body. The timestamp is an unsigned header: `max_age` refuses a
    replay only if its sender did not change the header. Only a record of the event's id, such as
    `Receiver` keeps, protects against replays.

    Args:
        body: The raw body, before any parsing.
        headers: The headers, as a mapping or as pairs; their names may be in any case.
        secrets: The webhook secret, or several during a rotation.
        bearer: The bearer token of the webhooks, if you have set one.
        max_age: The largest accepted difference between the timestamp and now, in seconds.

    Raises:
        WebhookVerificationError: The webhook is not proven to be from the API.
        DecodeError: The webhook is from the API, but is not a valid event.
        ConfigurationError: The secrets or the token are invalid, or (InvalidArgumentError) the body
            or the headers.

    Source: reference/webhooks-events.
    """
    secrets, bearer = conceal(secrets), conceal(bearer)
    headers = signatures.concealed_headers(headers)
    secrets, bearer, body = (
        signatures.checked_secrets(secrets),
        signatures.checked_bearer(bearer),
        signatures.checked_body(body, headers),
    )
    if max_age is not None:
        validators.seconds("max_age", max_age)
    signatures.verify(secrets, body, signatures.header(headers, _SIGNATURE))
    if bearer is not None:
        _check_bearer(bearer, conceal(signatures.header(headers, "Authorization")))
    if max_age is not None:
        signatures.check_age(_seconds(signatures.header(headers, _TIMESTAMP)), max_age)
    return codec.decode_webhook(Event, body)


def _check_bearer(bearer: str, given: str) -> None:
    kind, _, token = map(conceal, given.partition(" "))
    if kind.lower() != "bearer" or not compare_digest(
        bearer.encode(), token.strip().encode(errors="surrogateescape")
    ):
        raise WebhookVerificationError("the bearer token is not the expected one")


def _seconds(written: str) -> float:
    """Return a timestamp in seconds since 1970.

    Assumption: no page gives its format, so seconds, milliseconds and ISO 8601 are accepted.
    """
    try:
        if written.isascii() and written.replace(".", "", 1).isdigit():
            number = float(written)
            return number / 1000 if number > _MILLISECONDS else number
        moment = datetime.fromisoformat(written)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise WebhookVerificationError(f"the header {_TIMESTAMP} is not a time") from None


def sign(
    body: bytes,
    *,
    secret: str,
    webhook_id: str = "wh_1",
    attempt: int = 1,
    timestamp: float | None = None,
    bearer: str | None = None,
) -> dict[str, str]:
    """Return the headers that the API would send with a body, for tests.

    Args:
        body: The raw body.
        secret: The webhook secret.
        webhook_id: The id of the delivery.
        attempt: The number of the attempt.
        timestamp: The time of sending in seconds since 1970; None is now.
        bearer: The bearer token to send along.

    Raises:
        ConfigurationError: The secret, the id or the token is invalid.

    Source: reference/webhooks-events.
    """
    secret, bearer = conceal(secret), conceal(bearer)
    (secret,), bearer = signatures.checked_secrets(secret), signatures.checked_bearer(bearer)
    headers = {
        "Content-Type": "application/json",
        _SIGNATURE: signatures.signature(secret, signatures.checked_body(body)),
        "X-Webhook-Signature-Alg": "HMAC-SHA256",
        _TIMESTAMP: str(int(time.time() if timestamp is None else timestamp)),
        "X-Webhook-ID": header_value("webhook_id", webhook_id),
        "X-Webhook-Attempt": str(attempt),
    }
    return headers if bearer is None else headers | {"Authorization": f"Bearer {bearer}"}
