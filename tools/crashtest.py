"""A job that is killed again and again: at its end each order has one invoice, and the worker's
output names each order once.

    python tools/crashtest.py [--orders N] [--kills N] [--seed N] [--rounds worker,server,faults]
    [--folder FOLDER]

Three rounds, each with a new folder: the worker is killed; the emulator is killed as well; both,
under injected faults. Without arguments it is short (2,000 orders, 10 kills a round).
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from paychainhq import InvoiceRequest, PayChainHQ
from paychainhq.emulator import API_KEY, BUSINESS_ID
from paychainhq.ledger import SQLiteLedger

FAULTS = ("503", "502", "429:0", "drop", "reset", "truncate", "slow:0.02", "in_progress")
LINE = 70  # bytes of a line of the output, roughly
PATIENCE = 120.0

# --- the worker: what a user would write ---


async def work(folder: Path, url: str) -> None:
    """Create an invoice for each order that the output does not name yet, and append a line for
    each.
    """
    done = whole_lines(folder / "output.jsonl")
    with (folder / "output.jsonl").open("a") as output, SQLiteLedger(folder / "jobs.db") as ledger:
        async with PayChainHQ(api_key=API_KEY, business_id=BUSINESS_ID, base_url=url) as pay:
            async for outcome in pay.invoices.create_many(orders(folder, set(done)), ledger=ledger):
                assert isinstance(outcome.request, InvoiceRequest)
                line = {
                    "reference": outcome.request.reference,
                    "invoice": outcome.result and outcome.result.id,
                }
                if outcome.error is not None:
                    line["error"] = str(outcome.error)
                output.write(json.dumps(line) + "\n")
                output.flush()


def orders(folder: Path, done: set[str]) -> Iterator[InvoiceRequest]:
    with (folder / "orders.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["reference"] not in done:
                yield InvoiceRequest(row["amount"], "USDC", "eth", reference=row["reference"])


def whole_lines(path: Path) -> dict[str, str | None]:
    """Read the output, and cut off a last line that was torn; a reference that comes twice is told
    by its second invoice.
    """
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    lines = [json.loads(line) for line in whole.splitlines()]
    return {line["reference"]: line["invoice"] for line in lines}


# --- who kills it ---


@attrs.define
class Server:
    """The emulator in a process of its own, on a port that stays the same."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
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
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                self.ask("requests")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.02)
        raise SystemExit("the emulator does not come up")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def ask(self, what: str, **body: Any) -> Any:
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(
            f"{self.url}/_emulator/{what}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def crash(folder: Path, kind: str, count: int, kills: int, chance: random.Random) -> dict[str, int]:
    """Run the job to its end, and kill it, and what `kind` says, as often as asked for; returns
    what was done.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = Server(folder, free.getsockname()[1])
    server.start()
    runs = killed = 0
    try:
        while True:
            worker = subprocess.Popen([sys.executable, __file__, "work", str(folder), server.url])
            runs += 1
            if killed < kills:
                if kind == "faults":
                    for _ in range(3):
                        server.ask(
                            "fault",
                            operation="invoices.create",
                            kind=chance.choice(FAULTS),
                            times=chance.randint(1, 20),
                        )
                wait_for_progress(folder, worker, count // kills // 4, chance)
                if kind != "worker" and chance.random() < 0.7:
                    server.kill()
                    time.sleep(chance.uniform(0, 0.05))
                    if (
                        chance.random() < 0.5
                    ):  # the worker meets the outage, and then the server again
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
                raise SystemExit(f"the worker failed with {worker.returncode}")
        check(folder, asyncio.run(invoices(server.url)))
    finally:
        server.kill()
    return {"worker runs": runs, "worker kills": killed, "server starts": server.starts}


def wait_for_progress(
    folder: Path, worker: subprocess.Popen[bytes], most: int, chance: random.Random
) -> None:
    """Wait until the output names some more orders, at most so many; one time in three, for a
    moment that may be before that.
    """
    output = folder / "output.jsonl"
    wanted = chance.randint(0, most * LINE) + (output.stat().st_size if output.exists() else 0)
    until = time.monotonic() + (chance.uniform(0.2, 0.6) if chance.random() < 1 / 3 else PATIENCE)
    while worker.poll() is None and time.monotonic() < until:
        if output.exists() and output.stat().st_size > wanted:
            break
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.02))


# --- what must hold ---


async def invoices(url: str) -> list[tuple[str, str]]:
    """Every invoice of ours at the server: the order that it is for, which its amount tells, and
    its id.
    """
    async with PayChainHQ(api_key=API_KEY, business_id=BUSINESS_ID, base_url=url) as pay:
        found = [
            (invoice.amount.display, invoice.id) async for invoice in pay.invoices.list(limit=100)
        ]
    return [
        (f"order-{amount - 1}", id_) for amount, id_ in found if id_ != "inv_123"
    ]  # the emulator begins with that one


def check(folder: Path, at_server: list[tuple[str, str]]) -> None:
    """Compare orders, server, output and ledger; ends the program if anything is lost, made up or
    doubled.
    """
    problems = []
    with (folder / "orders.csv").open(newline="") as file:
        wanted = {row["reference"] for row in csv.DictReader(file)}
    lines = [json.loads(line) for line in (folder / "output.jsonl").read_text().splitlines()]
    named = Counter(line["reference"] for line in lines)
    made = Counter(reference for reference, _ in at_server)
    with SQLiteLedger(folder / "jobs.db") as ledger:
        states = Counter(entry.state for entry in ledger.entries())
    for what, found in (("an invoice", made), ("a line in the output", named)):
        problems += [
            f"{reference} has no {what.split(' ', 1)[1]}"
            for reference in sorted(wanted - found.keys())
        ]
        problems += [
            f"{reference} has {what}, and is no order"
            for reference in sorted(found.keys() - wanted)
        ]
        problems += [
            f"{reference} has {count} times {what}"
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


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["work"]:
        asyncio.run(work(Path(arguments[1]), arguments[2]))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--rounds", default="worker,server,faults")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args(arguments)
    print(f"{given.orders} orders, {given.kills} kills a round, seed {given.seed}", flush=True)
    for kind in given.rounds.split(","):
        folder = Path(tempfile.mkdtemp(prefix=f"crashtest-{kind}-", dir=given.folder))
        with (folder / "orders.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["reference", "amount"])
            rows.writerows([f"order-{number}", 1 + number] for number in range(given.orders))
        started = time.monotonic()
        did = crash(folder, kind, given.orders, given.kills, random.Random(f"{given.seed} {kind}"))
        shutil.rmtree(folder)
        told = ", ".join(f"{count} {what}" for what, count in did.items())
        print(
            f"{kind}: {told}: each order has one invoice and one line, in "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
