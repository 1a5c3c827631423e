"""Crash test: a job is killed and restarted until each order has one invoice and one output line.

    python -m stress crash [--orders N] [--kills N] [--seed N] [--rounds worker,server,faults]
        [--folder FOLDER]

Three rounds, each with a new folder: kill the worker (`crash_worker.py`); kill the emulator as
well; kill both under injected faults. The default is short (2,000 orders, 10 kills per round).
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import attrs

from paychainhq import PayChainHQ
from paychainhq.emulator import API_KEY, BUSINESS_ID
from paychainhq.ledger import SQLiteLedger
from stress.processes import start

FAULTS = ("503", "502", "429:0", "drop", "reset", "truncate", "slow:0.02", "in_progress")
LINE = 70  # approximate bytes of an output line
TIMEOUT = 120.0


@attrs.define
class Server:
    """Emulator in a separate process, on the same port after each restart."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process, and wait until it responds."""
        state = str(self.folder / "server.db")
        command = [
            sys.executable,
            "-m",
            "paychainhq.emulator",
            "--port",
            str(self.port),
            "--state",
            state,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.starts += 1
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            try:
                self.call("requests")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.02)
        raise SystemExit(f"the emulator did not respond within {TIMEOUT:.0f} s")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def call(self, path: str, **body: Any) -> Any:
        """Call the control interface."""
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(
            f"{self.url}/_emulator/{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)


def crash(folder: Path, kind: str, count: int, kills: int, chance: random.Random) -> dict[str, int]:
    """Run the job to its end with `kills` kills of a kind; return the counts of runs and kills."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = Server(folder, free.getsockname()[1])
    server.start()
    runs = killed = 0
    try:
        while True:
            worker = start("crash_worker", str(folder), server.url)
            runs += 1
            if killed < kills:
                if kind == "faults":
                    for _ in range(3):
                        server.call(
                            "fault",
                            operation="invoices.create",
                            kind=chance.choice(FAULTS),
                            times=chance.randint(1, 20),
                        )
                wait_for_progress(folder, worker, count // kills // 4, chance)
                if kind != "worker" and chance.random() < 0.7:
                    server.kill()
                    time.sleep(chance.uniform(0, 0.05))
                    if chance.random() < 0.5:  # the worker sees the outage end
                        server.start()
                        wait_for_progress(folder, worker, count // kills // 4, chance)
                if worker.poll() is None:
                    killed += 1
                worker.kill()
                worker.wait()
                if server.process is None or server.process.poll() is not None:
                    server.start()
            if worker.wait() == 0:
                break
            if killed >= kills and worker.returncode > 0:
                raise SystemExit(f"the worker exited with {worker.returncode}")
        check(folder, asyncio.run(invoices(server.url)))
    finally:
        server.kill()
    return {"worker runs": runs, "worker kills": killed, "server starts": server.starts}


def wait_for_progress(
    folder: Path, worker: subprocess.Popen[str], most: int, chance: random.Random
) -> None:
    """Wait until the output has up to `most` more lines; one time in three, at most 0.6 s."""
    output = folder / "output.jsonl"
    wanted = chance.randint(0, most * LINE) + (output.stat().st_size if output.exists() else 0)
    until = time.monotonic() + (chance.uniform(0.2, 0.6) if chance.random() < 1 / 3 else TIMEOUT)
    while worker.poll() is None and time.monotonic() < until:
        if output.exists() and output.stat().st_size > wanted:
            break
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.02))


async def invoices(url: str) -> list[tuple[str, str]]:
    """Return the order (found by its amount) and the id of each invoice at the server."""
    async with PayChainHQ(api_key=API_KEY, business_id=BUSINESS_ID, base_url=url) as pay:
        found = [
            (invoice.amount.display, invoice.id) async for invoice in pay.invoices.list(limit=100)
        ]
    # The emulator starts with inv_123.
    return [(f"order-{amount - 1}", id_) for amount, id_ in found if id_ != "inv_123"]


def check(folder: Path, at_server: list[tuple[str, str]]) -> None:
    """Compare orders, server, output and ledger; raise SystemExit if they differ."""
    problems = []
    with (folder / "orders.csv").open(newline="") as file:
        wanted = {row["reference"] for row in csv.DictReader(file)}
    lines = [json.loads(line) for line in (folder / "output.jsonl").read_text().splitlines()]
    named = Counter(line["reference"] for line in lines)
    made = Counter(reference for reference, _ in at_server)
    with SQLiteLedger(folder / "jobs.db") as ledger:
        states = Counter(entry.state for entry in ledger.entries())
    for thing, found in (("invoice", made), ("line in the output", named)):
        problems += [f"{reference} has no {thing}" for reference in sorted(wanted - found.keys())]
        problems += [
            f"{reference} is not an order, but has: {thing}"
            for reference in sorted(found.keys() - wanted)
        ]
        problems += [
            f"{reference} has {count} times: {thing}"
            for reference, count in sorted(found.items())
            if count > 1
        ]
    ids = dict(at_server)
    problems += [
        f"{line['reference']}: {line.get('error', 'another invoice')}"
        for line in lines
        if ids.get(line["reference"]) != line["invoice"]
    ]
    if states != {"finished": len(wanted)}:
        problems.append(f"the ledger has {dict(states)}")
    if problems:
        raise SystemExit("\n".join(problems[:20]))


def main(arguments: list[str]) -> int:
    """Run the rounds; a failed check raises SystemExit."""
    parser = argparse.ArgumentParser(
        prog="python -m stress crash", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--rounds", default="worker,server,faults")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args(arguments)
    print(f"{given.orders} orders, {given.kills} kills per round, seed {given.seed}", flush=True)
    for kind in given.rounds.split(","):
        folder = Path(tempfile.mkdtemp(prefix=f"crashtest-{kind}-", dir=given.folder))
        with (folder / "orders.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["reference", "amount"])
            rows.writerows([f"order-{number}", 1 + number] for number in range(given.orders))
        started = time.monotonic()
        did = crash(folder, kind, given.orders, given.kills, random.Random(f"{given.seed} {kind}"))
        shutil.rmtree(folder)
        counts = ", ".join(f"{count} {name}" for name, count in did.items())
        print(
            f"{kind}: {counts}: each order has one invoice and one line, in "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )
    return 0
