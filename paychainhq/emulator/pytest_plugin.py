"""Pytest fixture `paychain_emulator`.

Every pytest run loads this module, so its imports are deferred.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from paychainhq.emulator import Emulator


@pytest.fixture
def paychain_emulator() -> Iterator[Emulator]:
    """Provide a fresh PayChainHQ emulator with its state in memory."""
    from paychainhq.emulator import Emulator

    with Emulator() as emulator:
        yield emulator
