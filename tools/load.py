"""Callers that share a server's rate limit and know of each other only by its 429s, with an outage in the middle.

    python tools/load.py [--seconds N] [--outage N] [--rate N] [--burst N] [--rounds KIND:RETRY_AFTER,...] [--report FILE]

Each round has a server (`load_server.py`) and four processes with 64 tasks each (`load_client.py`): load, an outage, load again. It
prints what was measured, writes it to a file if asked to, and ends with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
from load_server import Plan

HERE = Path(__file__).parent
KINDS = {
    "single": "single calls in 64 tasks",
    "job": "`create_many` with 64 at once",
    "auto": "`create_many` that finds its own level",
}
PROCESSES = 4
TASKS = 64
PATIENCE = 120.0

MOST_LIMITED = 0.05  # of the requests in a settled second, on average
LEAST_TAKEN = 0.75  # of what the server takes: few 429s are no merit if little is asked for
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
    return sum(count for name, count in counts.items() if name.split()[1] == kind and first <= int(name.split()[0]) < last)


def play(kind: str, plan: Plan) -> Seen:
    """Run one round to its end."""
    told = json.dumps(attrs.asdict(plan))
    processes: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(HERE / script), *arguments, told]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    try:
        server = start("load_server.py")
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        clients = [start("load_client.py", url, kind, f"process-{number}") for number in range(plan.processes)]
        seen = [json.loads(client.communicate(timeout=plan.end - time.monotonic() + PATIENCE)[0]) for client in clients]
        return Seen(plan, json.loads(server.communicate(timeout=PATIENCE)[0]), seen)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def judge(kind: str, seen: Seen) -> tuple[list[str], list[str]]:
    """Return what was measured, as the rows of a table, and the bars that were missed."""
    plan, rows, missed = seen.plan, [], []

    def row(what: str, value: str, bar: str = "", kept: bool = True) -> None:
        rows.append(f"| {what} | {value} | {bar and bar + (', kept' if kept else ', **missed**')} |")
        if not kept:
            missed.append(f"{what}: {value}, and not {bar}")

    down, up, end = plan.seconds, plan.seconds + plan.outage, 2 * plan.seconds + plan.outage
    settled = {"before": (math.ceil(down / 2), down), "after": (math.ceil((up + end) / 2), end)}
    usual = sum(seen.taken(first, last) / (last - first) for first, last in settled.values()) / 2 * plan.outage
    for name, (first, last) in settled.items():
        taken, share = seen.taken(first, last) / (last - first), seen.limited(first, last)
        row(
            f"taken a second, settled, {name} the outage",
            f"{taken:.0f} of {plan.rate:g}",
            f"at least {LEAST_TAKEN:.0%}",
            taken >= LEAST_TAKEN * plan.rate,
        )
        row(f"429s, settled, {name} the outage", f"{share:.2%}", f"less than {MOST_LIMITED:.0%}", share < MOST_LIMITED)
    row("429s, of all", f"{seen.limited(0, end + PATIENCE):.2%}")
    again, first_ones = seen.sent("again", down, up), seen.sent("first", down, up)
    row("sent in the outage, usual", f"{usual:.0f}")
    total = first_ones + again
    row("sent in the outage", f"{total}", f"at most {1 + MOST_EXTRA:.0%} of usual", total <= (1 + MOST_EXTRA) * usual)
    row("repeats among them", f"{again}", f"less than {MOST_EXTRA:.0%} of usual", again < MOST_EXTRA * usual)
    for name, counts in (("process", seen.processes), ("task", seen.tasks)):
        if name == "process" or kind == "single":
            least, mean = min(counts), sum(counts) / len(counts)
            value = f"{least} to {max(counts)}, mean {mean:.0f}"
            row(f"done by each {name}", value, f"each at least {LEAST_SHARE:.0%} of the mean", least >= LEAST_SHARE * mean)
    if kind == "single":
        row("longest call, but for the outage", f"{max(client['longest'] for client in seen.clients):.1f} s")
    errors: Counter[str] = Counter()
    for client in seen.clients:
        for at, count in client["errors"].items():
            second, error = at.split()
            errors[f"{error} {'in' if down <= int(second) <= up else 'outside'} the outage"] += count
    row(
        "errors that callers saw",
        ", ".join(f"{count} {error}" for error, count in sorted(errors.items())) or "none",
        "" if kind == "single" else "none",
        kind == "single" or not errors,
    )
    done, invoices, wrong = sum(seen.processes), seen.server["invoices"], sum(client["wrong"] for client in seen.clients)
    value = f"{done} asked for and done, {invoices} made, {wrong} answers of another request"
    row("invoices", value, "each made once and done", done == invoices and not wrong)
    return rows, missed


def by_second(seen: Seen) -> list[str]:
    """What happened in each second: sent, taken, and the share of 429s."""
    seconds = range(round(2 * seen.plan.seconds + seen.plan.outage))
    lines = {
        "sent": [f"{seen.sent('first', second, second + 1) + seen.sent('again', second, second + 1)}" for second in seconds],
        "taken": [f"{seen.taken(second, second + 1)}" for second in seconds],
        "429s, %": [f"{100 * seen.limited(second, second + 1):.0f}" for second in seconds],
    }
    return ["```text", *(f"{name}: {' '.join(values)}" for name, values in lines.items()), "```"]


def heading(given: argparse.Namespace) -> list[str]:
    """What the report begins with: what was done, on what."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return [
        "# Load and outage",
        "",
        f"Written by `make load`. Each round has a server that takes {given.rate:g} requests a second from all its callers",
        f"together (a token bucket that holds {given.burst:g}) and answers the others with 429, and {PROCESSES} processes with",
        f"{TASKS} tasks each, which know of each other by these 429s only. After {given.seconds} s of load there is an outage of",
        f"{given.outage} s: connections are broken off and refused, and then every request is met by 503. Then the load comes",
        "again for as long as before, and what is unfinished is finished. The first half of each stretch of load counts as",
        "settling.",
        "",
        "In the rounds of single calls, a task asks again after an error, with the same key, when its next call would usually be",
        "due. Repeats are what the package sends by itself.",
        "",
        f"Measured on {python}, {platform.system()}, {os.cpu_count()} cores that were shared with other work.",
        "",
    ]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=30, help="of load, before the outage and after it")
    parser.add_argument("--outage", type=int, default=30, help="seconds")
    parser.add_argument("--rate", type=float, default=400, help="requests that the server takes in a second")
    parser.add_argument("--burst", type=float, default=40, help="requests that it takes at once")
    parser.add_argument("--rounds", default=",".join(f"{kind}:{wait}" for kind in KINDS for wait in ("1", "none")))
    parser.add_argument("--report", type=Path, help="a file to write it to")
    given = parser.parse_args(arguments)
    text, missed = heading(given), []
    for number, name in enumerate(given.rounds.split(","), 1):
        kind, _, wait = name.partition(":")
        plan = Plan(
            rate=given.rate,
            burst=given.burst,
            latency=0.03,
            retry_after=None if wait == "none" else int(wait),
            begin=time.monotonic() + 2,
            seconds=given.seconds,
            outage=given.outage,
            processes=PROCESSES,
            tasks=TASKS,
        )
        seen = play(kind, plan)
        rows, failed = judge(kind, seen)
        title = f"{number}. {KINDS[kind]}, 429s {'without `Retry-After`' if wait == 'none' else f'with `Retry-After: {wait}`'}"
        part = [f"## {title}", "", "| | measured | bar |", "|---|---|---|", *rows, "", *by_second(seen), ""]
        print("\n".join(part), flush=True)
        text += part
        missed += [f"{title}: {bar}" for bar in failed]
    print("\n".join(missed) or "every bar is kept")
    if given.report is not None:
        given.report.write_text("\n".join(text), encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
