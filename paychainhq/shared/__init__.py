"""Rate limit that processes on any number of hosts share."""

from __future__ import annotations

from functools import partial

from paychainhq._core import validators
from paychainhq._core.credentials import conceal
from paychainhq._core.policies import RateLimit
from paychainhq.errors import ConfigurationError
from paychainhq.middleware.leased_turns import Lease, LeasedTurns, Line

__all__ = ["Lease", "Line", "SharedRateLimit"]


class SharedRateLimit:
    """Limit on the requests of all clients that use one name in one PostgreSQL database.

    Each client leases some turns at a time, so about one request in five waits for a round trip to
    PostgreSQL. The total is exact while clients come and go. While PostgreSQL is away, each client
    has its share: the limit, divided by the number of clients that there were. The adaptive rate of
    each client stays in force beneath the limit.

    A client has one connection, which is closed with it, and needs psycopg 3
    (`paychainhq[postgres]`). The table must exist: see `migrate`.

    Args:
        limit: The limit on the total.
        dsn: The connection string of PostgreSQL: a URL, or `"host=... dbname=..."`.
        name: The name of the limit, such as that of the account whose requests it limits.
        schema: The schema of the tables. Default: the first of the role's search path.
        members: The number of clients that is assumed if PostgreSQL is away when they start.
        prepare_threshold: The number of executions after which psycopg prepares a statement. None,
            if a pgbouncer before 1.21 pools the connections by transaction.

    Raises:
        ConfigurationError: psycopg is not installed, or an argument is invalid.
        LedgerError: The connection string is invalid.

    Source: docs/scale-out.md.
    """

    def __init__(
        self,
        limit: RateLimit,
        dsn: str,
        *,
        name: str = "default",
        schema: str | None = None,
        members: int = 10,
        prepare_threshold: int | None = 1,
    ) -> None:
        dsn = conceal(dsn)
        if not isinstance(limit, RateLimit):
            raise ConfigurationError("limit must be a RateLimit")
        self._limit = limit
        self._name = str(validators.text("name", name))
        self._members = validators.at_least(1, "members", members)
        from paychainhq.shared.postgres import LineConnection

        self._connect = partial(LineConnection, dsn, schema, prepare_threshold)
        self._connection = self._connect()  # verifies the connection string, and migrates

    def join(self) -> LeasedTurns:
        """Return the turns of a new member, for the running event loop."""
        from paychainhq.shared.postgres import PostgresLine

        line = PostgresLine(self._connect(), self._limit, self._name)
        return LeasedTurns(line, self._limit, self._members)

    def migrate(self) -> None:
        """Create the tables and the function of the line, unless they exist.

        Call it as a step of a deployment, by a role that may create them. Clients never call it.
        Clients of several versions of this package may share a line meanwhile.

        Raises:
            ConfigurationError: The server refuses.
            LedgerError: The server is away.
        """
        self._connection.migrate()

    @staticmethod
    def migration(schema: str | None = None) -> str:
        """Return the SQL by which `migrate` creates them, for a migration tool of yours."""
        from paychainhq.shared.statements import migration

        return migration(schema)

    def __repr__(self) -> str:
        settings = self.__dict__  # empty in a traceback of the constructor
        return f"SharedRateLimit({settings.get('_limit')!r}, name={settings.get('_name')!r})"
