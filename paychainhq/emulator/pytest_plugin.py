"""Pytest fixtures: an emulator, clients of it, webhooks for an application, and a guard.

Every pytest run loads this module, so its imports are deferred.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import paychainhq_sync
    from paychainhq import PayChainHQ
    from paychainhq.emulator import Emulator
    from paychainhq.emulator.kit import Webhooks


@pytest.fixture
def paychain_guard() -> Iterator[None]:
    """Fail the test if a client of this package would send to a host beyond loopback."""
    from paychainhq.emulator.kit import guard

    with guard() as refused:
        yield
    if refused:
        pytest.fail(f"clients would have sent requests to {', '.join(sorted(refused))}")


@pytest.fixture
def paychain_emulator(paychain_guard: None) -> Iterator[Emulator]:
    """Provide a fresh PayChainHQ emulator with its state in memory."""
    from paychainhq.emulator import Emulator

    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def paychain(paychain_emulator: Emulator) -> Iterator[PayChainHQ]:
    """Provide an asynchronous client of the emulator with all credentials and short waits.

    The event loop of the test opens it, whatever runs the test: pytest-asyncio, AnyIO's plugin or
    `asyncio.run`.
    """
    from paychainhq import PayChainHQ
    from paychainhq.emulator.kit import close, settings

    client = PayChainHQ(**settings(paychain_emulator))
    yield client
    close(client)


@pytest.fixture
def paychain_sync(paychain_emulator: Emulator) -> Iterator[paychainhq_sync.PayChainHQ]:
    """Provide a blocking client of the emulator with all credentials and short waits."""
    import paychainhq_sync
    from paychainhq.emulator.kit import settings

    options: Any = settings(paychain_emulator)
    with paychainhq_sync.PayChainHQ(**options) as client:
        yield client


@pytest.fixture
def paychain_webhooks(paychain_emulator: Emulator) -> Webhooks:
    """Provide a sender of signed events to an application in process, or to a URL."""
    from paychainhq.emulator.kit import Webhooks

    return Webhooks(paychain_emulator)
