"""Celery task that creates the invoice of an order, once even if it is delivered several times.

    celery --app celery_task worker   the worker; set PAYCHAIN_API_KEY and so on
    python examples/celery_task.py    a broker of files, a worker with two processes, the emulator

Each process of the worker creates its client when it first needs it. The idempotency key is derived
from the order, so a task that is delivered twice, or retried, creates one invoice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from celery import Celery, Task
from celery.exceptions import TimeoutError as NoResult

from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq_sync import (
    ConnectionFailedError,
    PayChainHQ,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)

folder = os.environ.get("SHOP_BROKER_FOLDER", "shop-broker")
app = Celery("celery_task", broker="filesystem://", backend=f"file://{folder}/results")
app.conf.broker_transport_options = {
    "control_folder": f"{folder}/control",
    "data_folder_in": f"{folder}/queue",
    "data_folder_out": f"{folder}/queue",
}
app.conf.task_acks_late = True


@cache
def client() -> PayChainHQ:
    return PayChainHQ.from_env()


@app.task(bind=True, max_retries=10)
def create_invoice(self: Task, order_id: int, amount: str) -> str:
    key = f"shop-order-{order_id}"
    try:
        return client().invoices.create(amount, "USDC", "eth", idempotency_key=key).id
    except (ConnectionFailedError, RequestTimeoutError, RateLimitError, ServerError) as error:
        # A failure of the server or the network, not of this order: retry later with the same key.
        raise self.retry(exc=error, countdown=1) from error


def main() -> None:
    with tempfile.TemporaryDirectory() as broker, Emulator() as emulator:
        for part in ("queue", "results"):
            Path(broker, part).mkdir()
        settings = {
            "PAYCHAIN_API_URL": emulator.url,
            "PAYCHAIN_API_KEY": API_KEY,
            "PAYCHAIN_BUSINESS_ID": BUSINESS_ID,
        }
        environment = {**os.environ, **settings, "SHOP_BROKER_FOLDER": broker}
        here = Path(__file__).parent
        command = [
            sys.executable,
            "-m",
            "celery",
            "--workdir",
            str(here),
            "--app",
            "celery_task",
            "worker",
        ]
        worker = subprocess.Popen(
            [*command, "--concurrency", "2", "--loglevel", "ERROR"],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            client = [sys.executable, str(here / "celery_task.py"), "send"]
            subprocess.run(client, env=environment, check=True, timeout=60)
        finally:
            worker.terminate()
            worker.wait(30)
        created = [
            request for request in emulator.requests if request.operation == "invoices.create"
        ]
        print(f"{len(created)} requests reached the server")


def send() -> None:
    """Send each order twice, and wait for the invoices."""
    tasks: list[Any] = [
        create_invoice.delay(order, f"{order}.00") for order in range(1, 11) for _ in range(2)
    ]
    try:
        invoices = [task.get(timeout=50) for task in tasks]
    except NoResult:
        raise SystemExit("the worker did not respond in time") from None
    print(f"{len(tasks)} tasks, {len(set(invoices))} invoices")


if __name__ == "__main__":
    send() if sys.argv[1:] == ["send"] else main()
