"""Ledger in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Lock

import attrs

from paychainhq._core import validators
from paychainhq.ledger.base import Answer, Entry, Intent, State
from paychainhq.ledger.claims import MemoryClaims
from paychainhq.ledger.rules import changed


class MemoryLedger:
    """Ledger in memory: entries and answers end with this object.

    Args:
        resend_within: The age in seconds up to which an unfinished request is sent again.

    Attributes:
        claims: The claims of a webhook `Receiver`.
    """

    # Assumption: no document says how long the server keeps a key.
    def __init__(self, *, resend_within: float = 86_400.0) -> None:
        self.resend_within = validators.seconds("resend_within", resend_within, zero=True)
        self._entries: dict[tuple[str, str], Entry] = {}
        self._answered_at: dict[tuple[str, str], float] = {}
        self._lock = Lock()
        self.claims = MemoryClaims()

    async def begin(self, intent: Intent) -> Entry | None:
        """Record an intent; return a previous entry that was not refused, or None."""
        name = (intent.operation, intent.key)
        with self._lock:
            known = self._entries.get(name)
            entry = changed(known, intent, None, time.time())
            assert entry is not None
            self._entries[name] = entry
            return None if known is None or known.state == "refused" else _aged(known)

    async def finish(self, intent: Intent, answer: Answer) -> None:
        """Record the answer to an intent if the rules define a change."""
        name = (intent.operation, intent.key)
        with self._lock:
            known = self._entries.get(name)
            entry = changed(known, intent, answer, 0.0)
            if entry is not None and entry is not known:
                self._entries[name] = entry
                self._answered_at[name] = time.time()

    def entries(self, state: State | None = None) -> Iterator[Entry]:
        """Return all entries, or those in one state, oldest first."""
        with self._lock:
            found = list(self._entries.values())
        return iter([_aged(entry) for entry in found if state in (None, entry.state)])

    def compact(self, *, older_than: float) -> int:
        """Remove answered entries and settled claims older than `older_than` seconds.

        Returns:
            The number of removed entries.
        """
        older_than = validators.seconds("older_than", older_than, zero=True)
        self.claims.compact(older_than)
        before = time.time() - older_than
        with self._lock:
            old = [
                name
                for name, entry in self._entries.items()
                if entry.answer is not None and self._answered_at[name] < before
            ]
            for name in old:
                del self._entries[name], self._answered_at[name]
        return len(old)

    def forget(self, operation: str, key: str) -> None:
        """Remove an entry, after a person has verified that the request was not executed.

        Raises:
            LookupError: There is no such entry.
        """
        with self._lock:
            if self._entries.pop((operation, key), None) is None:
                raise LookupError(f"the ledger has no entry of {operation} under the key {key}")
            self._answered_at.pop((operation, key), None)


def _aged(entry: Entry) -> Entry:
    """Return an entry with its present age."""
    return attrs.evolve(entry, age=time.time() - entry.started_at)
