"""Cell of the matrix: a fault, operations, a face and a load, with its report and rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from paychainhq._http.attempt import LARGEST_BODY
from tests.faults.server import Seen
from tests.faults.table import RESULT, Fault

CROWD = 64


@attrs.frozen
class Operation:
    """Operation under test: its call, and whether it may be repeated."""

    name: str
    perform: Callable[[Any, str], Any]
    repeatable: bool
    mutates: bool


OPERATIONS = (
    Operation("read", lambda pay, name: pay.invoices.get(name), repeatable=True, mutates=False),
    Operation(
        "keyed mutation",
        lambda pay, name: pay.invoices.create("5", "USDC", "eth", description=name),
        repeatable=True,
        mutates=True,
    ),
    Operation(
        "mutation without a key",
        lambda pay, name: pay.api_keys.create(name),
        repeatable=False,
        mutates=True,
    ),
)


FACES = ("async", "sync")


@attrs.frozen
class Cell:
    """Cell: a number of concurrent calls, of each of the operations in turn."""

    fault: Fault
    form: str
    operations: tuple[Operation, ...]
    face: str
    load: int


@attrs.frozen
class Call:
    """Result of one call; its outcome is `"result"` or the name of an error class."""

    name: str
    operation: Operation
    outcome: str
    sent: str
    attempts: int
    elapsed: float
    problem: str | None


@attrs.frozen
class Report:
    """Report of a cell.

    Attributes:
        calls: The result of each call.
        seen: The server's record of each call.
        lag: The largest delay in seconds of a control task that only slept, in the same face.
        growth: The growth of the process in bytes.
        complaints: The errors logged by asyncio, such as exceptions that were never retrieved.
    """

    cell: Cell
    calls: list[Call]
    seen: Mapping[str, Seen]
    lag: float
    growth: int
    complaints: list[str]

    @property
    def slowest(self) -> float:
        return max(call.elapsed for call in self.calls)

    @property
    def limit(self) -> float:
        """Return the deadline, plus a tenth, 50 ms, and the delay of the machine itself."""
        return self.cell.fault.timing.timeout * 1.1 + 0.05 + self.lag

    @property
    def late(self) -> bool:
        return self.slowest > self.limit

    def problems(self) -> Iterator[str]:
        """Yield the violations of the rules, deadlines apart."""
        yield from self.complaints
        cell = self.cell
        for call in self.calls:
            expected = cell.fault.expected(
                cell.form, repeatable=call.operation.repeatable, load=cell.load
            )
            seen = self.seen[call.name]
            facts = (
                f"{call.name}: {call.outcome}, sent {call.sent}, {call.attempts} attempts, {seen}"
            )
            if call.problem is not None:
                yield f"{facts}: {call.problem}"
            if call.outcome not in expected:
                yield f"{facts}: expected {expected}"
            if len(seen.taken) > 1 or len(seen.keys) > 1:
                yield f"{facts}: a repeated effect"
            if call.outcome == RESULT and len(seen.taken) != call.operation.mutates:
                yield f"{facts}: a result without its effect"
            if (call.sent == "no" and seen.arrived) or (call.sent == "yes" and not seen.arrived):
                yield f"{facts}: `sent` is not true"
            if seen.arrived > call.attempts:
                yield f"{facts}: more requests than attempts"
        if self.growth > 2 * LARGEST_BODY * (
            cell.load + 1
        ):  # a body in pieces and joined, and the same again for the rest
            yield f"the process grew by {self.growth >> 20} MiB"
