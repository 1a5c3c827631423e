"""Matrix of faults against reads and mutations at two loads, and tests of its rules."""

from __future__ import annotations

import asyncio
from itertools import product

import attrs
import pytest

from tests.faults.matrix import CROWD, FACES, OPERATIONS, Call, Cell, Report
from tests.faults.running import run, watched
from tests.faults.server import Seen
from tests.faults.table import FAULTS, ONCE, Fault, Timing
from tests.support.often import EXHAUSTIVE

FEW = len(OPERATIONS)
CELLS = list(product(FACES, (FEW, CROWD))) if EXHAUSTIVE else [("async", CROWD), ("sync", FEW)]

_FORMS = [(fault, form) for fault in FAULTS for form in fault.forms]


@pytest.mark.parametrize(("client", "load"), CELLS)
@pytest.mark.parametrize(
    ("fault", "form"), _FORMS, ids=[f"{fault.name}, {form}" for fault, form in _FORMS]
)
def test_a_fault_has_its_expected_outcome(fault: Fault, form: str, client: str, load: int) -> None:
    """The outcome is expected, no effect is repeated, and the deadline is kept.

    `sent` is true as well.
    """
    report = run(Cell(fault, form, OPERATIONS, client, load))
    assert list(report.problems()) == []
    assert report.slowest < 3 * report.limit


# --- the rules ---

READ, KEYED, UNKEYED = OPERATIONS
FAULT = Fault("503", ("ServerError",), timing=Timing(5.0, 5.0))
GOOD = Call("call-0", UNKEYED, "ServerError", "yes", 1, 0.1, None)
SEEN = Seen(arrived=1, taken={1})


def judged(call: Call, seen: Seen, *, lag: float = 0.0, growth: int = 0) -> Report:
    return Report(
        Cell(FAULT, ONCE, (call.operation,), "async", 1), [call], {"call-0": seen}, lag, growth, []
    )


@pytest.mark.parametrize(
    ("report", "violation"),
    [
        (judged(GOOD, SEEN), None),
        (judged(attrs.evolve(GOOD, problem="a foreign exception"), SEEN), "a foreign exception"),
        (judged(attrs.evolve(GOOD, outcome="result"), SEEN), "expected {'ServerError'}"),
        (judged(attrs.evolve(GOOD, attempts=2), Seen(2, set(), {1, 2})), "a repeated effect"),
        (
            judged(
                attrs.evolve(GOOD, operation=KEYED, outcome="result"), Seen(1, {"a", "b"}, {"a"})
            ),
            "a repeated effect",
        ),
        (
            judged(attrs.evolve(GOOD, operation=KEYED, outcome="result"), Seen(1, {"a"}, set())),
            "a result without its effect",
        ),
        (
            judged(attrs.evolve(GOOD, operation=READ, outcome="result"), Seen(1, set(), {1})),
            "a result without its effect",
        ),
        (judged(attrs.evolve(GOOD, sent="no"), SEEN), "`sent` is not true"),
        (judged(GOOD, Seen()), "`sent` is not true"),
        (judged(attrs.evolve(GOOD, attempts=0), SEEN), "more requests than attempts"),
        (judged(GOOD, SEEN, growth=300_000_000), "the process grew by 286 MiB"),
    ],
)
def test_violations_are_reported(report: Report, violation: str | None) -> None:
    """A report with a violation has a problem, and a good one has none."""
    problems = list(report.problems())
    assert [violation in problem for problem in problems] == [True] if violation else not problems


@pytest.mark.parametrize(
    ("elapsed", "lag", "late"), [(5.5, 0.0, False), (5.6, 0.0, True), (5.6, 0.1, False)]
)
def test_a_missed_deadline_is_reported(elapsed: float, lag: float, late: bool) -> None:
    """A call may exceed its deadline by a tenth, 50 ms and the delay of the control."""
    assert judged(attrs.evolve(GOOD, elapsed=elapsed), SEEN, lag=lag).late is late


def test_an_unretrieved_exception_is_reported() -> None:
    """Errors that asyncio logs in this thread are complaints."""

    async def leave_one() -> None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "never retrieved", "exception": OSError("lost")}
        )

    with watched() as watch:
        asyncio.run(leave_one())
    (complaint,) = watch.complaints
    assert "never retrieved" in complaint
    assert "OSError('lost')" in complaint
