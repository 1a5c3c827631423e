"""Intents for the tests of ledgers."""

from __future__ import annotations

import os

from paychainhq.ledger import Intent

CREATE = "invoices.create"


def intent(
    key: str,
    fingerprint: str = "f",
    *,
    operation: str = CREATE,
    credential: str = "c",
    attempt: str | None = None,
) -> Intent:
    """Return an intent, by default of a new attempt."""
    return Intent(
        operation, key, fingerprint, credential, os.urandom(8).hex() if attempt is None else attempt
    )
