"""Webhooks: verified, decoded, and handled once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paychainhq.models.webhooks import Event, EventData, EventName
from paychainhq.webhooks.events import parse, sign

if TYPE_CHECKING:
    from paychainhq.webhooks.receiver import Receiver

__all__ = ["Event", "EventData", "EventName", "Receiver", "parse", "sign"]


def __getattr__(name: str) -> object:
    if name != "Receiver":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from paychainhq.webhooks.receiver import Receiver  # loads anyio

    return Receiver
