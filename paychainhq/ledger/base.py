"""Parts of every ledger: intents, answers, entries, and the protocol of a ledger."""

from __future__ import annotations

import time
from typing import Literal, Protocol

import attrs

from paychainhq._frozen import maker

State = Literal["unfinished", "finished", "refused"]


@attrs.frozen(weakref_slot=False)
class Intent:
    """Intent of a call, written before the request is sent.

    Attributes:
        operation: The operation's name, such as `"invoices.create"`.
        key: The idempotency key. Two operations may use the same key for different requests.
        fingerprint: A digest of the request. One key never stands for two different requests.
        credential: A salted digest of the request's credential.
        attempt: The unique id of the call; two calls with the same key have different ids.
    """

    operation: str
    key: str
    fingerprint: str
    credential: str
    attempt: str


make_intent = maker(Intent)


@attrs.frozen
class Answer:
    """Definite response of the server to a request.

    Attributes:
        status: The HTTP status.
        request_id: The server's id of the request, or None.
        body: The raw body.
    """

    status: int
    request_id: str | None
    body: bytes = attrs.field(repr=False)

    @property
    def state(self) -> Literal["finished", "refused"]:
        """State of an entry with this answer: `"finished"` for a 2xx, `"refused"` otherwise."""
        return "finished" if 200 <= self.status < 300 else "refused"


@attrs.frozen
class Entry:
    """Ledger entry: the state of one idempotency key.

    Attributes:
        operation: The operation's name, such as `"invoices.create"`.
        key: The idempotency key.
        fingerprint: A digest of the request.
        started_at: The time of the first intent by the ledger's clock, in seconds since 1970.
        answer: The server's answer, or None if it is unknown.
        credential: A salted digest of the first call's credential, or None if it was not recorded.
        attempt: The id of the last call, or None if it was not recorded.
        age: The seconds between the first intent and the reading of this entry by the ledger's
            clock, which is that of this machine unless the ledger gives the age.
    """

    operation: str
    key: str
    fingerprint: str
    started_at: float
    answer: Answer | None = None
    credential: str | None = None
    attempt: str | None = None
    age: float = attrs.field(
        default=attrs.Factory(lambda entry: time.time() - entry.started_at, takes_self=True),
        eq=False,
        kw_only=True,
    )

    @property
    def state(self) -> State:
        """State of the entry.

        `"unfinished"`: the outcome is unknown. `"finished"`: the request was executed. `"refused"`:
        it was not, and may start again.
        """
        return "unfinished" if self.answer is None else self.answer.state


class Ledger(Protocol):
    """Storage of intents and answers, by which each request is executed once.

    `paychainhq.ledger.rules` defines the changes of an entry. The methods raise `LedgerError`.

    Attributes:
        resend_within: The age in seconds up to which an unfinished request is sent again.
    """

    resend_within: float

    async def begin(self, intent: Intent) -> Entry | None:
        """Write an intent durably, before the request is sent.

        An unfinished entry with the same fingerprint and credential is taken over: it belongs to
        this attempt from then on.

        Returns:
            None for a new entry, or a refused one, which starts again; otherwise the entry as it
            was before.
        """
        ...

    async def finish(self, intent: Intent, answer: Answer) -> None:
        """Write the server's answer to an intent, and return once it is written.

        A 2xx is recorded unless the entry is already finished, or has another fingerprint. Any
        other answer is recorded only if the entry is unfinished and belongs to this attempt. A key
        without an intent is ignored.
        """
        ...
