"""Load test tool: a very short round, and failures of each of its bars."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stress.load_report import Measurements, judge
from stress.load_server import Plan


def a_round_that_is_well() -> dict[str, Any]:
    """Return the records of a good round: 100 requests a second, an outage, two processes."""
    up = [*range(20), *range(30, 50)]
    sent = {f"{second} first": 50 for second in range(50)} | {
        f"{second} retry": 1 for second in range(50)
    }
    client = {
        "sent": sent,
        "done": [1000, 1000],
        "errors": {"22 ServerError": 7},
        "wrong": 0,
        "longest": 1.0,
    }
    seen = {f"{second} accepted": 100 for second in up} | {f"{second} limited": 2 for second in up}
    return {
        "server": {"seen": seen, "invoices": 4000},
        "clients": [client, json.loads(json.dumps(client))],
    }


def missed(measured: dict[str, Any], kind: str = "single") -> list[str]:
    plan = Plan(
        rate=100,
        burst=10,
        latency=0.01,
        retry_after=1,
        begin=0.0,
        seconds=20,
        outage=10,
        processes=2,
        tasks=2,
    )
    return judge(kind, Measurements(plan, measured["server"], measured["clients"]), 0.75)[1]


def test_a_good_round_passes() -> None:
    """A round that keeps every bar has no message."""
    assert missed(a_round_that_is_well()) == []


def change(measured: dict[str, Any], kind: str, seconds: range, count: int) -> None:
    of = (
        measured["clients"][0]["sent"] if kind in ("first", "retry") else measured["server"]["seen"]
    )
    of.update({f"{second} {kind}": count for second in seconds})


@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        (
            lambda measured: change(measured, "accepted", range(10, 20), 60),
            "accepted per second before the outage, steady",
        ),
        (
            lambda measured: change(measured, "accepted", range(40, 50), 60),
            "accepted per second after the outage, steady",
        ),
        (
            lambda measured: change(measured, "limited", range(15, 20), 12),
            "429s before the outage, steady",
        ),
        (
            lambda measured: change(measured, "limited", range(40, 50), 6),
            "429s after the outage, steady",
        ),
        (
            lambda measured: change(measured, "first", range(20, 30), 80),
            "requests during the outage",
        ),
        (lambda measured: change(measured, "retry", range(20, 30), 20), "retries among them"),
        (
            lambda measured: measured["clients"][1].update(done=[100, 100]),
            "completed by each process",
        ),
        (
            lambda measured: measured["clients"][1].update(done=[1900, 100]),
            "completed by each task",
        ),
        (lambda measured: measured["server"].update(invoices=4001), "invoices"),
        (lambda measured: measured["clients"][1].update(wrong=1), "invoices"),
    ],
)
def test_a_missed_bar_is_reported(tamper: Callable[[dict[str, Any]], object], what: str) -> None:
    """Low throughput, too many 429s or repeats, starvation or an extra invoice miss a bar."""
    measured = a_round_that_is_well()
    tamper(measured)
    assert any(bar.startswith(f"{what}: ") for bar in missed(measured))


def test_a_job_has_no_error_outcomes() -> None:
    """Errors that single calls may have in the outage are not allowed to a job."""
    assert [bar.partition(":")[0] for bar in missed(a_round_that_is_well(), "auto")] == ["errors"]


def test_a_short_round(tmp_path: Path) -> None:
    """Processes share a limit through an outage: each request is done once, without errors."""
    report = tmp_path / "load.md"
    options = [
        "--seconds",
        "3",
        "--outage",
        "2",
        "--rate",
        "100",
        "--burst",
        "10",
        "--rounds",
        "auto:1",
    ]
    command = [sys.executable, "-m", "stress", "load", *options, "--report", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    # In so short a time little is settled: the other bars may be missed.
    assert done.returncode in (0, 1), done.stderr
    text = report.read_text(encoding="utf-8")
    assert "each created once and completed, met" in text
    assert "| errors | none | none, met |" in text
