"""Storage of the shop's orders, in an SQLite file."""

from __future__ import annotations

import secrets
import sqlite3
from datetime import UTC, datetime

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
            " address TEXT, amount TEXT, token TEXT, network TEXT, expires_at TEXT, status TEXT, "
            "paid_at TEXT)"
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

    def invoiced(self, order_id: str, invoice: Invoice) -> None:
        """Store the data that only the creation returns: address and expiry."""
        expires_at = invoice.expires_at.isoformat() if invoice.expires_at else None
        amount = format(invoice.amount.display, "f")
        self._db.execute(
            "UPDATE orders SET invoice_id = ?, address = ?, amount = ?, token = ?, network = ?, "
            "expires_at = ?, status = 'pending'"
            " WHERE id = ?",
            (
                invoice.id,
                invoice.deposit_address,
                amount,
                invoice.token,
                invoice.network_id,
                expires_at,
                order_id,
            ),
        )

    def update(self, invoice_id: str, status: str) -> None:
        """Set a new status; a paid order stays paid."""
        self._db.execute(
            "UPDATE orders SET status = ? WHERE invoice_id = ? AND paid_at IS NULL",
            (status, invoice_id),
        )

    def mark_paid(self, invoice_id: str) -> bool:
        """Mark an order paid, and return whether this call did so: only then ship the order."""
        now = datetime.now(UTC).isoformat()
        done = self._db.execute(
            "UPDATE orders SET status = 'paid', paid_at = ? WHERE invoice_id = ? AND paid_at IS "
            "NULL",
            (now, invoice_id),
        )
        return done.rowcount == 1

    def get(self, order_id: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM orders WHERE id = ?", (order_id,)
        ).fetchone()
        return row

    def open(self) -> list[sqlite3.Row]:
        """Return the orders without a terminal status, which a restarted shop resumes."""
        states = "('new', 'pending', 'confirming', 'partially_paid')"
        return self._db.execute(f"SELECT * FROM orders WHERE status IN {states}").fetchall()
