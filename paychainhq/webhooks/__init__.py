"""Webhooks: verified, decoded, and handled once."""

from paychainhq.models.webhooks import Event, EventData, EventName
from paychainhq.webhooks.events import parse, sign
from paychainhq.webhooks.receiver import Receiver

__all__ = ["Event", "EventData", "EventName", "Receiver", "parse", "sign"]
