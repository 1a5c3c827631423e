"""What a round of `tools/load.py` came to: its figures, by the second and as a whole, and the bars
that it has to keep.
"""

from __future__ import annotations

import math
import os
import platform
from collections import Counter
from typing import Any

import attrs
from load_server import Plan

MOST_LIMITED = 0.05  # of the requests in a settled second, on average
LEAST_SHARE = 0.25  # of the mean, for each process and each task
MOST_EXTRA = 0.2  # of what is usually sent


@attrs.frozen
class Seen:
    """What the server and its callers saw in one round."""

    plan: Plan
    server: dict[str, Any]
    clients: list[dict[str, Any]]

    def answers(self, kind: str, first: float, last: float) -> int:
        """How many answers of a kind the server gave between two seconds of the round."""
        return _between(self.server["seen"], kind, first, last)

    def sent(self, kind: str, first: float, last: float) -> int:
        """How many attempts the callers made: `first` ones, or `again`."""
        return sum(_between(client["sent"], kind, first, last) for client in self.clients)

    def limited(self, first: float, last: float) -> float:
        """The share of 429s."""
        limited, taken = self.answers("limited", first, last), self.taken(first, last)
        return limited / max(1, limited + taken)

    def taken(self, first: float, last: float) -> int:
        return self.answers("accepted", first, last) + self.answers("again", first, last)

    @property
    def tasks(self) -> list[int]:
        return [done for client in self.clients for done in client["done"]]

    @property
    def processes(self) -> list[int]:
        return [sum(client["done"]) for client in self.clients]


def _between(counts: dict[str, int], kind: str, first: float, last: float) -> int:
    return sum(
        count
        for name, count in counts.items()
        if name.split()[1] == kind and first <= int(name.split()[0]) < last
    )


def judge(kind: str, seen: Seen, least_taken: float) -> tuple[list[str], list[str]]:
    """Return what was measured, as the rows of a table, and the bars that were missed.

    Few 429s are no merit if little is asked for: `least_taken` is a part of what the server would
    take.
    """
    plan, rows, missed = seen.plan, [], []

    def row(what: str, value: str, bar: str = "", kept: bool = True) -> None:
        rows.append(
            f"| {what} | {value} | {bar and bar + (', kept' if kept else ', **missed**')} |"
        )
        if not kept:
            missed.append(f"{what}: {value}, and not {bar}")

    down, up, end = plan.seconds, plan.seconds + plan.outage, 2 * plan.seconds + plan.outage
    settled = {"before": (math.ceil(down / 2), down), "after": (math.ceil((up + end) / 2), end)}
    usual = (
        sum(seen.taken(first, last) / (last - first) for first, last in settled.values())
        / 2
        * plan.outage
    )
    for name, (first, last) in settled.items():
        taken, share = seen.taken(first, last) / (last - first), seen.limited(first, last)
        row(
            f"taken a second, settled, {name} the outage",
            f"{taken:.0f} of {plan.rate:g}",
            f"at least {least_taken:.0%}",
            taken >= least_taken * plan.rate,
        )
        row(
            f"429s, settled, {name} the outage",
            f"{share:.2%}",
            f"less than {MOST_LIMITED:.0%}",
            share < MOST_LIMITED,
        )
    row("429s, of all", f"{seen.limited(0, math.inf):.2%}")
    again, first_ones = seen.sent("again", down, up), seen.sent("first", down, up)
    row("sent in the outage, usual", f"{usual:.0f}")
    total = first_ones + again
    row(
        "sent in the outage",
        f"{total}",
        f"at most {1 + MOST_EXTRA:.0%} of usual",
        total <= (1 + MOST_EXTRA) * usual,
    )
    row(
        "repeats among them",
        f"{again}",
        f"less than {MOST_EXTRA:.0%} of usual",
        again < MOST_EXTRA * usual,
    )
    for name, counts in (("process", seen.processes), ("task", seen.tasks)):
        if name == "process" or kind == "single":
            least, mean = min(counts), sum(counts) / len(counts)
            value = f"{least} to {max(counts)}, mean {mean:.0f}"
            row(
                f"done by each {name}",
                value,
                f"each at least {LEAST_SHARE:.0%} of the mean",
                least >= LEAST_SHARE * mean,
            )
    if kind == "single":
        row(
            "longest call, but for the outage",
            f"{max(client['longest'] for client in seen.clients):.1f} s",
        )
    errors: Counter[str] = Counter()
    for client in seen.clients:
        for at, count in client["errors"].items():
            second, error = at.split()
            errors[f"{error} {'in' if down <= int(second) <= up else 'outside'} the outage"] += (
                count
            )
    row(
        "errors that callers saw",
        ", ".join(f"{count} {error}" for error, count in sorted(errors.items())) or "none",
        "" if kind == "single" else "none",
        kind == "single" or not errors,
    )
    done, invoices, wrong = (
        sum(seen.processes),
        seen.server["invoices"],
        sum(client["wrong"] for client in seen.clients),
    )
    value = f"{done} asked for and done, {invoices} made, {wrong} answers of another request"
    row("invoices", value, "each made once and done", done == invoices and not wrong)
    return rows, missed


def by_second(seen: Seen) -> list[str]:
    """What happened in each second: sent, taken, the share of 429s, and how late the server's
    process was.
    """
    seconds = range(round(2 * seen.plan.seconds + seen.plan.outage))
    lines = {
        "sent": [
            f"{seen.sent('first', second, second + 1) + seen.sent('again', second, second + 1)}"
            for second in seconds
        ],
        "taken": [f"{seen.taken(second, second + 1)}" for second in seconds],
        "429s, %": [f"{100 * seen.limited(second, second + 1):.0f}" for second in seconds],
        "late, ms": [f"{seen.server['stalls'].get(str(second), 0)}" for second in seconds],
    }
    return ["```text", *(f"{name}: {' '.join(values)}" for name, values in lines.items()), "```"]


def heading(plan: Plan) -> list[str]:
    """What the report begins with: what was done, on what."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return [
        "# Load and outage",
        "",
        f"Written by `make load`. Each round has a server that takes {plan.rate:g} requests",
        "a second from all its callers together",
        f"(a token bucket that holds {plan.burst:g}) and answers the others with 429, and",
        f"{plan.processes} processes with {plan.tasks} tasks each, which know of each other by",
        f"these 429s only. After {plan.seconds:g} s of load there is an outage of",
        f"{plan.outage:g} s: connections are broken off and refused, and then every request",
        "is met by 503. Then the load comes again for as long as before, and what is",
        "unfinished is finished. The first half of each stretch of load counts as settling.",
        "",
        "In the rounds of single calls, a task asks again after an error, with the same key,",
        "when its next call would usually be due. Repeats are what the package sends by",
        f"itself. A process or task that gets less than {LEAST_SHARE:.0%} of the mean counts as",
        "starved. The last line of each round tells how busy the machine was: how late the",
        "server's own process was at the most in each second. Meanwhile its bucket flows over,",
        "and what has come in then comes all at once.",
        "",
        f"Measured on {python}, {platform.system()}, {os.cpu_count()} cores that were shared",
        "with other work.",
        "",
    ]
