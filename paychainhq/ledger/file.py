"""File of an SQLite ledger: its transactions, and how it passes a fork.

SQLite keeps in memory which locks its process holds on a file. A child that uses an inherited
connection, or opens the file while it has one, believes that it holds its parent's locks. So the
file is closed before a fork, and parent and child open it anew. Where Python is not told of a fork
(C's `fork`), the child closes what it has inherited before it opens anything, which leaves the
parent's locks alone. Where the parent was using the file at that moment, even closing it would
change what the parent shares: the child never touches that file again.
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
    sqlite3.SQLITE_FULL: "make room on its disk, and run again",
    sqlite3.SQLITE_BUSY: "another process holds it locked",
    sqlite3.SQLITE_CORRUPT: "it is damaged: keep it, and restore a copy or begin with a new one",
    sqlite3.SQLITE_NOTADB: "it is not a ledger: give another path",
    sqlite3.SQLITE_CANTOPEN: "look at its folder, and at who may write there",
    sqlite3.SQLITE_READONLY: "look at who may write there",
}

_files: WeakValueDictionary[int, LedgerFile] = WeakValueDictionary()
_torn: dict[
    str, sqlite3.Connection | None
] = {}  # by real path: inherited in the middle of their use, and kept as they are for good
_parting: dict[
    int, Lock
] = {}  # by process: an inherited lock may be held by a thread that is not there


class LedgerFile:
    """An SQLite file that holds a ledger; any thread may use it."""

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
                    f"the ledger {self.path} was in use when this process was forked, and Python "
                    "was not told of that fork: it"
                    " cannot be used here. Open the ledger after the fork, or fork with os.fork()"
                )
            self._connection = open_file(self.path, durable=self._durable)
        return self._connection

    def close(self) -> None:
        with self._guarded():
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    # --- forks: no handle lives through one ---

    def before_fork(self) -> None:
        self._leave_parent()
        self._lock.acquire()
        self._let_go()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def forget_inherited(self) -> object:
        """Let go of the parent's connection in a child, and return what must be kept of it."""
        if self._process == os.getpid():
            return None
        self._process, self._lock = os.getpid(), RLock()
        was_in_use, self._in_use = (
            self._in_use,
            False,
        )  # the lock does not tell: a new thread may have the id of its holder
        if was_in_use:
            inherited, self._connection = self._connection, None
            _torn[os.path.realpath(self.path)] = inherited
            return inherited
        if self._connection is not None and sys.version_info >= (3, 12):
            # The last one to close a file removes its journal, which may be another one's by now.
            self._connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE)
        self._let_go()
        return None

    def _leave_parent(self) -> None:
        """In a child, let go of whatever any ledger of the parent's has left open, before one of
        them is used.
        """
        if self._process != os.getpid():
            with _parting.setdefault(os.getpid(), Lock()):
                # A copy in one step: another thread may open a ledger meanwhile.
                for file in [
                    file for reference in _files.valuerefs() if (file := reference()) is not None
                ]:
                    file.forget_inherited()

    # --- transactions ---

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Let one thread at a time in; whatever SQLite or the system raises becomes a
        `LedgerError`.
        """
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
                    self._let_go()  # the next one opens the file anew
            except OSError as error:
                problem = error.strerror or str(error)
            finally:
                self._in_use = False
        if problem:
            raise LedgerError(f"the ledger {self.path} cannot be used: {problem}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one transaction: all of it is written, or nothing is. Any failure is a
        `LedgerError`.
        """
        with self.connected() as connection, committed(connection):
            yield connection

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """Give the connection to a block that only reads. Any failure is a `LedgerError`."""
        with self._guarded():
            yield self._open()
