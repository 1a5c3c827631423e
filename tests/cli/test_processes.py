"""Real processes of the command and of the emulator: kills, signals, arguments."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from paychainhq.emulator import API_KEY, BUSINESS_ID
from paychainhq.ledger import SQLiteLedger

PYTHON = [sys.executable, "-W", "error", "-m"]
ORDERS = 200


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of an emulator in a process of its own."""
    ready = tmp_path_factory.mktemp("emulator") / "ready.json"
    command = [*PYTHON, "paychainhq.emulator", "--port", "0", "--ready-file", str(ready)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            while not ready.exists():
                assert process.poll() is None
                time.sleep(0.02)
            yield json.loads(ready.read_text())["url"]
        finally:
            process.terminate()


def control(url: str, name: str, **body: object) -> None:
    request = urllib.request.Request(f"{url}/_emulator/{name}", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request, timeout=30).close()


def operations(url: str) -> list[str]:
    """Return the operations of the requests that the emulator has received."""
    with urllib.request.urlopen(f"{url}/_emulator/requests", timeout=30) as response:
        return [request["operation"] for request in json.load(response)["data"]]


def start(url: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PAYCHAIN_API_URL": url, "PAYCHAIN_API_KEY": API_KEY}
    return subprocess.Popen(
        [*PYTHON, "paychainhq.cli", *arguments],
        env=environment | {"PAYCHAIN_BUSINESS_ID": BUSINESS_ID},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_entries(ledger: Path, count: int) -> None:
    """Wait until the ledger has so many entries."""
    while not ledger.exists() or len(entries(ledger)) < count:
        time.sleep(0.02)


def entries(path: Path) -> list[str]:
    with SQLiteLedger(path) as ledger:
        return [entry.key for entry in ledger.entries()]


def test_an_import_survives_a_kill_and_signals(url: str, tmp_path: Path) -> None:
    """After SIGKILL, SIGINT and SIGTERM, each order has one invoice, and each row one result."""
    path, ledger = tmp_path / "orders.csv", tmp_path / "orders.csv.ledger.db"
    rows = "".join(f"o-{n},{n}.5,USDC,eth\n" for n in range(1, ORDERS + 1))
    path.write_text(f"reference,amount,token,chain\n{rows}")
    control(url, "set_latency", seconds=0.1)
    for number, (name, code) in enumerate(
        [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 130)], 1
    ):
        with start(url, "invoices", "import", str(path), "--concurrency", "4") as process:
            wait_for_entries(ledger, 10 * number)
            assert API_KEY not in Path(f"/proc/{process.pid}/cmdline").read_text()
            process.send_signal(name)
            out, err = process.communicate(timeout=60)
            assert process.returncode == code, err
            assert out == ""
            assert ("Run the same command again" in err) is (code == 130)
        assert not path.with_name("orders.csv.results.jsonl").exists()
    control(url, "set_latency", seconds=0)
    with start(url, "invoices", "import", str(path)) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    lines = path.with_name("orders.csv.results.jsonl").read_text().splitlines()
    made = {result["reference"]: result["result"]["id"] for result in map(json.loads, lines)}
    assert len(lines) == len(made) == len(set(made.values())) == ORDERS
    with start(url, "invoices", "list", "--all", "--limit", "100", "--fields", "id") as process:
        out, _ = process.communicate(timeout=60)
    listed = [json.loads(line)["id"] for line in out.splitlines()]
    assert sorted(listed) == sorted([*made.values(), "inv_123"])
    assert API_KEY not in ledger.read_bytes().decode(errors="replace")


def test_an_interrupted_mutation_prints_its_key(url: str) -> None:
    """SIGINT during a creation ends with 130 and the key under which it can be repeated."""
    control(url, "set_latency", seconds=60)
    before = len(operations(url))
    create = ("invoices", "create", "--amount", "5", "--token", "USDC", "--chain", "eth")
    try:
        with start(url, *create) as process:
            while "invoices.create" not in operations(url)[before:]:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
    finally:
        control(url, "set_latency", seconds=0)
    assert process.returncode == 130
    assert "--idempotency-key" in err
