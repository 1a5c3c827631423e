"""Facts of telemetry: endpoints, and the ends of what is observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from paychainhq._attempts import Attempt, Sent

Outcome = Literal["done", "duplicate", "ignored", "refused", "failed", "held"]
"""Outcome of a webhook; `"ignored"` has no handler, `"held"` is another process's for now."""


@attrs.frozen
class Endpoint:
    """Operation of a client, one object for all its calls.

    Attributes:
        operation: The operation's name, such as `"invoices.create"`; `"request"` for `pay.request`.
        method: The HTTP method.
        template: The path with `{placeholders}` for ids; None for `pay.request`.
        origin: The server: scheme, host, and port unless it is the scheme's own.
    """

    operation: str
    method: str
    template: str | None
    origin: str


@attrs.frozen
class AttemptEnd:
    """End of an attempt.

    Attributes:
        attempt: The attempt.
        error: The name of the error's class; None with a response, and for a cancelled attempt.
        cancelled: Whether the task was cancelled, but not by the deadline of the call.
        request_id: The server's id of the request, or None.
    """

    attempt: Attempt
    error: str | None
    cancelled: bool
    request_id: str | None


@attrs.frozen
class CallEnd:
    """End of a call.

    Attributes:
        elapsed: The duration in seconds, all attempts and waits included.
        status: The HTTP status of the error or of the last attempt, or None.
        error: The name of the error's class, or None.
        cancelled: Whether the caller cancelled it, which is no error.
        attempts: The attempts, oldest first.
        sent: Whether the request was sent.
        waited: The seconds of waits of the whole call, by reason.
        replayed: Whether a ledger had the response, so that no attempt was made.
        idempotency_key: The idempotency key, or None.
    """

    elapsed: float
    status: int | None
    error: str | None
    cancelled: bool
    attempts: tuple[Attempt, ...]
    sent: Sent
    waited: Mapping[str, float]
    replayed: bool
    idempotency_key: str | None


@attrs.frozen
class JobEnd:
    """End of a job.

    Attributes:
        elapsed: The duration in seconds.
        ok: The number of results.
        failed: The number of errors.
        error: The name of the class of the error that ended it, or None.
        cancelled: Whether it was closed or cancelled before its end.
    """

    elapsed: float
    ok: int
    failed: int
    error: str | None
    cancelled: bool


@attrs.frozen
class RoundEnd:
    """End of a round of a watch.

    Attributes:
        elapsed: The duration in seconds.
        watched: The number of invoices at its start.
        changes: The number of changes.
        behind: The seconds by which its most overdue invoice was late at the start.
        lags: The seconds between the two reads around each change, its greatest possible age: no
            document gives the time of a change. The first status of an invoice has none.
        error: The name of the class of the error that ended the watch, or None.
        cancelled: Whether the watch was closed or cancelled during the round.
    """

    elapsed: float
    watched: int
    changes: int
    behind: float
    lags: tuple[float, ...]
    error: str | None
    cancelled: bool


@attrs.frozen
class DeliveryEnd:
    """End of the delivery of a webhook.

    Attributes:
        elapsed: The duration in seconds.
        event: The name of the event, or None if the webhook was not verified or not decoded.
        outcome: The outcome.
        status: The HTTP status of the response.
        handled: The seconds of the handler, or None if it did not run.
        error: The name of the error's class, or None.
        cancelled: Whether the delivery was cancelled; its status is then not sent.
    """

    elapsed: float
    event: str | None
    outcome: Outcome
    status: int
    handled: float | None
    error: str | None
    cancelled: bool
