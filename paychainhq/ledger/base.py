"""Parts of every ledger: intents, which are written before anything is sent, entries, and the
answers to them.
"""

from __future__ import annotations

from typing import Literal, Protocol

import attrs

from paychainhq._frozen import maker

State = Literal["unfinished", "finished", "refused"]


@attrs.frozen(weakref_slot=False)
class Intent:
    """One call that is about to be sent, and by which its answer is recorded.

    Attributes:
        operation: The operation's name, such as `"invoices.create"`.
        key: The idempotency key. Two operations may use the same key for different things.
        fingerprint: A digest of what is sent; the same key never stands for two different requests.
        credential: A salted digest of the credential that the call is sent with.
        attempt: An id that no other call has, not even one under the same key.
    """

    operation: str
    key: str
    fingerprint: str
    credential: str
    attempt: str


make_intent = maker(Intent)


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

    @property
    def state(self) -> Literal["finished", "refused"]:
        """The state of an entry that has this answer: `"finished"` for a 2xx, `"refused"` for any
        other status.
        """
        return "finished" if 200 <= self.status < 300 else "refused"


@attrs.frozen
class Entry:
    """One request as a ledger has it.

    Attributes:
        operation: The operation's name, such as `"invoices.create"`.
        key: The idempotency key.
        fingerprint: A digest of what is sent.
        started_at: When it was begun first, in seconds since 1970.
        answer: The server's answer, or None as long as that is not known.
        credential: A salted digest of the credential that it was begun with, or None if that was
            not recorded.
        attempt: The id of the call that sent it last, or None if that was not recorded.
    """

    operation: str
    key: str
    fingerprint: str
    started_at: float
    answer: Answer | None = None
    credential: str | None = None
    attempt: str | None = None

    @property
    def state(self) -> State:
        """`"unfinished"`: the outcome is not known. `"finished"`: it was done. `"refused"`: it was
        not, and may begin anew.
        """
        return "unfinished" if self.answer is None else self.answer.state


class Ledger(Protocol):
    """Record of intents and answers, by which each request is done once. Any failure of its own is
    a `LedgerError`.

    The rules of what replaces what are those of `paychainhq.ledger.rules`.

    Attributes:
        resend_within: An unfinished request that is older than this many seconds is not sent again.
    """

    resend_within: float

    async def begin(self, intent: Intent) -> Entry | None:
        """Record an intent, for good, before anything is sent.

        Returns None if it is a new one, or one that was refused before, which begins anew; else the
        entry as it was found. An unfinished entry of the same fingerprint and credential is taken
        over: from then on it is that of this attempt.
        """
        ...

    async def finish(self, intent: Intent, answer: Answer) -> None:
        """Record the server's answer to an intent; returns once that is written.

        A 2xx is recorded unless the entry is finished already, or stands for another fingerprint.
        Any other answer is recorded only if the entry is unfinished and still that of this attempt.
        A key that was not begun is ignored.
        """
        ...
