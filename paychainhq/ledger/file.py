"""File of an SQLite ledger: transactions and forks.

SQLite keeps the locks that its process holds on a file in memory. A child process that uses an
inherited connection, or opens the file while it has one, assumes that it holds its parent's locks.
So the file is closed before a fork, and parent and child reopen it. After a fork without Python's
handlers (C's `fork`), the child closes the inherited connection before it opens a file, which does
not affect the parent's locks. If the parent was using the file at the moment of such a fork, even
closing it would affect the parent: the child never uses that file again.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock, RLock
from weakref import WeakValueDictionary

from paychainhq._core.fork import close_for_fork
from paychainhq.errors import LedgerError
from paychainhq.ledger.opening import committed, open_file

_ADVICE = {
    sqlite3.SQLITE_FULL: "free space on its disk, and run again",
    sqlite3.SQLITE_BUSY: "another process has locked it",
    sqlite3.SQLITE_CORRUPT: "it is damaged: keep it, and restore a copy or start a new one",
    sqlite3.SQLITE_NOTADB: "it is not a ledger: use another path",
    sqlite3.SQLITE_CANTOPEN: "check that its folder exists and is writable",
    sqlite3.SQLITE_READONLY: "check that it and its folder are writable",
}

_files: WeakValueDictionary[int, LedgerFile] = WeakValueDictionary()
# By real path: connections that were in use at a fork. They are never used or closed.
_torn: dict[str, sqlite3.Connection | None] = {}
# By process: a thread that does not exist in the child may hold the parent's lock.
_fork_locks: dict[int, Lock] = {}


class LedgerFile:
    """SQLite file of a ledger, for use in any thread."""

    def __init__(self, path: str, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        self._process = os.getpid()
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._in_use = False
        _files[id(self)] = self
        close_for_fork(self)
        with self._guarded():
            self._open()

    # --- opening and closing ---

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise LedgerError(f"the ledger {self.path} is closed")
        if self._connection is None:
            if os.path.realpath(self.path) in _torn:
                raise LedgerError(
                    f"the ledger {self.path} was in use at a fork without os.fork(), and is "
                    "unusable in this process. Open the ledger after the fork, or use os.fork()"
                )
            self._connection = open_file(self.path, durable=self._durable)
        return self._connection

    def close(self) -> None:
        with self._guarded():
            self._closed = True
            self._close_connection()

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    # --- forks: no connection survives one ---

    def before_fork(self) -> None:
        self._leave_parent()
        self._lock.acquire()
        self._close_connection()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def forget_inherited(self) -> object:
        """Close the parent's connection in a child, or return one that must stay open."""
        if self._process == os.getpid():
            return None
        self._process, self._lock = os.getpid(), RLock()
        # The lock is no evidence: a new thread may have the id of its holder.
        was_in_use, self._in_use = self._in_use, False
        if was_in_use:
            inherited, self._connection = self._connection, None
            _torn[os.path.realpath(self.path)] = inherited
            return inherited
        if self._connection is not None and sys.version_info >= (3, 12):
            # The last connection of a file removes its journal, which may belong to another now.
            self._connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE)
        self._close_connection()
        return None

    def _leave_parent(self) -> None:
        """Close the inherited connections of all ledgers in a child, before one is used."""
        if self._process != os.getpid():
            with _fork_locks.setdefault(os.getpid(), Lock()):
                # An atomic copy: another thread may open a ledger meanwhile.
                for file in [
                    file for reference in _files.valuerefs() if (file := reference()) is not None
                ]:
                    file.forget_inherited()

    # --- transactions ---

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Serialize threads, and convert errors of SQLite and the system to `LedgerError`."""
        problem = ""
        self._leave_parent()
        with self._lock:
            self._in_use = True
            try:
                yield
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                problem = f"{error}; {_ADVICE[code]}" if code in _ADVICE else str(error)
                if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR):
                    self._close_connection()  # the next use reopens the file
            except OSError as error:
                problem = error.strerror or str(error)
            finally:
                self._in_use = False
        if problem:
            raise LedgerError(f"the ledger {self.path} is unusable: {problem}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one transaction. Any failure is a `LedgerError`."""
        with self.connected() as connection, committed(connection):
            yield connection

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection to a block that only reads. Any failure is a `LedgerError`."""
        with self._guarded():
            yield self._open()
