"""A cell of the matrix: a fault, operations, a face and a load; what came of it, and whether that is as it must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from paychainhq.flight import LARGEST_BODY
from tests.faults.server import Seen
from tests.faults.table import RESULT, Fault

CROWD = 64


@attrs.frozen
class Operation:
    """What is called, and whether it may be sent again."""

    name: str
    perform: Callable[[Any, str], Any]
    repeatable: bool
    mutates: bool


OPERATIONS = (
    Operation("read", lambda pay, name: pay.invoices.get(name), repeatable=True, mutates=False),
    Operation(
        "keyed mutation", lambda pay, name: pay.invoices.create("5", "USDC", "eth", description=name), repeatable=True, mutates=True
    ),
    Operation("mutation without a key", lambda pay, name: pay.api_keys.create(name), repeatable=False, mutates=True),
)


FACES = ("async", "sync")


@attrs.frozen
class Cell:
    """What is tried: so many calls at once, each of one of the operations in turn."""

    fault: Fault
    form: str
    operations: tuple[Operation, ...]
    face: str
    load: int


@attrs.frozen
class Call:
    """What came of one call: its outcome is `"result"` or the name of a class of error."""

    name: str
    operation: Operation
    outcome: str
    sent: str
    attempts: int
    elapsed: float
    problem: str | None


@attrs.frozen
class Report:
    """What came of a cell.

    Attributes:

        calls: What came of each call.
        seen: What the server saw of each.
        lag: The longest time by which a control was late that only slept, through the same face, in seconds.
        growth: By how many bytes the process was larger than before.
        complaints: What asyncio had to say, of exceptions that nobody has fetched for instance.
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
        """The deadline, a tenth of it and 50 ms, and what the machine was late itself."""
        return self.cell.fault.pace.timeout * 1.1 + 0.05 + self.lag

    @property
    def late(self) -> bool:
        return self.slowest > self.limit

    def problems(self) -> Iterator[str]:
        """Say what is not as it must be, deadlines apart."""
        yield from self.complaints
        cell = self.cell
        for call in self.calls:
            expected = cell.fault.expected(cell.form, repeatable=call.operation.repeatable, load=cell.load)
            seen = self.seen[call.name]
            facts = f"{call.name}: {call.outcome}, sent {call.sent}, {call.attempts} attempts, {seen}"
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
        if self.growth > 2 * LARGEST_BODY * (cell.load + 1):  # a body in pieces and as a whole, and as much for all the rest
            yield f"the process grew by {self.growth >> 20} MiB"
