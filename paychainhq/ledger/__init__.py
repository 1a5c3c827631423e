"""Ledgers: what was asked for and what came of it, so that a job that died goes on where it was."""

from paychainhq.ledger.base import Answer, Entry, Ledger

__all__ = ["Answer", "Entry", "Ledger"]
