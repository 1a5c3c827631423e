"""Crash test tool: a short round of each kind, and failures of its checks."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from paychainhq.ledger import Answer, SQLiteLedger
from paychainhq.ledger.contract.parts import intent
from stress import crash
from stress.crash_worker import whole_lines


@pytest.mark.parametrize("kind", ["worker", "server", "faults"])
def test_a_job_survives_being_killed(kind: str, tmp_path: Path) -> None:
    """A few hundred orders and three kills: each order has one invoice and one line."""
    command = [
        sys.executable,
        "-m",
        "stress",
        "crash",
        "--orders",
        "300",
        "--kills",
        "3",
        "--seed",
        "7",
        "--rounds",
        kind,
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kind}: " in done.stdout
    assert "each order has one invoice and one line" in done.stdout


IDS = {f"order-{number}": f"inv_{number}" for number in range(3)}


def a_job_that_is_done(folder: Path) -> list[tuple[str, str]]:
    """Write the files of a finished worker, and return the server's invoices."""
    (folder / "orders.csv").write_text(
        "reference,amount\n" + "".join(f"{reference},5\n" for reference in IDS)
    )
    write_output(
        folder, [{"reference": reference, "invoice": id_} for reference, id_ in IDS.items()]
    )

    async def record() -> None:
        with SQLiteLedger(folder / "jobs.db") as ledger:
            for reference in IDS:
                made = intent(reference)
                await ledger.begin(made)
                await ledger.finish(made, Answer(200, None, b"{}"))

    asyncio.run(record())
    return list(IDS.items())


def write_output(folder: Path, lines: list[dict[str, str]]) -> None:
    (folder / "output.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_complete_job_passes(tmp_path: Path) -> None:
    """A complete job passes all checks."""
    crash.check(tmp_path, a_job_that_is_done(tmp_path))


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (lambda _, made: made.append(("order-1", "inv_9")), "order-1 has 2 times: invoice"),
        (lambda _, made: made.pop(), "order-2 has no invoice"),
        (
            lambda _, made: made.append(("order-7", "inv_7")),
            "order-7 is not an order, but has: invoice",
        ),
        (
            lambda folder, _: append(folder, "order-0", "inv_0"),
            "order-0 has 2 times: line in the output",
        ),
        (lambda folder, _: write_output(folder, []), "order-0 has no line in the output"),
        (lambda _, made: made.__setitem__(0, ("order-0", "inv_5")), "order-0: another invoice"),
        (lambda folder, _: forget(folder), "the ledger has {'finished': 2}"),
    ],
)
def test_a_loss_or_duplicate_is_reported(
    tmp_path: Path,
    tamper: Callable[[Path, list[tuple[str, str]]], object],
    message: str,
) -> None:
    """An extra, missing or wrong invoice, line or entry ends the program with a message."""
    made = a_job_that_is_done(tmp_path)
    tamper(tmp_path, made)
    with pytest.raises(SystemExit) as caught:
        crash.check(tmp_path, made)
    assert message in str(caught.value)


def append(folder: Path, reference: str, invoice: str) -> None:
    with (folder / "output.jsonl").open("a") as output:
        output.write(json.dumps({"reference": reference, "invoice": invoice}) + "\n")


def forget(folder: Path) -> None:
    with SQLiteLedger(folder / "jobs.db") as ledger:
        ledger.forget("invoices.create", "order-2")


def test_an_incomplete_line_is_removed(tmp_path: Path) -> None:
    """The last line of a killed worker is incomplete: its order is sent again."""
    a_job_that_is_done(tmp_path)
    with (tmp_path / "output.jsonl").open("a") as output:
        output.write('{"reference": "order-9", "inv')
    assert whole_lines(tmp_path / "output.jsonl") == IDS
    assert (tmp_path / "output.jsonl").read_text().endswith('"inv_2"}\n')
