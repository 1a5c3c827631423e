"""The page on the emulator says what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from paychainhq.emulator import API_KEY, BUSINESS_ID, CONTRACT_KEY, PAYOUT_KEY, TEST_API_KEY, Emulator, faults
from paychainhq.emulator.catalog import NETWORKS
from paychainhq.emulator.control import _ROUTES as CONTROLS

PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [*faults._KINDS, "slow:2.5", "429:1"])
def test_the_page_names_every_kind_of_fault(kind: str) -> None:
    """Each stands in it as it is asked for, and exists."""
    assert f'`"{kind}"`' in PAGE
    assert callable(faults.parse(kind))


@pytest.mark.parametrize(("method", "name"), CONTROLS)
def test_the_page_names_every_control(method: str, name: str) -> None:
    """The HTTP request, and the method or property that does the same."""
    assert f"{method} /_emulator/{name}" in PAGE
    assert hasattr(Emulator, name)


@pytest.mark.parametrize("word", [API_KEY, BUSINESS_ID, CONTRACT_KEY, PAYOUT_KEY, TEST_API_KEY, *NETWORKS])
def test_the_page_names_what_there_is_to_begin_with(word: str) -> None:
    """Keys and networks."""
    assert f"`{word}`" in PAGE


def test_the_page_names_the_dashboard_session() -> None:
    """As the header that it is."""
    assert [f"{name}: {value}" in PAGE for name, value in Emulator().dashboard.headers.items()] == [True]
