"""Report of a round of the load test: figures by second and in total, and bars."""

from __future__ import annotations

import math
import os
import platform
import textwrap
from collections import Counter
from typing import Any

import attrs

from stress.load_server import Plan

MOST_LIMITED = 0.05  # mean share of 429s once the rate is steady
LEAST_SHARE = 0.25  # of the mean, for each process and each task
MOST_EXTRA = 0.2  # of the usual number of requests

_HEADING = """\
Written by `make load`. Each round has a server that accepts {plan.rate:g} requests per second from
all clients together (a token bucket of {plan.burst:g}) and returns 429 to the others, and
{plan.processes} client processes with {plan.tasks} tasks each. The processes share no state: only
the 429s limit them. After {plan.seconds:g} s of load there is an outage of {plan.outage:g} s:
connections are broken off and refused in its first half, and requests get a 503 in its second half.
Then the load continues for as long as before, and open requests are completed. Figures marked
"steady" leave out the first half of each stretch of load.

In the rounds of single calls, a task repeats a failed call with the same key when its next call
would be due. Retries are the attempts that the package adds by itself. A process or task with less
than {least_share:.0%} of the mean counts as starved. The last line of each round is the greatest
lag of the server process in each second, which shows how busy the machine was. During a lag the
token bucket overflows, and afterwards all waiting requests arrive at once.

Measured on {python}, {system}, {cores} cores shared with other work."""


@attrs.frozen
class Measurements:
    """Counts of the server and of its clients in one round."""

    plan: Plan
    server: dict[str, Any]
    clients: list[dict[str, Any]]

    def responses(self, kind: str, first: float, last: float) -> int:
        """Return the number of responses of a kind between two seconds of the round."""
        return _between(self.server["seen"], kind, first, last)

    def sent(self, kind: str, first: float, last: float) -> int:
        """Return the number of attempts of a kind: `first` or `retry`."""
        return sum(_between(client["sent"], kind, first, last) for client in self.clients)

    def limited(self, first: float, last: float) -> float:
        """Return the share of 429s."""
        limited = self.responses("limited", first, last)
        return limited / max(1, limited + self.accepted(first, last))

    def accepted(self, first: float, last: float) -> int:
        """Return the number of successful responses."""
        return self.responses("accepted", first, last) + self.responses("repeated", first, last)

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


def judge(kind: str, seen: Measurements, least_accepted: float) -> tuple[list[str], list[str]]:
    """Return the figures, as rows of a table, and the missed bars.

    A client that sends little gets few 429s: `least_accepted` bounds the accepted part of the rate.
    """
    plan, rows, missed = seen.plan, [], []

    def row(name: str, value: str, bar: str = "", passed: bool = True) -> None:
        rows.append(
            f"| {name} | {value} | {bar and bar + (', met' if passed else ', **missed**')} |"
        )
        if not passed:
            missed.append(f"{name}: {value}, not {bar}")

    down, up, end = plan.seconds, plan.seconds + plan.outage, 2 * plan.seconds + plan.outage
    steady = {"before": (math.ceil(down / 2), down), "after": (math.ceil((up + end) / 2), end)}
    usual = (
        sum(seen.accepted(first, last) / (last - first) for first, last in steady.values())
        / 2
        * plan.outage
    )
    for name, (first, last) in steady.items():
        accepted, share = seen.accepted(first, last) / (last - first), seen.limited(first, last)
        row(
            f"accepted per second {name} the outage, steady",
            f"{accepted:.0f} of {plan.rate:g}",
            f"at least {least_accepted:.0%}",
            accepted >= least_accepted * plan.rate,
        )
        row(
            f"429s {name} the outage, steady",
            f"{share:.2%}",
            f"less than {MOST_LIMITED:.0%}",
            share < MOST_LIMITED,
        )
    row("429s in the whole round", f"{seen.limited(0, math.inf):.2%}")
    retries, first_ones = seen.sent("retry", down, up), seen.sent("first", down, up)
    row(f"usual requests in {plan.outage:g} s", f"{usual:.0f}")
    total = first_ones + retries
    row(
        "requests during the outage",
        f"{total}",
        f"at most {1 + MOST_EXTRA:.0%} of usual",
        total <= (1 + MOST_EXTRA) * usual,
    )
    row(
        "retries among them",
        f"{retries}",
        f"less than {MOST_EXTRA:.0%} of usual",
        retries < MOST_EXTRA * usual,
    )
    for unit, counts in (("process", seen.processes), ("task", seen.tasks)):
        if unit == "process" or kind == "single":
            least, mean = min(counts), sum(counts) / len(counts)
            value = f"{least} to {max(counts)}, mean {mean:.0f}"
            row(
                f"completed by each {unit}",
                value,
                f"each at least {LEAST_SHARE:.0%} of the mean",
                least >= LEAST_SHARE * mean,
            )
    if kind == "single":
        row(
            "longest call outside the outage",
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
        "errors",
        ", ".join(f"{count} {error}" for error, count in sorted(errors.items())) or "none",
        "" if kind == "single" else "none",
        kind == "single" or not errors,
    )
    done, invoices, wrong = (
        sum(seen.processes),
        seen.server["invoices"],
        sum(client["wrong"] for client in seen.clients),
    )
    value = f"{done} completed, {invoices} created, {wrong} responses of another request"
    row("invoices", value, "each created once and completed", done == invoices and not wrong)
    return rows, missed


def by_second(seen: Measurements) -> list[str]:
    """Return the figures of each second: sent, accepted, share of 429s, lag of the server."""
    seconds = range(round(2 * seen.plan.seconds + seen.plan.outage))
    lines = {
        "sent": [
            f"{seen.sent('first', second, second + 1) + seen.sent('retry', second, second + 1)}"
            for second in seconds
        ],
        "accepted": [f"{seen.accepted(second, second + 1)}" for second in seconds],
        "429s, %": [f"{100 * seen.limited(second, second + 1):.0f}" for second in seconds],
        "lag, ms": [f"{seen.server['lags'].get(str(second), 0)}" for second in seconds],
    }
    return ["```text", *(f"{name}: {' '.join(values)}" for name, values in lines.items()), "```"]


def heading(plan: Plan) -> list[str]:
    """Return the head of the report: the setup and the machine."""
    text = _HEADING.format(
        plan=plan,
        least_share=LEAST_SHARE,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=platform.system(),
        cores=os.cpu_count(),
    )
    paragraphs = (textwrap.fill(paragraph, 100) for paragraph in text.split("\n\n"))
    return ["# Load and outage", "", *(f"{paragraph}\n" for paragraph in paragraphs)]
