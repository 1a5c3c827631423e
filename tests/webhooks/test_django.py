"""Receiver in Django with `ATOMIC_REQUESTS` on two databases.

No payment is lost, and no half-done work is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Return a function that runs a scenario and returns the JSON that it prints.

    Each scenario has a process of its own, because Django can be set up only once in each.
    """

    def start(scenario: str) -> Any:
        command = [
            sys.executable,
            "-W",
            "error",
            "-m",
            "tests.webhooks.django_shop",
            scenario,
            str(tmp_path),
        ]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return start


def test_a_commit_that_fails_leaves_the_event_to_be_handled(run: Any) -> None:
    """The event is not recorded as done, and is handled once the commit succeeds."""
    assert run("commit_that_fails") == [[500] * 3, [10, 0], [200, 200], [9, 1]]


def test_a_handler_that_raises_keeps_no_half_done_work(run: Any) -> None:
    """Three failures take nothing from the stock."""
    assert run("handler_that_raises") == [[500] * 3, [10, 0], [200, 200], [9, 1]]


def test_decorators_take_the_view_and_no_transaction_surrounds_it(run: Any) -> None:
    """Decorated views run outside transactions, and serve only POST.

    The handler's transactions are durable, so Django would refuse them inside another one.
    """
    statuses, state, get = run("every_view")
    assert set(map(tuple, statuses.values())) == {(200, 200)}
    assert state == [10 - len(statuses), len(statuses)]
    assert get == 405


def test_a_view_in_a_transaction_is_refused(run: Any) -> None:
    """Its events are neither handled nor lost."""
    refused = {"in_a_view": [500, 500], "receiving": [500, 500], "atomic": [500, 500]}
    assert run("surrounded") == [refused, [10, 0], [200, 200, 200], [7, 3]]


def test_the_transactions_of_a_test_case_do_not_count(run: Any) -> None:
    """A Django `TestCase` can deliver webhooks in spite of its own transactions."""
    assert run("in_a_test_case") == [[[200, 200]], True]
