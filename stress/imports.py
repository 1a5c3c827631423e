"""Fault test of `paychainhq invoices import`: a long file with bad rows, kills and interrupts.

    python -m stress import [--rows N] [--kills N] [--interrupts N] [--seed N]

The file has a BOM, semicolons and blank lines; one row in a hundred is bad. The import is killed,
interrupted, and finished. Each good row must have one invoice, and each row one result.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq.ledger import SQLiteLedger
from paychainhq_sync import PayChainHQ

# One row in each hundred, by its number; the others have a reference, an amount, a token, a chain.
BAD: list[Callable[[int], bytes]] = [
    lambda n: f"o-{n};1E+05;USDC;eth".encode(),
    lambda n: f"o-{n};;USDC;eth".encode(),
    lambda n: b"o-1;1;USDC;eth",  # a duplicate
    lambda n: f"o-{n};5\xa0USDC;USDC;eth".encode("latin-1"),  # a no-break space, not in UTF-8
    lambda n: f"o-{n};5;USDC;eth;more".encode(),
]


def row(number: int) -> bytes:
    if number % 100 == 0:
        return BAD[number // 100 % len(BAD)](number)
    return f"o-{number};{number}.50;USDC;eth".encode() + b"\n" * (number % 997 == 0)


def write(path: Path, rows: int) -> set[str]:
    """Write the file, and return the references of its good rows."""
    lines = [b"\xef\xbb\xbfreference;amount;token;chain", *map(row, range(1, rows + 1))]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return {f"o-{number}" for number in range(1, rows + 1) if number % 100}


def finished(ledger: Path) -> int:
    """Return the number of finished entries, 0 without a ledger."""
    if not ledger.exists():
        return 0
    with contextlib.suppress(Exception), SQLiteLedger(ledger) as entries:
        return sum(entry.state == "finished" for entry in entries.entries())
    return 0


def run(path: Path, url: str, stop: signal.Signals | None, after: float) -> int:
    """Run the import, send it a signal after some seconds, and return its exit code."""
    environment = os.environ | {
        "PAYCHAIN_API_URL": url,
        "PAYCHAIN_API_KEY": API_KEY,
        "PAYCHAIN_BUSINESS_ID": BUSINESS_ID,
    }
    command = [sys.executable, "-m", "paychainhq.cli", "invoices", "import", str(path)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        if stop is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(after)
            process.send_signal(stop)
        return process.wait()


def main(arguments: list[str]) -> int:
    """Run the test; a failed check raises SystemExit."""
    parser = argparse.ArgumentParser(
        prog="python -m stress import", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--interrupts", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args(arguments)
    chance = random.Random(given.seed)
    stops = [signal.SIGKILL] * given.kills + [signal.SIGINT] * given.interrupts
    chance.shuffle(stops)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Emulator() as emulator:
        path = Path(folder) / "orders.csv"
        good = write(path, given.rows)
        for stop in stops:
            code = run(path, emulator.url, stop, chance.uniform(0.4, 0.6 + given.rows / 12_000))
            count = finished(path.with_name("orders.csv.ledger.db"))
            print(f"{stop.name}: exit code {code}, {count} finished", flush=True)
        code = run(path, emulator.url, None, 0)
        text = path.with_name("orders.csv.results.jsonl").read_text(encoding="utf-8")
        results = [json.loads(line) for line in text.splitlines()]
        with PayChainHQ(api_key=API_KEY, business_id=BUSINESS_ID, base_url=emulator.url) as pay:
            listed = pay.invoices.list(limit=1).pagination
            assert listed is not None
            at_server = listed.total
    made = {entry["reference"]: entry["result"]["id"] for entry in results if "result" in entry}
    seeded = 1  # the emulator's own invoice
    checks = {
        "the exit code is 5": code == 5,
        "each row has one result": len(results) == given.rows
        and len({entry["line"] for entry in results}) == given.rows,
        "each good row has an invoice of its own": made.keys() == good
        and len(set(made.values())) == len(good),
        "the server has no other invoice": at_server == len(good) + seeded,
        "each bad row has a message": all(
            entry["ok"] or entry["error"]["message"] for entry in results
        ),
    }
    print(
        f"{given.rows} rows, {len(made)} invoices, {len(stops)} stops in "
        f"{time.monotonic() - began:.0f} s (seed {given.seed})"
    )
    failed = [check for check, holds in checks.items() if not holds]
    if failed:
        raise SystemExit("failed: " + "; ".join(failed))
    return 0
