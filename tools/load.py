"""Callers that share a server's rate limit and know of each other only by its 429s, with an outage
in the middle.

    python tools/load.py [--seconds N] [--outage N] [--rate N] [--burst N] [--taken PART]
        [--rounds KIND:RETRY_AFTER,...] [--report FILE]

Each round has a server (`load_server.py`) and four processes with 64 tasks each (`load_client.py`):
load, an outage, load again. It prints what was measured, writes it to a file if asked to, and ends
with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import attrs
from load_report import Seen, by_second, heading, judge
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


def play(kind: str, plan: Plan) -> Seen:
    """Run one round to its end."""
    told = json.dumps(attrs.asdict(plan))
    processes: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(HERE / script), *arguments, told]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process

    try:
        server = start("load_server.py")
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        clients = [
            start("load_client.py", url, kind, f"process-{number}")
            for number in range(plan.processes)
        ]
        seen = [
            json.loads(client.communicate(timeout=plan.end - time.monotonic() + PATIENCE)[0])
            for client in clients
        ]
        return Seen(plan, json.loads(server.communicate(timeout=PATIENCE)[0]), seen)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--seconds", type=int, default=30, help="of load, before the outage and after it"
    )
    parser.add_argument("--outage", type=int, default=30, help="seconds")
    parser.add_argument(
        "--rate", type=float, default=400, help="requests that the server takes in a second"
    )
    parser.add_argument("--burst", type=float, default=40, help="requests that it takes at once")
    parser.add_argument(
        "--rounds", default=",".join(f"{kind}:{wait}" for kind in KINDS for wait in ("1", "none"))
    )
    parser.add_argument(
        "--taken",
        type=float,
        default=0.75,
        help="the part of the rate that is to be taken, settled; a short run needs less",
    )
    parser.add_argument("--report", type=Path, help="a file to write it to")
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
        seen = play(kind, plan)
        rows, failed = judge(kind, seen, given.taken)
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
            *by_second(seen),
            "",
        ]
        print("\n".join(part), flush=True)
        text += part if text else [*heading(plan), *part]
        missed += [f"{title}: {bar}" for bar in failed]
    print("\n".join(missed) or "every bar is kept")
    if given.report is not None:
        given.report.write_text("\n".join(text), encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
