"""The file of an SQLite ledger: its tables, its transactions, and what happens to it in a fork."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import RLock

from paychainhq.errors import LedgerError
from paychainhq.forking import close_for_fork
from paychainhq.ledger.base import Answer, Entry, State

_APPLICATION = 0x70633031  # "pc01"
_VERSION = 1
_SCHEMA = """
CREATE TABLE intents (id INTEGER PRIMARY KEY, operation TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
                      started_at REAL NOT NULL, UNIQUE (key, operation));
CREATE TABLE answers (id INTEGER PRIMARY KEY REFERENCES intents (id), status INTEGER NOT NULL, request_id TEXT, body BLOB NOT NULL,
                      answered_at REAL NOT NULL);
CREATE TABLE claims (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL, done_at REAL) WITHOUT ROWID;
CREATE VIEW entries AS
    SELECT operation, key, datetime(started_at, 'unixepoch') AS started_at,
           CASE WHEN status IS NULL THEN 'unfinished' WHEN status BETWEEN 200 AND 299 THEN 'finished' ELSE 'refused' END AS state,
           status, request_id, datetime(answered_at, 'unixepoch') AS answered_at, CAST(body AS TEXT) AS body
    FROM intents LEFT JOIN answers USING (id);
"""
_COLUMNS = "operation, key, fingerprint, started_at, status, request_id, body FROM intents LEFT JOIN answers USING (id)"
_IN_STATE: dict[State | None, str] = {
    None: "true",
    "unfinished": "status IS NULL",
    "finished": "status BETWEEN 200 AND 299",
    "refused": "status NOT BETWEEN 200 AND 299",
}
_PATIENCE = 10.0
_AT_ONCE = 500
_ADVICE = {
    sqlite3.SQLITE_FULL: "make room on its disk, and run again",
    sqlite3.SQLITE_BUSY: "another process holds it locked",
    sqlite3.SQLITE_CORRUPT: "it is damaged: keep it, and restore a copy or begin with a new one",
    sqlite3.SQLITE_NOTADB: "it is not a ledger: give another path",
    sqlite3.SQLITE_CANTOPEN: "look at its folder, and at who may write there",
    sqlite3.SQLITE_READONLY: "look at who may write there",
}


Intent = tuple[str, str, str]
"""Operation, key and fingerprint of a request that is about to be sent."""

Settled = tuple[int, str | None, bytes, str, str]
"""Status, request id and body of an answer, and the key and the operation of its request."""


class LedgerFile:
    """An SQLite file that holds a ledger; any thread may use it."""

    def __init__(self, path: str, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        close_for_fork(self)
        with self._guarded():
            self._open()

    # --- opening and closing ---

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise LedgerError(f"the ledger {self.path} is closed")
        if self._connection is not None:
            return self._connection
        with suppress(FileExistsError):  # never opened by hand if it is there: closing it again would end SQLite's locks on it
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")  # another process may be making the file just now: it is seen before that, or after
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        connection.execute("COMMIT")
        if (application, version) == (0, 0) and not tables:
            self._persist(connection, "PRAGMA journal_mode = WAL")
            self._create(connection)
        elif application != _APPLICATION:
            raise LedgerError(f"{self.path} is an SQLite file of something else: give another path")
        elif version != _VERSION:
            raise LedgerError(f"the ledger {self.path} has the format {version}, and this version of the package reads {_VERSION}")
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute("PRAGMA cache_size = -8192")

    @staticmethod
    def _persist(connection: sqlite3.Connection, statement: str) -> None:
        """Execute what SQLite does not wait with for other connections."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                connection.execute(statement)
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.01)

    @staticmethod
    def _create(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not tables:  # another process may have been faster
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    # --- forks: no handle lives through one ---

    def before_fork(self) -> None:
        self._lock.acquire()
        self._let_go()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def forget_inherited(self) -> object:
        self._lock = RLock()
        inherited, self._connection = self._connection, None
        return inherited

    # --- transactions ---

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """One at a time; whatever SQLite or the system says becomes a `LedgerError`."""
        problem = ""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                problem = f"{error}; {_ADVICE[code]}" if code in _ADVICE else str(error)
                if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR):
                    self._let_go()  # the next one looks at the file anew
            except OSError as error:
                problem = error.strerror or str(error)
        if problem:
            raise LedgerError(f"the ledger {self.path} cannot be used: {problem}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside is written, or nothing is; any failure is a `LedgerError`."""
        with self._guarded():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite rolls some failures back by itself
                    connection.execute("ROLLBACK")
                raise

    def write(self, intents: Sequence[Intent], answers: Sequence[Settled]) -> list[Entry | None] | None:
        """Record intents and answers in one transaction; returns what was known of each intent, or None if all are new."""
        now = time.time()
        with self.transaction() as connection:
            if answers:
                connection.executemany(
                    "INSERT OR REPLACE INTO answers (id, status, request_id, body, answered_at)"
                    " SELECT id, ?, ?, ?, ? FROM intents WHERE key = ? AND operation = ?",
                    [(status, request_id, body, now, key, operation) for status, request_id, body, key, operation in answers],
                )
            if not intents:
                return None
            before = connection.total_changes
            connection.executemany(
                "INSERT INTO intents (operation, key, fingerprint, started_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [(*intent, now) for intent in intents],
            )
            made = connection.total_changes - before
            if made == len(intents):
                return None
            (last,) = connection.execute("SELECT last_insert_rowid()").fetchone()
            new = set(range(last - made + 1, last + 1))
            return [self._known(connection, intent, new, now) for intent in intents]

    @staticmethod
    def _known(connection: sqlite3.Connection, intent: Intent, new: set[int], now: float) -> Entry | None:
        """Return the entry that was there before an intent of this group, or None."""
        operation, key, fingerprint = intent
        row = connection.execute(
            f"SELECT id, {_COLUMNS} WHERE key = ? AND operation = ?",
            (key, operation),
        ).fetchone()
        id_, entry = row[0], _entry(row[1:])
        if id_ in new:  # made by the first of this group that names it
            new.remove(id_)
            return None
        if entry.state != "refused":
            return entry
        connection.execute("UPDATE intents SET fingerprint = ?, started_at = ? WHERE id = ?", (fingerprint, now, id_))
        connection.execute("DELETE FROM answers WHERE id = ?", (id_,))
        return None

    # --- looking, and tidying up ---

    def entries(self, state: State | None) -> Iterator[Entry]:
        last = 0
        while True:
            with self._guarded():
                rows = (
                    self._open()
                    .execute(
                        f"SELECT id, {_COLUMNS} WHERE id > ? AND {_IN_STATE[state]} ORDER BY id LIMIT {_AT_ONCE}",
                        (last,),
                    )
                    .fetchall()
                )
            if not rows:
                return
            yield from (_entry(row[1:]) for row in rows)
            last = rows[-1][0]

    def compact(self, before: float) -> int:
        removed = 0
        while True:
            with self.transaction() as connection:  # many short ones: others want to write meanwhile
                ids = connection.execute(
                    f"SELECT id FROM answers WHERE answered_at < ? LIMIT {_AT_ONCE}",  # noqa: S608  # nosec B608
                    (before,),
                ).fetchall()
                connection.executemany("DELETE FROM answers WHERE id = ?", ids)
                connection.executemany("DELETE FROM intents WHERE id = ?", ids)
            if not ids:
                return removed
            removed += len(ids)

    def forget(self, operation: str, key: str) -> bool:
        with self.transaction() as connection:
            row = connection.execute("SELECT id FROM intents WHERE key = ? AND operation = ?", (key, operation)).fetchone()
            if row is None:
                return False
            connection.execute("DELETE FROM answers WHERE id = ?", row)
            connection.execute("DELETE FROM intents WHERE id = ?", row)
            return True


def _entry(row: tuple[str, str, str, float, int | None, str | None, bytes]) -> Entry:
    operation, key, fingerprint, started_at, status, request_id, body = row
    answer = None if status is None else Answer(status, request_id, body)
    return Entry(operation, key, fingerprint, started_at, answer)
