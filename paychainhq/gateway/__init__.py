"""Bearer-token payment gateway (seed 004), which each operator runs on a host of their own."""

from paychainhq.gateway import webhooks
from paychainhq.gateway.client import Gateway
from paychainhq.gateway.models import (
    Application,
    Checkout,
    Money,
    Payment,
    PaymentStatus,
    Refund,
    RefundStatus,
    Site,
    SiteSetting,
)
from paychainhq.gateway.webhooks import Event, EventName

__all__ = [
    "Application",
    "Checkout",
    "Event",
    "EventName",
    "Gateway",
    "Money",
    "Payment",
    "PaymentStatus",
    "Refund",
    "RefundStatus",
    "Site",
    "SiteSetting",
    "webhooks",
]
