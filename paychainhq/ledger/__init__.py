"""Ledgers: durable records of requests and responses, from which an interrupted job continues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paychainhq.ledger.base import Answer, Entry, Intent, Ledger

if TYPE_CHECKING:
    from paychainhq.ledger.memory import MemoryLedger
    from paychainhq.ledger.sqlite import SQLiteLedger

__all__ = ["Answer", "Entry", "Intent", "Ledger", "MemoryLedger", "SQLiteLedger"]

_HOMES = {"MemoryLedger": "memory", "SQLiteLedger": "sqlite"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
