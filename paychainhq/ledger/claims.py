"""Claims: exclusive rights of one process to handle a name, such as a webhook event."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from paychainhq.ledger.file import LedgerFile

Claimed = Literal["claimed", "done", "held"]


class Claims(Protocol):
    """Storage of claims.

    Its methods may be called in any thread, may wait for the storage, and raise `LedgerError`.
    A lease is measured by the clock of the storage.
    """

    def claim(self, name: str, holder: str, lease: float) -> Claimed:
        """Claim a name for `lease` seconds, unless it is done or has a valid lease.

        Returns:
            `"claimed"`, or `"done"`, or `"held"`: another holder has a valid lease.
        """
        ...

    def settle(self, name: str) -> None:
        """Record durably that a name is done, with or without a claim."""
        ...

    def release(self, name: str, holder: str) -> None:
        """Release a claim of this holder."""
        ...


class MemoryClaims:
    """Claims in memory."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, float]] = {}
        self._done: dict[str, float] = {}
        self._lock = Lock()

    def claim(self, name: str, holder: str, lease: float) -> Claimed:
        with self._lock:
            if name in self._done:
                return "done"
            now = time.time()
            if self._held.get(name, ("", now))[1] > now:
                return "held"
            self._held[name] = (holder, now + lease)
            return "claimed"

    def settle(self, name: str) -> None:
        with self._lock:
            self._held.pop(name, None)
            self._done[name] = time.time()

    def release(self, name: str, holder: str) -> None:
        with self._lock:
            if self._held.get(name, ("", 0.0))[0] == holder:
                del self._held[name]

    def compact(self, older_than: float) -> None:
        before = time.time() - older_than
        with self._lock:
            self._done = {
                name: done_at for name, done_at in self._done.items() if done_at >= before
            }


class FileClaims:
    """Claims in the file of a ledger.

    Args:
        file: The file.
        ledger: The ledger. This reference keeps it alive, since a collected ledger closes its file.
    """

    def __init__(self, file: LedgerFile, ledger: object) -> None:
        self._file = file
        self._ledger = ledger

    def claim(self, name: str, holder: str, lease: float) -> Claimed:
        now = time.time()
        with self._file.transaction() as connection:
            taken = connection.execute(
                "INSERT INTO claims (name, holder, until) VALUES (?, ?, ?) ON CONFLICT (name)"
                " DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE done_at IS "
                "NULL AND until <= ?",
                (name, holder, now + lease, now),
            )
            if taken.rowcount == 1:
                return "claimed"
            (done_at,) = connection.execute(
                "SELECT done_at FROM claims WHERE name = ?", (name,)
            ).fetchone()
            return "held" if done_at is None else "done"

    def settle(self, name: str) -> None:
        with self._file.transaction() as connection:
            connection.execute(
                "INSERT INTO claims (name, holder, until, done_at) VALUES (?, '', 0, ?)"
                " ON CONFLICT (name) DO UPDATE SET done_at = excluded.done_at",
                (name, time.time()),
            )

    def release(self, name: str, holder: str) -> None:
        with self._file.transaction() as connection:
            connection.execute(
                "DELETE FROM claims WHERE name = ? AND holder = ? AND done_at IS NULL",
                (name, holder),
            )
