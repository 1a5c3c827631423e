"""Storage of the shop's orders, in an SQLite file."""

from __future__ import annotations

import secrets
import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from paychainhq.models import Invoice


class Orders:
    """Orders and their statuses.

    Each order is marked paid once, however many sources report the payment.
    """

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, article TEXT, price TEXT, "
            "invoice_id TEXT UNIQUE,"
            " address TEXT, token TEXT, network TEXT, uri TEXT, expires_at TEXT, status TEXT, "
            "received TEXT NOT NULL DEFAULT '0', paid_at TEXT)"
        )

    def close(self) -> None:
        self._db.close()

    def add(self, article: str, price: str) -> str:
        order_id = secrets.token_urlsafe(12)  # the id gives access to the order
        self._db.execute(
            "INSERT INTO orders (id, article, price, status) VALUES (?, ?, ?, 'new')",
            (order_id, article, price),
        )
        return order_id

    def invoiced(self, order_id: str, invoice: Invoice, uri: str) -> None:
        """Store the data of a new invoice; only the creation returns the expiry."""
        expires_at = invoice.expires_at.isoformat() if invoice.expires_at else None
        self._db.execute(
            "UPDATE orders SET invoice_id = ?, address = ?, token = ?, network = ?, uri = ?, "
            "expires_at = ?, status = 'pending'"
            " WHERE id = ?",
            (
                invoice.id,
                invoice.deposit_address,
                invoice.token,
                invoice.network_id,
                uri,
                expires_at,
                order_id,
            ),
        )

    def update(self, invoice_id: str, status: str, received: Decimal, uri: str | None) -> None:
        """Set status, received amount and the link for the missing one; a paid order stays paid."""
        self._db.execute(
            "UPDATE orders SET status = ?, received = ?, uri = coalesce(?, uri) "
            "WHERE invoice_id = ? AND paid_at IS NULL",
            (status, f"{received:f}", uri, invoice_id),
        )

    def mark_paid(self, invoice_id: str, status: str) -> bool:
        """Mark an order paid, and return whether this call did so: only then ship the order."""
        now = datetime.now(UTC).isoformat()
        done = self._db.execute(
            "UPDATE orders SET status = ?, paid_at = ? WHERE invoice_id = ? AND paid_at IS NULL",
            (status, now, invoice_id),
        )
        return done.rowcount == 1

    def get(self, order_id: str) -> dict[str, Any] | None:
        row = self._db.execute("SELECT * FROM orders WHERE id = ?", (order_id,)).fetchone()
        return None if row is None else dict(row)

    def open(self) -> list[sqlite3.Row]:
        """Return the orders without a terminal status, which a restarted shop resumes."""
        states = "('new', 'pending', 'confirming', 'partially_paid')"
        return self._db.execute(f"SELECT * FROM orders WHERE status IN {states}").fetchall()
