"""Matrix as text: a line for each cell in the terminal, and a page as a table."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence

import aiohttp

from tests.faults.matrix import CROWD, Report
from tests.faults.table import FAULTS

_PAGE = """# Faults

`make faults` injects faults between a client and a payments API, on real sockets, and checks the
results. It prints a line for each cell, writes this page, and fails if a rule is broken. It takes
some three minutes. `python -m stress faults silence 429` runs only the faults with these names, and
writes nothing. `make test` runs each fault too, with the three operations at once.

## Setup

{faults} faults, each over both faces, with a single call and with {crowd} concurrent calls (tasks or
threads), for three operations:

- a **read**: `invoices.get`;
- a **keyed mutation**: `invoices.create`, which has an idempotency key;
- a **mutation without a key**: `api_keys.create`, which must not be repeated once it may have left.

The fault applies either **once**, to the first request of each call, or **always**. A fault that is
no transient failure applies once: a repeat would succeed. A separate server
(`tests/faults/server.py`) assigns each request to its call, and counts effects, which are executed
mutations. If possible, it fails in the worst way: after the execution, before the response.
Requests with the same idempotency key count as one effect; a repeated mutation without a key would
count as two.

Each client has a short deadline, set by `tests/faults/table.py` for each fault, and 8 attempts with
short waits. Other settings have their defaults.

## Rules

- Each call ends with its own result, or with the expected error of this package.
- No effect is repeated: there is one key for each call, and no mutation without a key is executed
  twice.
- A result of a mutation means one effect. `sent="no"` means that no request arrived, `sent="yes"`
  that one did. There are no more requests than attempts.
- No deadline is missed by more than 10 % and 50 ms, beyond the lag of a control in the same cell: a
  task, or a thread of the sync face, that only sleeps.
- asyncio logs no error, such as an exception that was never retrieved.
- The process grows by at most twice the longest response that is read (16 MiB) for each call, and
  as much again (measured on Linux only).

## Results

{cells} cells with {calls} calls, on {machine}: {verdict}.
The slowest call, relative to its deadline and the lag of its cell, was
{worst}.

A cell has: outcome; attempts; `sent`; effects of one call (of a mutation); seconds of the slowest
call. If calls differ, it has the number of each outcome, and the least and the most of the other
values. Concurrent calls share the retry budget of their client (100 retries) and the pause after a
429, so some of them fail earlier. Not all of 64 endless responses reach 16 MiB before the deadline,
which then ends their calls.

| Fault | Applies | Operation | Deadline | async, one call | sync, one call | async, {crowd} calls | sync, {crowd} calls |
|---|---|---|---|---|---|---|---|
{rows}
"""  # noqa: E501


def line(report: Report) -> str:
    """Format the report of a cell in one line."""
    cell = report.cell
    where = (
        f"{cell.fault.name:44} {cell.form:6} {_operation(report):22} {cell.face:5} {cell.load:2}"
    )
    more = f"lag {report.lag:.2f}, grew by {report.growth >> 20} MiB"
    return f"{where}  {_outcome(report)} of {cell.fault.timing.timeout:.1f} s; {more}"


def page(reports: Sequence[Report], broken: int) -> str:
    """Return the page about the whole matrix, in which each row shows four of the reports."""
    worst = max(reports, key=lambda report: report.slowest - report.limit)
    return _PAGE.format(
        faults=len(FAULTS),
        crowd=CROWD,
        cells=len(reports),
        calls=f"{sum(len(report.calls) for report in reports):,}",
        machine=f"{os.cpu_count()} cores, Python {platform.python_version()}, aiohttp "
        f"{aiohttp.__version__}",
        verdict=f"**{broken} cells broke a rule**" if broken else "no rule was broken",
        worst=f"in *{worst.cell.fault.name}* ({_operation(worst)}, {worst.cell.face}, "
        f"{worst.cell.load} calls): "
        f"{worst.slowest:.2f} s, where {worst.limit:.2f} s are allowed",
        rows="\n".join(_row(reports[start : start + 4]) for start in range(0, len(reports), 4)),
    )


def _row(reports: Sequence[Report]) -> str:
    cell = reports[0].cell
    return (
        " | ".join(
            [
                f"| {cell.fault.name}",
                cell.form,
                _operation(reports[0]),
                f"{cell.fault.timing.timeout} s",
                *map(_outcome, reports),
            ]
        )
        + " |"
    )


def _operation(report: Report) -> str:
    return " and ".join(operation.name for operation in report.cell.operations)


def _outcome(report: Report) -> str:
    calls = report.calls
    outcomes = Counter(call.outcome for call in calls).most_common()
    shares = ", ".join(
        f"{count} {outcome}" if len(outcomes) > 1 else outcome for outcome, count in outcomes
    )
    sent = "/".join(sorted({call.sent for call in calls}))
    effects = [len(report.seen[call.name].taken) for call in calls if call.operation.mutates]
    facts = [
        shares,
        _range(call.attempts for call in calls),
        sent,
        *([_range(effects)] if effects else []),
        f"{report.slowest:.2f}",
    ]
    return "; ".join(facts)


def _range(numbers: Iterable[int]) -> str:
    least, *_, most = sorted([*numbers] * 2)
    return str(least) if least == most else f"{least} to {most}"
