"""Ledger in PostgreSQL, which several hosts may share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paychainhq._core import validators
from paychainhq._core.credentials import conceal
from paychainhq.errors import ConfigurationError
from paychainhq.ledger.batches import BatchedLedger
from paychainhq.ledger.postgres import tables

if TYPE_CHECKING:
    from paychainhq.ledger.postgres.store import PostgresClaims


class PostgresLedger(BatchedLedger):
    """Ledger in PostgreSQL, which any number of processes on any number of hosts may share.

    It has one connection per process, opened on first use, and needs psycopg 3
    (`paychainhq[postgres]`). Any number of tasks, event loops and threads may use it. A forked
    child opens a connection of its own. The tables must exist: see `migrate`.

    Args:
        dsn: The connection string of PostgreSQL: a URL, or `"host=... dbname=..."`. With several
            hosts, the ledger uses the one that accepts writes.
        schema: The schema of the tables. Default: the first of the role's search path.
        durable: Wait until the server has written each batch to its disk, and to its synchronous
            replicas if it has any. Without it, a crash of the server loses the last batches.
        patience: The seconds for which a lost connection or a failover is waited out.
        prepare_threshold: The number of executions after which psycopg prepares a statement. None,
            if a pgbouncer before 1.21 pools the connections by transaction.
        resend_within: The age in seconds up to which an unfinished request is sent again.

    Raises:
        ConfigurationError: psycopg is not installed, or an argument is invalid.
        LedgerError: The connection string is invalid.

    Source: docs/scale-out.md.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str | None = None,
        durable: bool = True,
        patience: float = 15.0,
        prepare_threshold: int | None = 1,
        resend_within: float = 86_400.0,
    ) -> None:
        dsn = conceal(dsn)
        self._schema = schema
        try:
            from paychainhq.ledger.postgres.connection import Connection
            from paychainhq.ledger.postgres.store import PostgresStore
        except ImportError as error:
            raise ConfigurationError(
                f"PostgresLedger requires psycopg: pip install 'paychainhq[postgres]' ({error})"
            ) from error
        self._connection = Connection(
            dsn,
            schema=schema,
            patience=validators.seconds("patience", patience, zero=True),
            prepare_threshold=prepare_threshold,
        )
        self._rows = PostgresStore(self._connection, durable=durable)
        super().__init__(self._rows, resend_within=resend_within)

    @property
    def claims(self) -> PostgresClaims:
        """Claims of a webhook `Receiver` in the same schema; they keep this ledger alive."""
        from paychainhq.ledger.postgres.store import PostgresClaims

        return PostgresClaims(self._rows, self)

    def migrate(self) -> None:
        """Create the tables, or bring older ones to the version of this package.

        Call it as a step of a deployment, by a role that may create tables. The ledger never calls
        it. Several calls at once wait for each other.

        Raises:
            LedgerError: The server refuses, or the tables are of a later version.
        """
        self._connection.migrate()

    @staticmethod
    def migration(schema: str | None = None) -> str:
        """Return the SQL by which `migrate` creates the tables, for a migration tool of yours."""
        return tables.migration(schema)

    def __repr__(self) -> str:
        return f"PostgresLedger(schema={self._schema!r})"
