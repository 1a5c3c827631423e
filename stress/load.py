"""Load test: processes share a server's rate limit, with an outage in the middle.

    python -m stress load [--seconds N] [--outage N] [--rate N] [--burst N] [--accepted PART]
        [--rounds KIND:RETRY_AFTER,...] [--report FILE]

Each round has a server (`load_server.py`) and four processes with 64 tasks each (`load_client.py`):
load, an outage, load again. The processes share no state: only the server's 429s limit them. The
report is printed, and written to a file on request. The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path

import attrs

from stress.load_report import Measurements, by_second, heading, judge
from stress.load_server import Plan
from stress.processes import start

KINDS = {
    "single": "single calls in 64 tasks",
    "job": "`create_many` with a concurrency of 64",
    "auto": "`create_many` with adaptive concurrency",
}
PROCESSES = 4
TASKS = 64
TIMEOUT = 120.0


def run_round(kind: str, plan: Plan) -> Measurements:
    """Run one round to its end."""
    processes: list[subprocess.Popen[str]] = []

    def launch(module: str, *arguments: str) -> subprocess.Popen[str]:
        encoded = json.dumps(attrs.asdict(plan))
        process = start(module, *arguments, encoded, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        return process

    try:
        server = launch("load_server")
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        clients = [
            launch("load_client", url, kind, f"process-{number}")
            for number in range(plan.processes)
        ]
        counts = [
            json.loads(client.communicate(timeout=plan.end - time.monotonic() + TIMEOUT)[0])
            for client in clients
        ]
        return Measurements(plan, json.loads(server.communicate(timeout=TIMEOUT)[0]), counts)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main(arguments: list[str]) -> int:
    """Run the rounds and print the report; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m stress load", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--seconds", type=int, default=30, help="seconds of load, before and after the outage"
    )
    parser.add_argument("--outage", type=int, default=30, help="seconds of the outage")
    parser.add_argument(
        "--rate", type=float, default=400, help="requests per second that the server accepts"
    )
    parser.add_argument("--burst", type=float, default=40, help="requests that it accepts at once")
    parser.add_argument(
        "--rounds", default=",".join(f"{kind}:{wait}" for kind in KINDS for wait in ("1", "none"))
    )
    parser.add_argument(
        "--accepted",
        type=float,
        default=0.75,
        help="bar for the accepted part of the rate once it is steady; lower it for a short run",
    )
    parser.add_argument("--report", type=Path, help="file for the report")
    given = parser.parse_args(arguments)
    text: list[str] = []
    missed: list[str] = []
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
        measured = run_round(kind, plan)
        rows, failed = judge(kind, measured, given.accepted)
        title = (
            f"{number}. {KINDS[kind]}, 429s "
            f"{'without `Retry-After`' if wait == 'none' else f'with `Retry-After: {wait}`'}"
        )
        part = [
            f"## {title}",
            "",
            "| | measured | bar |",
            "|---|---|---|",
            *rows,
            "",
            *by_second(measured),
            "",
        ]
        print("\n".join(part), flush=True)
        text += part if text else [*heading(plan), *part]
        missed += [f"{title}: {bar}" for bar in failed]
    print("\n".join(missed) or "all bars are met")
    if given.report is not None:
        given.report.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    return 1 if missed else 0
