"""State of the emulator: one SQLite database, in memory or in a file, and the emulated clock."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from os import PathLike

from paychainhq.emulator.gateway.tables import SCHEMA as _GATEWAY_SCHEMA

_VERSION = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Python's dates end with the year 9999; dates ahead of the clock need room.
_LAST = (datetime(9000, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)

# Times are milliseconds since 1970. Amounts are text: raw amounts of 18 decimals exceed SQLite's
# integers.
_SCHEMA = """
CREATE TABLE clock (ahead INTEGER NOT NULL);
CREATE TABLE business (
    id TEXT PRIMARY KEY, billing_alias TEXT, name TEXT, status TEXT, treasury_address TEXT, created_at INTEGER, updated_at INTEGER,
    tolerance_bps INTEGER, tolerance_max_usd TEXT, plan_code TEXT, billing_mode TEXT, cycle_start INTEGER
);
CREATE TABLE api_keys (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, digest TEXT UNIQUE, kind TEXT, name TEXT, permissions TEXT, policy TEXT,
    created_at INTEGER, expires_at INTEGER, last_used_at INTEGER, revoked INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE customers (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, external_ref TEXT, email TEXT, eth_address TEXT, sol_address TEXT);
CREATE TABLE invoices (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, customer_id TEXT, status TEXT, token TEXT, chain TEXT, network_id TEXT, raw TEXT,
    decimals INTEGER, deposit_address TEXT, expires_at INTEGER, tolerance_bps INTEGER, tolerance_max_usd TEXT,
    settled_by_tolerance INTEGER NOT NULL DEFAULT 0, metadata TEXT
);
CREATE INDEX invoices_by_status ON invoices (status, expires_at);
CREATE TABLE payments (seq INTEGER PRIMARY KEY, invoice_id TEXT, token TEXT, amount TEXT, late INTEGER);
CREATE INDEX payments_by_invoice ON payments (invoice_id);
CREATE TABLE billing_invoices (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, alias TEXT, status TEXT, amount_usd TEXT, due_at INTEGER,
    plan_code TEXT, billing_mode TEXT
);
CREATE TABLE billing_payments (
    chain TEXT, network_id TEXT, tx_hash TEXT, invoice_id TEXT, PRIMARY KEY (chain, network_id, tx_hash)
);
CREATE TABLE replies (
    credential TEXT, method TEXT, path TEXT, idempotency_key TEXT, fingerprint TEXT, status INTEGER, body BLOB,
    PRIMARY KEY (credential, method, path, idempotency_key)
) WITHOUT ROWID;
CREATE TABLE webhook_endpoints (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, url TEXT, secret TEXT, bearer TEXT, copies INTEGER, jitter_ms INTEGER,
    scheme TEXT
);
CREATE TABLE status_changes (seq INTEGER PRIMARY KEY, invoice_id TEXT, status TEXT, at INTEGER);
CREATE TRIGGER status_changed AFTER UPDATE OF status ON invoices
    WHEN old.status <> new.status AND EXISTS (SELECT 1 FROM webhook_endpoints)
    BEGIN INSERT INTO status_changes (invoice_id, status, at) VALUES (new.id, new.status, now()); END;
CREATE TABLE webhook_deliveries (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, endpoint_id TEXT, event_type TEXT, body BLOB, status TEXT, attempts INTEGER,
    next_at INTEGER, failure_reason TEXT, latest_request_headers TEXT
);
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (status, next_at);
"""  # noqa: E501

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
    """

    def __init__(self, path: str | PathLike[str] | None) -> None:
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.create_function("now", 0, self.now)
        try:
            self._prepare(path)
        except BaseException:
            self._db.close()
            raise
        self._ahead: int = self.get("SELECT ahead FROM clock")["ahead"]

    def _prepare(self, path: str | PathLike[str] | None) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            from paychainhq.emulator.seed import plant

            # A killed process loses no committed data. Only a power cut could lose the last
            # commits.
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} {_GATEWAY_SCHEMA} PRAGMA user_version = {_VERSION};"
            )
            with self._db:
                plant(self)
        elif version != _VERSION:
            raise ValueError(
                f"{path} was written by another version of the emulator: delete it to start with "
                "an empty state"
            )
        self._db.execute("PRAGMA synchronous = NORMAL")

    def close(self) -> None:
        self._db.close()

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
