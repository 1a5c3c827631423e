"""Report of a call: its attempts, and its response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import attrs

from paychainhq._frozen import maker

Sent = Literal["no", "yes", "unknown"]
"""Knowledge about the transmission of a request: provably not sent, received, or unknown."""


NO_WAITS: Mapping[str, float] = {}
"""Waits of an attempt without any; shared, for speed, and a plain dict, which can be pickled."""


@attrs.frozen(weakref_slot=False)
class Attempt:
    """One attempt of a call.

    Attributes:
        status: The HTTP status, or None without a response.
        error: The failure in a few words, or None.
        sent: Whether the request was sent: `"no"`, `"yes"` (there was a response) or `"unknown"`.
        elapsed: The duration in seconds.
        started: The time of its start, in seconds since 1970.
        waited: The seconds that the call had waited since the attempt before, by reason: `"turn"`
            (the client's own rate limit), `"pace"` (the limit of the server, after a 429),
            `"backoff"` (before a retry), `"slot"` (for a connection, or a send slot of a job),
            `"ledger"`.
    """

    status: int | None
    error: str | None
    sent: Sent
    elapsed: float
    started: float = 0.0
    waited: Mapping[str, float] = attrs.field(default=NO_WAITS, hash=False)

    def __str__(self) -> str:
        return str(self.status) if self.error is None else self.error


make_attempt = maker(Attempt)


def sent_by(attempts: Iterable[Attempt]) -> Sent:
    """Return whether any of the attempts was sent."""
    states = {attempt.sent for attempt in attempts}
    return "yes" if "yes" in states else "unknown" if "unknown" in states else "no"


@attrs.frozen(weakref_slot=False)
class ResponseInfo:
    """Response of a call: `result.response`.

    Attributes:
        status: The HTTP status.
        headers: The response's headers; their names are case-insensitive.
        request_id: The server's id of the call (`x-request-id`), or None.
        idempotency_key: The idempotency key of the request, or None.
        attempts: The attempts, oldest first.
        elapsed: The duration of the call in seconds, all attempts and waits included.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    request_id: str | None
    idempotency_key: str | None
    attempts: tuple[Attempt, ...]
    elapsed: float


make_response_info = maker(ResponseInfo)
