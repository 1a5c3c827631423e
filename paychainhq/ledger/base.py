"""What a ledger is: intents, which are written before anything is sent, and the answers to them."""

from __future__ import annotations

from typing import Literal, Protocol

import attrs

State = Literal["unfinished", "finished", "refused"]


@attrs.frozen
class Answer:
    """The server's definite answer to a request.

    Attributes:

        status: The HTTP status.
        request_id: The server's id of the exchange, or None.
        body: The body as it came.
    """

    status: int
    request_id: str | None
    body: bytes = attrs.field(repr=False)


@attrs.frozen
class Entry:
    """What a ledger knows of one request.

    Attributes:

        operation: The operation's name, such as `"invoices.create"`.
        key: The idempotency key. Two operations may use the same key for different things.
        fingerprint: A digest of what is sent; the same key never stands for two different requests.
        started_at: When it was first asked for, in seconds since 1970.
        answer: What the server answered, or None as long as that is not known.
    """

    operation: str
    key: str
    fingerprint: str
    started_at: float
    answer: Answer | None = None

    @property
    def state(self) -> State:
        """`"unfinished"`: nobody knows what became of it. `"finished"`: it was done. `"refused"`: it was not, and may be asked
        for again.
        """
        if self.answer is None:
            return "unfinished"
        return "finished" if 200 <= self.answer.status < 300 else "refused"


class Ledger(Protocol):
    """What an operation's idempotency runs on. Any failure of its own is a `LedgerError`.

    Attributes:

        resend_within: An unfinished request that is older than this many seconds is not sent again.
    """

    resend_within: float

    async def begin(self, operation: str, key: str, fingerprint: str) -> Entry | None:
        """Record the intent, for good, before anything is sent.

        Returns None if it is a new one, or one that was refused before, which begins anew; else the entry as it stands, unchanged.
        """
        ...

    async def finish(self, operation: str, key: str, answer: Answer) -> None:
        """Record what the server answered to an intent; returns once that is written. A key that was not begun is ignored."""
        ...
