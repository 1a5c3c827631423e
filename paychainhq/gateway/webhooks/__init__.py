"""Webhooks of the gateway: verification, decoding, and handling exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paychainhq.gateway.webhooks.events import Event, EventName, parse, sign

if TYPE_CHECKING:
    from paychainhq.gateway.webhooks.receiver import Receiver

__all__ = ["Event", "EventName", "Receiver", "parse", "sign"]


def __getattr__(name: str) -> object:
    if name != "Receiver":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Loaded on first use: only the receiver requires anyio.
    from paychainhq.gateway.webhooks.receiver import Receiver

    return Receiver
