"""Matrix as text: a line for each cell in the terminal, and a page with a line for each fault and operation."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence

import aiohttp

from tests.faults.matrix import CROWD, Report
from tests.faults.table import FAULTS

_PAGE = """# Faults

`make faults` makes everything go wrong that can go wrong between a client and a payments API, on real sockets, and looks at
what comes of it. It prints a line for each cell, writes this page, and fails if a rule is broken. It takes some three minutes;
`python -m tests.faults silence 429` tries only the faults that are named, and writes nothing. `make test` tries each fault too,
with the three operations at once.

## What is tried

{faults} faults, each over both faces, by one call alone and by {crowd} at once (tasks, or threads), with three operations:

- a **read**: `invoices.get`;
- a **keyed mutation**: `invoices.create`, which carries an idempotency key;
- a **mutation without a key**: `api_keys.create`, which must not be repeated once it may have left.

The fault is met either **once**, by the first request of each call, or **always**; one that does not pass by asking again is met
once, since a second request would come to a result. The server is one of its own
(`tests/faults/server.py`): it knows which call each request belongs to, and counts its effects, which are the mutations that it
took. Where that is possible it fails in the worst way: it does what was asked for, and then fails to say so. The same
idempotency key is the same effect, and a mutation without a key that comes twice would be two.

Each client has a short deadline, which `tests/faults/table.py` sets with each fault, and 8 attempts with short waits in between.
The rest is as it is by default.

## What must hold

- Each call ends in its result, the right one, or in an error of this package, the expected one.
- No effect is repeated: one key for each call, and no mutation without a key taken twice.
- A result of a mutation means one effect. `sent="no"` means that no request came, `sent="yes"` that one did; and no more
  requests come than there are attempts.
- No deadline is missed by more than 10 % and 50 ms, beyond the lag that a control measured in the same cell: a task, or a thread
  of the sync face, that only sleeps.
- asyncio has nothing to complain of, such as an exception that nobody fetched.
- The process grows by no more than twice the longest answer that is read (16 MiB) for each call, and as much again (on Linux, which
  tells its size).

## What came of it

{cells} cells with {calls} calls, on {machine}: {verdict}.
The call that ended latest, by its deadline and the lag of its cell, was
{worst}.

A cell says: outcome; attempts; `sent`; effects of one call (of a mutation); seconds of the slowest call. Where calls differ, it
says how many ended how, and the least and the most of the rest. Many at once share the retry budget of their client (100 repeats)
and the pause after a 429, so some of them give up earlier. 64 answers without end do not all come to 16 MiB before the deadline,
which is then what ends their calls.

| Fault | Met | Operation | Deadline | async, alone | sync, alone | async, {crowd} at once | sync, {crowd} at once |
|---|---|---|---|---|---|---|---|
{rows}
"""


def line(report: Report) -> str:
    """Format the report of a cell in one line."""
    cell = report.cell
    where = f"{cell.fault.name:44} {cell.form:6} {_operation(report):22} {cell.face:5} {cell.load:2}"
    more = f"lag {report.lag:.2f}, grew by {report.growth >> 20} MiB"
    return f"{where}  {_outcome(report)} of {cell.fault.pace.timeout:.1f} s; {more}"


def page(reports: Sequence[Report], broken: int) -> str:
    """Return the page about the whole matrix; reports come in groups of four, in the order of its columns."""
    worst = max(reports, key=lambda report: report.slowest - report.limit)
    return _PAGE.format(
        faults=len(FAULTS),
        crowd=CROWD,
        cells=len(reports),
        calls=f"{sum(len(report.calls) for report in reports):,}",
        machine=f"{os.cpu_count()} cores, Python {platform.python_version()}, aiohttp {aiohttp.__version__}",
        verdict=f"**{broken} cells broke a rule**" if broken else "no rule was broken",
        worst=f"in *{worst.cell.fault.name}* ({_operation(worst)}, {worst.cell.face}, {worst.cell.load} at once): "
        f"{worst.slowest:.2f} s, where {worst.limit:.2f} s are allowed",
        rows="\n".join(_row(reports[start : start + 4]) for start in range(0, len(reports), 4)),
    )


def _row(reports: Sequence[Report]) -> str:
    cell = reports[0].cell
    return (
        " | ".join(
            [f"| {cell.fault.name}", cell.form, _operation(reports[0]), f"{cell.fault.pace.timeout} s", *map(_outcome, reports)]
        )
        + " |"
    )


def _operation(report: Report) -> str:
    return " and ".join(operation.name for operation in report.cell.operations)


def _outcome(report: Report) -> str:
    calls = report.calls
    outcomes = Counter(call.outcome for call in calls).most_common()
    told = ", ".join(f"{count} {outcome}" if len(outcomes) > 1 else outcome for outcome, count in outcomes)
    sent = "/".join(sorted({call.sent for call in calls}))
    effects = [len(report.seen[call.name].taken) for call in calls if call.operation.mutates]
    facts = [told, _range(call.attempts for call in calls), sent, *([_range(effects)] if effects else []), f"{report.slowest:.2f}"]
    return "; ".join(facts)


def _range(numbers: Iterable[int]) -> str:
    least, *_, most = sorted([*numbers] * 2)
    return str(least) if least == most else f"{least} to {most}"
