"""Guarantees: each promise of the page names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


def promises() -> list[str]:
    """Return the rows of the tables, without their heads."""
    rows = [line for line in TEXT.splitlines() if line.startswith("|")]
    return [row for row in rows if not row.startswith(("| Situation", "|---"))]


@pytest.mark.parametrize(("file", "test"), TESTS)
def test_a_named_test_exists(file: str, test: str) -> None:
    """The file has a test of that name."""
    source = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^ *(async )?def {test}\(", source, re.MULTILINE)


def test_every_promise_names_its_test() -> None:
    """Each row of each table links its test."""
    assert len(promises()) > 20
    assert [row for row in promises() if "::test_" not in row] == []
