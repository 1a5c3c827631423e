"""Local, stateful emulator of PayChainHQ on a real socket, for trials and tests without an account.

The server is loaded on the first use of one of the names below, so that the import of this package
stays cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paychainhq.emulator.emulator import Emulator
    from paychainhq.emulator.keys import (
        API_KEY,
        BUSINESS_ID,
        CONTRACT_KEY,
        GATEWAY_CLIENT_ID,
        GATEWAY_CLIENT_TOKEN,
        GATEWAY_OAUTH_TOKEN,
        GATEWAY_READ_TOKEN,
        PAYOUT_KEY,
        TEST_API_KEY,
        WEBHOOK_SECRET,
    )
    from paychainhq.emulator.kit import Webhooks
    from paychainhq.emulator.request_log import ReceivedRequest

__all__ = [
    "API_KEY",
    "BUSINESS_ID",
    "CONTRACT_KEY",
    "GATEWAY_CLIENT_ID",
    "GATEWAY_CLIENT_TOKEN",
    "GATEWAY_OAUTH_TOKEN",
    "GATEWAY_READ_TOKEN",
    "PAYOUT_KEY",
    "TEST_API_KEY",
    "WEBHOOK_SECRET",
    "Emulator",
    "ReceivedRequest",
    "Webhooks",
]

_HOMES = {"Emulator": "emulator", "ReceivedRequest": "request_log", "Webhooks": "kit"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'keys')}"), name)
