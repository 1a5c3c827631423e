"""Fault tests of the PostgreSQL ledger: a short round of each."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stress import cost
from tests.support.postgres import require


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("ledger --kills 2 --restarts 1 --seconds 0.3 --fast", " 0 missing; "),
        ("inbox --events 150 --kills 4 --processes 3 --seed 7 --fast", "150 took effect 1 times"),
    ],
)
def test_nothing_is_lost_and_nothing_done_twice(command: str, expected: str) -> None:
    """Terminated connections, crashes, a failover, and killed receivers."""
    require("initdb")
    done = subprocess.run(
        [sys.executable, "-m", "stress", *command.split()],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert expected in done.stdout


def test_costs_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """Both ledgers are measured in one run; on a busy machine, a bar may be missed."""
    require("initdb")
    assert cost.main(["--orders", "200", "--rounds", "1"]) in (0, 1)
    assert capsys.readouterr().out.count(" of its throughput\n") == 2
