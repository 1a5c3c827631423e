"""Report of a call: its attempts, and the response that ended it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from paychainhq._frozen import maker

Sent = Literal["no", "yes", "unknown"]
"""Whether a request left: provably not, provably, or neither is known."""


@attrs.frozen(weakref_slot=False)
class Attempt:
    """What became of one attempt.

    Attributes:
        status: The HTTP status, or None if no answer came.
        error: Why no answer came, in a few words, or None.
        sent: Whether the request left: `"no"`, `"yes"` (it was answered) or `"unknown"`.
        elapsed: How long it took, in seconds.
    """

    status: int | None
    error: str | None
    sent: Sent
    elapsed: float

    def __str__(self) -> str:
        return str(self.status) if self.error is None else self.error


make_attempt = maker(Attempt)


@attrs.frozen(weakref_slot=False)
class ResponseInfo:
    """How a result came about: `result.response`.

    Attributes:
        status: The HTTP status.
        headers: The answer's headers, names in any case.
        request_id: The server's id of the exchange (`x-request-id`), or None.
        idempotency_key: The key that the request carried, or None.
        attempts: What became of each attempt, oldest first.
        elapsed: Seconds from the call to its answer, all attempts included.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    request_id: str | None
    idempotency_key: str | None
    attempts: tuple[Attempt, ...]
    elapsed: float


make_response_info = maker(ResponseInfo)
