"""Ledger in an SQLite file."""

from __future__ import annotations

import os

from paychainhq.errors import ConfigurationError
from paychainhq.ledger.batches import BatchedLedger
from paychainhq.ledger.claims import FileClaims
from paychainhq.ledger.file import LedgerFile
from paychainhq.ledger.rows import Rows


class SQLiteLedger(BatchedLedger):
    """Ledger in an SQLite file, which survives its process and may be shared by several.

    Any number of tasks, event loops and threads may use it. A forked child reopens the file.

    Args:
        path: The file, on a local disk. It is created if missing, readable by its owner only.
        durable: Survive a power cut too: each batch of entries is forced to the disk, which takes
            milliseconds.
        resend_within: The age in seconds up to which an unfinished request is sent again.

    Raises:
        LedgerError: The file cannot be opened, or is not a ledger.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durable: bool = False,
        resend_within: float = 86_400.0,
    ) -> None:
        if os.fspath(path) in ("", ":memory:"):
            raise ConfigurationError(
                "path must name a file; for a ledger in memory, use MemoryLedger"
            )
        self._file = LedgerFile(os.fspath(path), durable=durable)
        super().__init__(Rows(self._file), resend_within=resend_within)

    @property
    def claims(self) -> FileClaims:
        """Claims of a webhook `Receiver` in the same file; they keep this ledger alive."""
        return FileClaims(self._file, self)

    def __repr__(self) -> str:
        return f"SQLiteLedger({self._file.path!r})"
