"""Opening of a ledger's file: format, creation, migration."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from paychainhq.errors import LedgerError

BUSY_TIMEOUT = 10.0
"""Seconds that a transaction waits for another process's transaction."""

_APPLICATION = 0x70633031  # "pc01"
_VERSION = 2
_SCHEMA = """
CREATE TABLE intents (id INTEGER PRIMARY KEY, operation TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
                      started_at REAL NOT NULL, credential TEXT, attempt TEXT, UNIQUE (key, operation));
CREATE TABLE answers (id INTEGER PRIMARY KEY REFERENCES intents (id), status INTEGER NOT NULL, request_id TEXT, body BLOB NOT NULL,
                      answered_at REAL NOT NULL);
CREATE TABLE claims (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL, done_at REAL) WITHOUT ROWID;
CREATE VIEW entries AS
    SELECT operation, key, datetime(started_at, 'unixepoch') AS started_at,
           CASE WHEN status IS NULL THEN 'unfinished' WHEN status BETWEEN 200 AND 299 THEN 'finished' ELSE 'refused' END AS state,
           status, request_id, datetime(answered_at, 'unixepoch') AS answered_at, CAST(body AS TEXT) AS body
    FROM intents LEFT JOIN answers USING (id);
"""  # noqa: E501
# By format: the statements that lead to the next one.
_MIGRATIONS = {
    1: "ALTER TABLE intents ADD COLUMN credential TEXT; ALTER TABLE intents ADD COLUMN attempt TEXT"
}


def open_file(path: str, *, durable: bool) -> sqlite3.Connection:
    """Open a ledger's file; create it if missing, migrate an earlier format.

    Raises:
        LedgerError: The file is not a ledger, or of a later format.
    """
    # An existing file is not opened here: closing it would release SQLite's locks on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(connection, path)
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute("PRAGMA cache_size = -8192")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def committed(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Run a block as one transaction, and roll it back on an exception."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite has rolled back some failures itself
            connection.execute("ROLLBACK")
        raise


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    # A transaction reads the header before or after another process creates the tables.
    with committed(connection, "DEFERRED"):
        is_empty, application, version = _header(connection)
    if is_empty:
        os.chmod(path, 0o600)  # another program may have created the file, readable by everybody
        _persist(connection, "PRAGMA journal_mode = WAL")
        with committed(connection):
            if _header(connection)[0]:  # not if another process was faster
                _execute(connection, _SCHEMA)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
        return
    if application != _APPLICATION:
        raise LedgerError(f"{path} is an SQLite file of another program: use another path")
    while version in _MIGRATIONS:
        with committed(connection):
            if _header(connection)[2] == version:  # as above
                _execute(connection, _MIGRATIONS[version])
                connection.execute(f"PRAGMA user_version = {version + 1}")
        version += 1
    if version != _VERSION:
        raise LedgerError(
            f"the ledger {path} has format {version}, but this version of the package reads "
            f"format {_VERSION}"
        )


def _header(connection: sqlite3.Connection) -> tuple[bool, int, int]:
    """Return whether a file is empty, and its application id and format."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return (tables, application, version) == (0, 0, 0), application, version


def _execute(connection: sqlite3.Connection, statements: str) -> None:
    """Execute statements within the transaction, which `executescript` would commit."""
    for statement in filter(str.strip, statements.split(";")):
        connection.execute(statement)


def _persist(connection: sqlite3.Connection, statement: str) -> None:
    """Execute a statement that ignores SQLite's busy timeout; retry while the file is locked."""
    until = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
