"""Webhooks: verification, decoding, and handling exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paychainhq.models.webhooks import Event, EventData, EventName
    from paychainhq.webhooks.events import parse, sign
    from paychainhq.webhooks.receiver import Receiver

__all__ = ["Event", "EventData", "EventName", "Receiver", "parse", "sign"]

# Loaded on first use: the gateway uses only the signatures, and only the receiver requires anyio.
_HOMES = {
    "Receiver": "paychainhq.webhooks.receiver",
    "parse": "paychainhq.webhooks.events",
    "sign": "paychainhq.webhooks.events",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "paychainhq.models.webhooks")), name)
