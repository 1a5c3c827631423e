"""Celery: real workers, which take invoices as arguments and return errors with their facts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator

ROOT = Path(__file__).parents[2]
WORKER = "-m celery -A tests.runtimes.celery_shop worker --loglevel ERROR --concurrency 2 --pool"
CALLER = """
import json
import os
from urllib.request import Request, urlopen

from paychainhq_sync import BadRequestError, ConnectionFailedError, codec
from paychainhq_sync.models import Invoice
from tests.runtimes.celery_shop import create, pay, ship

invoice = pay.invoices.create("5", "USDC", "eth", metadata={"cart": [1, "a"]})
shipped = codec.from_json(Invoice, ship.delay(invoice.to_dict()).get(timeout=60, interval=0.02))
assert shipped == pay.invoices.get(invoice.id)

orders = [create.delay("USDC", f"order-{number % 5}") for number in range(10)]
assert len({order.get(timeout=60, interval=0.02) for order in orders}) == 5

refused = create.delay("NONE", "order-6").get(timeout=60, interval=0.02, propagate=False)
assert type(refused) is BadRequestError, refused
assert (refused.sent, refused.status, refused.idempotency_key) == ("yes", 400, "order-6")
assert refused.request_id

fault = json.dumps({"operation": "invoices.create", "kind": "reset"}).encode()
control = os.environ["PAYCHAIN_API_URL"] + "/_emulator/fault"
urlopen(Request(control, fault, {"Content-Type": "application/json"})).close()
lost = create.delay("USDC", "order-7").get(timeout=60, interval=0.02, propagate=False)
assert type(lost) is ConnectionFailedError, lost
assert (lost.sent, lost.idempotency_key) == ("unknown", "order-7")
found = create.delay("USDC", lost.idempotency_key).get(timeout=60, interval=0.02)
assert pay.invoices.get(found).status == "pending"
print("done")
"""


def environment(emulator: Emulator, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PAYCHAIN_API_URL": emulator.url,
        "PAYCHAIN_API_KEY": API_KEY,
        "PAYCHAIN_BUSINESS_ID": BUSINESS_ID,
        "SHOP_FOLDER": str(folder),
    }


@contextmanager
def worker(pool: str, emulator: Emulator, folder: Path) -> Iterator[None]:
    """Run a worker with two processes or threads, and a broker of files."""
    for part in ("queue", "results"):
        (folder / part).mkdir()
    process = subprocess.Popen(
        [sys.executable, *WORKER.split(), pool],
        cwd=folder,
        env=environment(emulator, folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # Celery's own end takes five seconds
        process.wait()


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker(pool: str, tmp_path: Path) -> None:
    """A task takes `invoice.to_dict()`, and its errors keep type, `sent`, key and status."""
    with Emulator() as emulator, worker(pool, emulator, tmp_path):
        caller = subprocess.run(
            [sys.executable, "-c", CALLER],
            cwd=tmp_path,
            env=environment(emulator, tmp_path),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert caller.stdout == "done\n", caller.stderr


@pytest.mark.parametrize("pool", ["gevent", "eventlet"])
def test_a_worker_with_green_threads(pool: str, tmp_path: Path) -> None:
    """The worker ends at its start, with an error that names the pools that work."""
    with Emulator() as emulator:
        ended = subprocess.run(
            [sys.executable, *WORKER.split(), pool],
            cwd=tmp_path,
            env=environment(emulator, tmp_path),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert emulator.requests == ()
    assert ended.returncode != 0
    assert f"ConfigurationError: {pool} has replaced threads or sockets" in ended.stderr
    assert "Celery: --pool threads or prefork" in ended.stderr
