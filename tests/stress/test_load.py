"""Load test tool: a very short round, and failures of each of its bars."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("load_report")


def a_round_that_is_well() -> dict[str, Any]:
    """Return the records of a good round: 100 requests a second, an outage, two processes."""
    up = [*range(20), *range(30, 50)]
    sent = {f"{second} first": 50 for second in range(50)} | {
        f"{second} again": 1 for second in range(50)
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


def missed(load: ModuleType, told: dict[str, Any], kind: str = "single") -> list[str]:
    plan = load.Plan(
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
    found: list[str] = load.judge(kind, load.Seen(plan, told["server"], told["clients"]), 0.75)[1]
    return found


def test_a_good_round_passes(load: ModuleType) -> None:
    """A round that keeps every bar has no message."""
    assert missed(load, a_round_that_is_well()) == []


def change(told: dict[str, Any], kind: str, seconds: range, count: int) -> None:
    of = told["clients"][0]["sent"] if kind in ("first", "again") else told["server"]["seen"]
    of.update({f"{second} {kind}": count for second in seconds})


@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        (
            lambda told: change(told, "accepted", range(10, 20), 60),
            "taken a second, settled, before the outage",
        ),
        (
            lambda told: change(told, "accepted", range(40, 50), 60),
            "taken a second, settled, after the outage",
        ),
        (
            lambda told: change(told, "limited", range(15, 20), 12),
            "429s, settled, before the outage",
        ),
        (lambda told: change(told, "limited", range(40, 50), 6), "429s, settled, after the outage"),
        (lambda told: change(told, "first", range(20, 30), 80), "sent in the outage"),
        (lambda told: change(told, "again", range(20, 30), 20), "repeats among them"),
        (lambda told: told["clients"][1].update(done=[100, 100]), "done by each process"),
        (lambda told: told["clients"][1].update(done=[1900, 100]), "done by each task"),
        (lambda told: told["server"].update(invoices=4001), "invoices"),
        (lambda told: told["clients"][1].update(wrong=1), "invoices"),
    ],
)
def test_a_missed_bar_is_reported(
    load: ModuleType, tamper: Callable[[dict[str, Any]], object], what: str
) -> None:
    """Low throughput, too many 429s or repeats, starvation or an extra invoice miss a bar."""
    told = a_round_that_is_well()
    tamper(told)
    assert any(bar.startswith(f"{what}: ") for bar in missed(load, told))


def test_a_job_has_no_error_outcomes(load: ModuleType) -> None:
    """Errors that single calls may have in the outage are not allowed to a job."""
    assert [bar.partition(":")[0] for bar in missed(load, a_round_that_is_well(), "auto")] == [
        "errors that callers saw"
    ]


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
    command = [sys.executable, str(TOOLS / "load.py"), *options, "--report", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    # A short round settles little: the other bars may be missed.
    assert done.returncode in (0, 1), done.stderr
    text = report.read_text(encoding="utf-8")
    assert "each made once and done, kept" in text
    assert "| errors that callers saw | none | none, kept |" in text
