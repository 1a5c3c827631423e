"""Fixtures: a fresh emulator, and a plain client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from paychainhq.emulator import Emulator
from tests.emulator.api import Api


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def api(emulator: Emulator) -> Api:
    return Api(emulator)
