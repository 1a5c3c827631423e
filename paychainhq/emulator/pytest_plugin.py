"""The pytest fixture `paychain_emulator`. Every pytest run loads this module, so it imports nothing that it does not need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from paychainhq.emulator import Emulator


@pytest.fixture
def paychain_emulator() -> Iterator[Emulator]:
    """A fresh PayChainHQ emulator with its state in memory."""
    from paychainhq.emulator import Emulator

    with Emulator() as emulator:
        yield emulator
