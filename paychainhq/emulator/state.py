"""State of the emulator: one SQLite database, in memory or in a file, and the emulated clock."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from os import PathLike

from paychainhq.emulator.seed import plant
from paychainhq.emulator.tables import SCHEMA, TRIGGERS

_VERSION = 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Python's dates end with the year 9999; dates ahead of the clock need room.
_LAST = (datetime(9000, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)

Row = sqlite3.Row
Value = str | int | bytes | None


def iso(milliseconds: int | None) -> str | None:
    """Format a time as the documents do: `2026-03-14T09:20:00.000Z`."""
    if milliseconds is None:
        return None
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


class State:
    """Database and clock. Only the thread that created it may use it.

    Args:
        path: A SQLite file, created if missing. None keeps the state in memory.

    Attributes:
        on_change: The function that is called with the kind and the id of each changed object, also
            in a transaction that is rolled back later.
    """

    def __init__(self, path: str | PathLike[str] | None) -> None:
        self.on_change: Callable[[str, str], None] = lambda kind, changed_id: None
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.create_function("now", 0, self.now)
        self._db.create_function("changed", 2, self._changed)
        try:
            self._prepare(path)
        except BaseException:
            self._db.close()
            raise
        self._ahead: int = self.get("SELECT ahead FROM clock")["ahead"]

    def _prepare(self, path: str | PathLike[str] | None) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            # A killed process loses no committed data. Only a power cut could lose the last
            # commits.
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {_VERSION};")
            with self._db:
                plant(self)
        elif version != _VERSION:
            raise ValueError(
                f"{path} was written by another version of the emulator: delete it to start with "
                "an empty state"
            )
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(TRIGGERS)

    def _changed(self, kind: str, changed_id: str) -> None:
        self.on_change(kind, changed_id)

    def close(self) -> None:
        self._db.close()

    def reset(self) -> None:
        """Replace all data by the initial data, and set the clock to the present."""
        tables = self.all("SELECT name FROM sqlite_schema WHERE type = 'table'")
        with self.transaction():
            for table in tables:
                self.run(f"DELETE FROM {table['name']}")  # noqa: S608  # nosec B608
            self._ahead = 0
            plant(self)

    # --- the clock ---

    def now(self) -> int:
        """Return the emulator's time in milliseconds since 1970: real time plus all advances."""
        return time.time_ns() // 1_000_000 + getattr(self, "_ahead", 0)

    def advance(self, milliseconds: int) -> None:
        if self.now() + milliseconds > _LAST:
            raise ValueError("the clock ends with the year 8999")
        with self.transaction():
            self.run("UPDATE clock SET ahead = ahead + ?", milliseconds)
        self._ahead += milliseconds

    @property
    def ahead(self) -> int:
        """Milliseconds by which the clock is ahead of real time."""
        return self._ahead

    def reset_clock(self) -> None:
        self.run("UPDATE clock SET ahead = 0")
        self._ahead = 0

    # --- the database ---

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in one transaction: commit it, or roll it back on an exception."""
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            yield

    def run(self, sql: str, *values: Value) -> int:
        """Execute one statement and return the number of changed rows."""
        return self._db.execute(sql, values).rowcount

    def find(self, sql: str, *values: Value) -> Row | None:
        row: Row | None = self._db.execute(sql, values).fetchone()
        return row

    def get(self, sql: str, *values: Value) -> Row:
        """Return the one row of a query; the row must exist."""
        row = self.find(sql, *values)
        assert row is not None
        return row

    def all(self, sql: str, *values: Value) -> list[Row]:
        return self._db.execute(sql, values).fetchall()

    def insert(self, table: str, **values: Value) -> None:
        parts = [
            "INSERT INTO",
            table,
            f"({', '.join(values)})",
            "VALUES",
            f"({', '.join('?' * len(values))})",
        ]
        self.run(" ".join(parts), *values.values())
