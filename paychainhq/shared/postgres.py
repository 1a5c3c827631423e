"""Line of turns in PostgreSQL."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4
from weakref import finalize

from paychainhq._core.policies import RateLimit
from paychainhq.errors import ConfigurationError, LedgerError, PayChainError
from paychainhq.ledger.postgres.tables import LOCK
from paychainhq.middleware.leased_turns import Lease
from paychainhq.shared.statements import LEASE, migration

try:
    import psycopg

    from paychainhq.ledger.postgres.connection import Connection, is_transient, prepared
except ImportError as missing:
    raise ConfigurationError(
        f"SharedRateLimit requires psycopg: pip install 'paychainhq[postgres]' ({missing})"
    ) from missing

# A lost connection is opened again at once, and only once.
_PATIENCE = 0.1
_OPTIONS = {"connect_timeout": "2", "fallback_application_name": "paychainhq-limit"}


class LineConnection(Connection):
    """Connection to the line, on which a statement can be interrupted."""

    _socket: socket.socket | None = None

    def __init__(self, dsn: str, schema: str | None, prepare_threshold: int | None) -> None:
        super().__init__(
            dsn, schema=schema, patience=_PATIENCE, prepare_threshold=prepare_threshold
        )
        self._options |= {name: _OPTIONS[name] for name in _OPTIONS.keys() & self._options.keys()}

    def _begin(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        borrowed = socket.socket(fileno=connection.fileno())
        self._socket = borrowed.dup()  # one that psycopg never closes meanwhile
        borrowed.detach()

    def _close(self) -> None:
        super()._close()
        self._close_socket()

    def _close_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def forget_inherited(self) -> object:
        self._close_socket()
        return super().forget_inherited()

    def unusable(self, error: psycopg.Error) -> PayChainError:
        problem = str(error).strip().partition("\n")[0]
        if is_transient(error):
            return LedgerError(problem)
        return ConfigurationError(
            f"the shared rate limit in PostgreSQL is unusable: {problem}; call `migrate()` once, "
            "and grant the role what docs/scale-out.md lists"
        )

    def migrate(self) -> None:
        """Create the tables and the function of the line, unless they exist.

        Raises:
            ConfigurationError: The server refuses.
            LedgerError: The server is away.
        """
        try:
            with self.connect() as connection, connection.transaction():
                connection.execute(LOCK)
                connection.execute(migration(self.schema).encode())
            failure = None
        except psycopg.Error as error:
            failure = self.unusable(error)
        if failure is not None:
            raise failure

    def interrupt(self) -> None:
        """Break the connection while another thread waits for it."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class PostgresLine:
    """Line in PostgreSQL, as one member uses it: one connection, used by one thread.

    Args:
        connection: Its connection.
        limit: The limit.
        name: The name of the line.
    """

    def __init__(self, connection: LineConnection, limit: RateLimit, name: str) -> None:
        self._connection = connection
        self._statement = prepared(LEASE, connection.schema)
        self._arguments = {
            "name": name,
            "member": uuid4().hex,
            "rate": limit.rate / limit.per,
            "burst": limit.burst or max(1, int(limit.rate)),
        }
        self._thread = ThreadPoolExecutor(1, "paychainhq-limit")
        finalize(self, self._connection.close)  # if the client is not closed

    async def lease(self, want: int, alone: int) -> Lease:
        arguments = {**self._arguments, "want": want, "alone": alone}
        running = self._thread.submit(self._lease, arguments)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            self._connection.interrupt()
            raise

    def _lease(self, arguments: dict[str, object]) -> Lease:
        row = self._connection.execute(self._statement, arguments).fetchone()
        assert row is not None
        return Lease(*row)

    def close(self) -> None:
        with suppress(RuntimeError):  # at the end of the interpreter, which ends the connection
            self._thread.submit(self._connection.close)
        self._thread.shutdown(wait=False)
