"""Examples, run as a user runs them."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
Demo = tuple[str, list[dict[str, Any]], str, list[dict[str, Any]]]
STATUS_BY_PAYER = {
    "exact": "paid",
    "within-tolerance": "paid",
    "over": "overpaid",
    "short": "expired",
    "never": "expired",
    "wrong-token": "expired",
}


def run(program: str, *arguments: str, folder: Path) -> str:
    """Run an example in an empty folder, with warnings as errors, and return its output.

    It must exit with status 0.
    """
    command = [sys.executable, "-W", "error", str(EXAMPLES / program), *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_quickstart_prints_a_paid_invoice(tmp_path: Path) -> None:
    """The first program creates an invoice and prints it as paid."""
    first, last = run("quickstart.py", folder=tmp_path).splitlines()
    invoice_id = first.partition(":")[0]
    assert first.startswith(f"{invoice_id}: pay 150 USDC to 0x")
    assert last == f"{invoice_id}: paid"


def test_the_sync_script_prints_the_results_of_its_invoices(tmp_path: Path) -> None:
    """A blocking script creates two invoices, prints one error, and prints both as paid."""
    lines = run("sync_script.py", folder=tmp_path).splitlines()
    assert sorted(line.partition(": ")[2] for line in lines if ": paid" in line) == [
        "paid, 10 USDC",
        "paid, 20.5 USDC",
    ]
    assert sum("must be more than zero" in line for line in lines) == 1
    assert lines[-1].startswith("no such invoice (request id req_")


def run_framework(program: str, folder: Path) -> list[str]:
    """Run an example whose framework has warnings of its own."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / program)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


def test_the_django_views(tmp_path: Path) -> None:
    """The views create an order's invoice once, show it, and read many from a query set."""
    assert run_framework("django_view.py", tmp_path) == [
        "200 pending the same again: True",
        "{'status': 'paid', 'ship': True} no invoice yet: 404",
        "{'created': 39}",
    ]


def test_the_celery_task(tmp_path: Path) -> None:
    """Each order has one invoice in a real worker with forks, however often it is delivered."""
    lines = run_framework("celery_task.py", tmp_path)
    assert lines == ["20 tasks, 10 invoices", "20 requests reached the server"]
    assert list(tmp_path.iterdir()) == [], "its broker is in a folder of its own"


def orders() -> list[dict[str, str]]:
    with (EXAMPLES / "orders.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def results(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
    ]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Return the outputs and results of two runs of the demo in one folder."""
    folder = tmp_path_factory.mktemp("demo")
    first = run("demo.py", str(folder / "output"), folder=folder)
    first_results = results(folder / "output")
    second = run("demo.py", str(folder / "output"), folder=folder)
    return first, first_results, second, results(folder / "output")


def test_the_demo_writes_one_line_for_each_order(demo: Demo) -> None:
    """The results are in the order of the file, with its line numbers and references."""
    _, written, _, _ = demo
    assert [(result["line"], result["reference"]) for result in written] == [
        (line, order["reference"]) for line, order in enumerate(orders(), 2)
    ]


def must_fail() -> set[int]:
    """Return the lines of orders with a bad amount, token, network, or reference."""
    failing, seen = set(), {""}
    for line, order in enumerate(orders(), 2):
        places = {"USDC": 6, "SOL": 9}.get(order["token"])
        is_meant = places is not None and re.fullmatch(
            rf"[0-9]+(\.[0-9]{{1,{places}}})?", order["amount"]
        )
        is_new = order["reference"] not in seen
        if (
            not is_meant
            or not is_new
            or Decimal(order["amount"]) == 0
            or order["network_id"] == "mars-mainnet"
        ):
            failing.add(line)
        seen.add(order["reference"])
    return failing


def test_orders_that_must_fail_carry_an_error_and_no_invoice(demo: Demo) -> None:
    """Exactly the invalid orders fail; each has an error, and none has an invoice."""
    _, written, _, _ = demo
    failed = [result for result in written if not result["ok"]]
    assert {result["line"] for result in failed} == must_fail()
    assert all(
        result["error"] and "invoice" not in result and "status" not in result for result in failed
    )


def test_every_other_order_ends_as_its_payer_pays(demo: Demo) -> None:
    """Each invoice has the status that the payer's behaviour in the file leads to."""
    _, written, _, _ = demo
    found = {result["line"]: result["status"] for result in written if result["ok"]}
    expected = {
        line: STATUS_BY_PAYER[order["payer"]]
        for line, order in enumerate(orders(), 2)
        if line in found
    }
    assert found == expected


def test_a_second_run_creates_nothing_and_has_the_same_results(demo: Demo) -> None:
    """A repeat on the same output returns every invoice of the first run."""
    first, first_results, second, second_results = demo
    created = len([result for result in first_results if result["ok"]])
    assert f"invoices created by this run: {created}\n" in first
    assert "invoices created by this run: 0\n" in second
    # The texts of errors contain the id of the request, which differs.
    assert [result | {"error": None} for result in second_results] == [
        result | {"error": None} for result in first_results
    ]
