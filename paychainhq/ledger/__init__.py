"""Ledgers: durable records of requests and responses, from which an interrupted job continues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paychainhq.ledger.base import Answer, Entry, Intent, Ledger

if TYPE_CHECKING:
    from paychainhq.ledger.claims import Claims
    from paychainhq.ledger.memory import MemoryLedger
    from paychainhq.ledger.postgres import PostgresLedger
    from paychainhq.ledger.sqlite import SQLiteLedger

__all__ = [
    "Answer",
    "Claims",
    "Entry",
    "Intent",
    "Ledger",
    "MemoryLedger",
    "PostgresLedger",
    "SQLiteLedger",
]

_HOMES = {
    "Claims": "claims",
    "MemoryLedger": "memory",
    "PostgresLedger": "postgres",
    "SQLiteLedger": "sqlite",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
