"""Documentation of the emulator against its implementation."""

from __future__ import annotations

from pathlib import Path

import pytest

from paychainhq.emulator import (
    API_KEY,
    BUSINESS_ID,
    CONTRACT_KEY,
    PAYOUT_KEY,
    TEST_API_KEY,
    Emulator,
    faults,
)
from paychainhq.emulator.catalog import NETWORKS
from paychainhq.emulator.control import ACTIONS, LISTS

PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [*faults.KINDS, "slow:2.5", "429:1"])
def test_the_page_names_every_kind_of_fault(kind: str) -> None:
    """Each kind is on the page as written in code, and exists."""
    assert f'`"{kind}"`' in PAGE
    assert callable(faults.parse(kind))


@pytest.mark.parametrize(
    ("method", "name"), [("POST", name) for name in ACTIONS] + [("GET", name) for name in LISTS]
)
def test_the_page_names_every_control(method: str, name: str) -> None:
    """The page has the HTTP request, and the emulator the method or property of that name."""
    assert f"{method} /_emulator/{name}" in PAGE
    assert hasattr(Emulator, name)


@pytest.mark.parametrize(
    "word", [API_KEY, BUSINESS_ID, CONTRACT_KEY, PAYOUT_KEY, TEST_API_KEY, *NETWORKS]
)
def test_the_page_names_the_initial_data(word: str) -> None:
    """The page has all keys and networks."""
    assert f"`{word}`" in PAGE


def test_the_page_names_the_dashboard_session() -> None:
    """The page has the header with its value."""
    assert [f"{name}: {value}" in PAGE for name, value in Emulator().dashboard.headers.items()] == [
        True
    ]
