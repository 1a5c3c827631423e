"""Parts of the contract: the ledger under test, intents, and processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import warnings
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Protocol, TypeVar

import pytest

from paychainhq.ledger.base import Answer, Entry, Intent, Ledger, State
from paychainhq.ledger.claims import Claims

T = TypeVar("T")

CREATE = "invoices.create"
OK = Answer(201, "req_1", b'{"id":"inv_1"}')
NO = Answer(400, None, b"{}")


class FullLedger(Ledger, Protocol):
    """Ledger with all methods that users call."""

    @property
    def claims(self) -> Claims: ...

    def entries(self, state: State | None = None) -> Iterator[Entry]: ...

    def compact(self, *, older_than: float) -> int: ...

    def forget(self, operation: str, key: str) -> None: ...


Open = Callable[[], FullLedger]
"""Function that opens the same ledger each time."""


class Cases:
    """Base of all cases: a class of tests that defines `open_ledger`."""

    @pytest.fixture
    def open_ledger(self) -> Open:
        """Return a function that opens the ledger under test, which is empty at first."""
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, open_ledger: Open) -> FullLedger:
        """Return the ledger under test."""
        return open_ledger()


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


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in an event loop of its own."""
    return asyncio.run(work)


def states(ledger: FullLedger) -> dict[str, str]:
    """Return the states of all entries by their keys."""
    return {entry.key: entry.state for entry in ledger.entries()}


def in_processes(work: Callable[[int], int], count: int) -> list[int]:
    """Run a function with the numbers below `count`, each in a forked process.

    Returns:
        The results, in any order.
    """
    context = multiprocessing.get_context("fork")
    results: Any = context.SimpleQueue()
    processes = [
        context.Process(target=lambda number=number: results.put(work(number)))
        for number in range(count)
    ]
    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside other threads; a ledger supports them.
        warnings.simplefilter("ignore", DeprecationWarning)
        for process in processes:
            process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * count
    return [results.get() for _ in range(count)]
