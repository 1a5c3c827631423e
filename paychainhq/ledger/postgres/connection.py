"""Connection of a PostgreSQL ledger: reconnection, forks, and errors."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from threading import RLock
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from paychainhq._core.fork import forget_in_child, notice_fork
from paychainhq.errors import LedgerError, PayChainError
from paychainhq.ledger.postgres import statements, tables

# Unless the connection string has them. A replica is never used: it may lack entries.
_DEFAULTS: Mapping[str, str] = {
    "target_session_attrs": "read-write",
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "fallback_application_name": "paychainhq-ledger",
    "client_encoding": "UTF8",
}
_READ_ONLY = "25006"
_ADVICE = {
    "42P01": "its tables are missing: call `migrate()` once, as a step of the deployment",
    "3F000": "create the schema first",
    "42501": "grant the role what docs/scale-out.md lists",
    _READ_ONLY: "this is a replica: name the primary",
}
# The protocol gives no code for a refused connection. In other languages, these are retried.
_DEFINITE = re.compile(
    r"authentication failed|does not exist|no pg_hba\.conf entry|no password supplied"
    r"|not permitted to log in"
)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class Connection:
    """Connection that reopens itself, for use in any thread.

    Every statement may be executed twice. So if the connection is lost, or the server fails over, a
    statement is executed again, without knowing whether it was executed before.

    Args:
        dsn: The connection string.
        schema: The schema of the tables, or None for the search path.
        patience: The seconds for which a failed statement is executed again.
        prepare_threshold: That of psycopg.
    """

    def __init__(
        self, dsn: str, *, schema: str | None, patience: float, prepare_threshold: int | None
    ) -> None:
        self.schema = schema
        self._dsn = dsn
        self._patience = patience
        self._prepare_threshold = prepare_threshold
        self._lock = RLock()
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._closed = False
        try:
            given = conninfo_to_dict(dsn).keys()
        except psycopg.Error:
            given = None
        if given is None:  # without the original error, which quotes the password
            raise LedgerError("dsn must be a connection string of PostgreSQL")
        self._options: dict[str, Any] = {name: _DEFAULTS[name] for name in _DEFAULTS.keys() - given}
        forget_in_child(self)

    def execute(
        self, query: bytes, arguments: Mapping[str, object]
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """Execute a statement; repeat it after a lost connection, a failover or a deadlock.

        Raises:
            LedgerError: The statement failed definitely, or for longer than `patience`.
        """
        until, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            notice_fork()
            with self._lock:
                try:
                    return self._open().execute(query, arguments, binary=True)
                except psycopg.Error as error:
                    failure = error
                    if not isinstance(error, psycopg.errors.TransactionRollback):
                        self._close()
            if not is_transient(failure) or time.monotonic() + pause > until:
                break
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise self.unusable(failure)

    def _open(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._closed:
            raise LedgerError("the ledger in PostgreSQL is closed")
        if self._connection is None:
            connection = self._connection = self.connect()
            self._begin(connection)
            connection.prepare_threshold = self._prepare_threshold
        return self._connection

    def _begin(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Verify the tables on a new connection."""
        version = self._version(connection)
        if version != tables.VERSION:
            self._close()
            raise _other_version(version)
        connection.execute(statements.BARRIER)

    def unusable(self, error: psycopg.Error) -> PayChainError:
        """Return the error for a statement that failed."""
        return unusable(error)

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a new connection. Raises psycopg's errors."""
        return psycopg.connect(self._dsn, autocommit=True, prepare_threshold=None, **self._options)

    def _version(self, connection: psycopg.Connection[tuple[Any, ...]]) -> int:
        (version,) = connection.execute(
            prepared(statements.VERSION, self.schema), {}
        ).fetchone() or (0,)
        return int(version or 0)

    def migrate(self) -> None:
        """Bring the tables to the present version, in one transaction of a connection of its own.

        Raises:
            LedgerError: The server refuses, or the tables are of a later version.
        """
        try:
            with self.connect() as connection, connection.transaction():
                connection.execute(tables.LOCK)
                name = tables.prefix(self.schema) + "paychainhq_schema"
                exists = connection.execute(b"SELECT to_regclass(%s)", (name,)).fetchone()
                version = 0 if exists == (None,) else self._version(connection)
                if version < tables.VERSION:
                    connection.execute(tables.migration(self.schema, version).encode())
            failure = _other_version(version) if version > tables.VERSION else None
        except psycopg.Error as error:
            failure = unusable(error)
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Close the connection for good."""
        notice_fork()
        with self._lock:
            self._closed = True
            self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def forget_inherited(self) -> object:
        """Redirect the parent's socket in a child; return the connection, which stays unused."""
        self._lock = RLock()
        inherited, self._connection = self._connection, None
        if inherited is not None:
            with suppress(psycopg.Error, OSError):
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, inherited.fileno(), inheritable=False)
                os.close(null)
        return inherited


def prepared(statement: str, schema: str | None, *, durable: bool = True) -> bytes:
    """Return a statement on the tables of a schema, with a durable commit or another one."""
    # Unlike SET, this ends with the transaction, so it does not reach other users of a pool.
    commit = "true" if durable else "(SELECT set_config('synchronous_commit', 'off', true)) = 'off'"
    name = tables.prefix(schema).replace("%", "%%")
    for part, text in {**statements.PARTS, "{commit}": commit, "{s}": name}.items():
        statement = statement.replace(part, text)
    return statement.encode()


def unusable(error: psycopg.Error) -> LedgerError:
    """Return the error of a ledger for one of psycopg, with advice."""
    problem = str(error).strip().partition("\n")[0]
    advice = _ADVICE.get(error.sqlstate or "")
    return LedgerError(
        f"the ledger in PostgreSQL is unusable: {problem}{f'; {advice}' if advice else ''}"
    )


def _other_version(version: int) -> LedgerError:
    advice = "call `migrate()`" if version < tables.VERSION else "update the package"
    return LedgerError(
        f"the ledger's tables have version {version}, but this version of the package uses version "
        f"{tables.VERSION}: {advice}"
    )


def is_transient(error: psycopg.Error) -> bool:
    """Return whether a statement may succeed on a new connection, or if it is repeated."""
    if error.sqlstate is None and _DEFINITE.search(str(error)):
        return False
    return error.sqlstate == _READ_ONLY or isinstance(
        error, (psycopg.OperationalError, psycopg.InterfaceError)
    )
