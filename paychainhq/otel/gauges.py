"""Gauges of clients and ledgers, read when metrics are collected."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from paychainhq.errors import LedgerError
from paychainhq.otel.attributes import server
from paychainhq.otel.metrics import Measurements

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter, MeterProvider

    from paychainhq._core.statistics import Statistics
    from paychainhq.ledger.base import Entry, State

T = TypeVar("T")
_Value = tuple[float, Mapping[str, Any]]
_COUNTED: tuple[State, ...] = ("unfinished", "refused")  # the finished ones may be millions


class ListedLedger(Protocol):
    """Ledger that lists its entries: `SQLiteLedger`, `MemoryLedger`."""

    def entries(self, state: State | None = None) -> Iterator[Entry]: ...


def _in_flight(clients: list[Statistics]) -> Iterator[_Value]:
    yield sum(client.in_flight for client in clients), {}


def _retry_budget(clients: list[Statistics]) -> Iterator[_Value]:
    budgets = [budget for client in clients for budget in client.retry_budgets.values()]
    if budgets:
        yield min(budgets), {}


def _pace(clients: list[Statistics]) -> Iterator[_Value]:
    rates: dict[str, float] = {}
    for client in clients:
        for operation, rate in client.rates.items():
            rates[operation] = rates.get(operation, 0.0) + rate
    for operation, rate in rates.items():
        yield rate, {"paychainhq.operation": operation}


def _behind(clients: list[Statistics]) -> Iterator[_Value]:
    yield max(client.behind for client in clients), {}


def _entries(ledgers: list[ListedLedger]) -> Iterator[_Value]:
    for state in _COUNTED:
        count = sum(1 for ledger in ledgers for _ in ledger.entries(state))
        yield count, {"paychainhq.ledger.state": state}


def _oldest(ledgers: list[ListedLedger]) -> Iterator[_Value]:
    firsts = [next(ledger.entries("unfinished"), None) for ledger in ledgers]
    now = time.time()
    yield max([0.0, *(now - first.started_at for first in firsts if first is not None)]), {}


_OF_CLIENTS: Mapping[str, tuple[str, str, Callable[[list[Statistics]], Iterator[_Value]]]] = {
    "paychainhq.client.in_flight": ("{attempt}", "Attempts in progress.", _in_flight),
    "paychainhq.client.retry_budget": (
        "{attempt}",
        "Retries left to the operation with the fewest.",
        _retry_budget,
    ),
    "paychainhq.client.pace": (
        "{attempt}/s",
        "Adaptive rate of an operation's attempts, while there is one.",
        _pace,
    ),
    "paychainhq.watch.behind": ("s", "Lateness of the most overdue watched invoice.", _behind),
}
_OF_LEDGERS: Mapping[str, tuple[str, str, Callable[[list[ListedLedger]], Iterator[_Value]]]] = {
    "paychainhq.ledger.entries": ("{entry}", "Unfinished and refused entries.", _entries),
    "paychainhq.ledger.oldest_unfinished.age": (
        "s",
        "Age of the oldest unfinished entry.",
        _oldest,
    ),
}


class Gauges:
    """Clients and ledgers whose gauges one meter provider has.

    An SDK calls only the first callback that is registered under a name. So all telemetry with the
    same provider shares one object.

    Attributes:
        measurements: The values that are recorded when metrics are collected, at the latest.
    """

    def __init__(self, meter: Meter) -> None:
        self._clients: list[tuple[str, Callable[[], Statistics | None]]] = []
        self._ledgers: list[ListedLedger] = []
        self.measurements = Measurements()
        for name, (unit, meaning, read) in _OF_CLIENTS.items():
            observe = self._observed(self._of_clients, read)
            meter.create_observable_gauge(name, [observe], unit, meaning)
        for name, (unit, meaning, read_ledger) in _OF_LEDGERS.items():
            observe = self._observed(self._of_ledgers, read_ledger)
            meter.create_observable_gauge(name, [observe], unit, meaning)

    def add(self, origin: str, statistics: Callable[[], Statistics | None]) -> None:
        """Observe a client until its statistics are None."""
        self._clients = [
            *(client for client in self._clients if client[1]() is not None),
            (origin, statistics),
        ]

    def add_ledger(self, ledger: ListedLedger) -> None:
        """Observe a ledger."""
        self._ledgers.append(ledger)

    def _observed(
        self,
        sources: Callable[[], Iterable[tuple[Mapping[str, Any], T]]],
        read: Callable[[T], Iterator[_Value]],
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            self.measurements.record()  # in time: an SDK reads its gauges first
            for common, source in sources():
                try:
                    for value, attributes in read(source):
                        yield Observation(value, {**common, **attributes})
                except LedgerError:  # locked or closed: no value this time
                    continue

        return observe

    def _of_clients(self) -> Iterable[tuple[Mapping[str, Any], list[Statistics]]]:
        found: dict[str, list[Statistics]] = {}
        for origin, read in self._clients:
            if (statistics := read()) is not None:
                found.setdefault(origin, []).append(statistics)
        return [(server(origin), clients) for origin, clients in found.items()]

    def _of_ledgers(self) -> Iterable[tuple[Mapping[str, Any], list[ListedLedger]]]:
        return [({}, self._ledgers)] if self._ledgers else []


_of_provider: WeakKeyDictionary[object, Gauges] = WeakKeyDictionary()


def of(meter: Meter, provider: MeterProvider | None) -> Gauges:
    """Return the gauges of a meter's provider; None is the global one."""
    key = metrics if provider is None else provider
    if key not in _of_provider:
        _of_provider[key] = Gauges(meter)
    return _of_provider[key]
