"""Sample webhooks and their signatures."""

from __future__ import annotations

import json
from typing import Any

from paychainhq import webhooks

SECRET = "whsec_test_0123456789"
AMOUNT = {
    "raw": "150000000",
    "decimals": 6,
    "display": "150",
    "symbol": "USDC",
    "chain": "eth",
    "networkId": "base-mainnet",
}
PAID: dict[str, Any] = {
    "id": "evt_2b3f1fa0",
    "event": "invoice.paid",
    "timestamp": "2026-03-14T13:46:04.903Z",
    "data": {
        "invoiceId": "inv_123",
        "businessId": "biz_123",
        "status": "paid",
        "amount": AMOUNT,
        "paidAmount": AMOUNT | {"raw": "149750000", "display": "149.75"},
        "settledByTolerance": True,
        "toleranceRaw": "500000",
        "shortfallRaw": "250000",
        "txHash": "0x9ee6...",
    },
}
BODY = json.dumps(PAID).encode()


def webhook(id: str = "evt_1", event: str = "invoice.paid", **data: Any) -> bytes:
    """Return the body of an event."""
    return json.dumps({"id": id, "event": event, "data": data}).encode()


def signed(body: bytes, **more: Any) -> dict[str, str]:
    return webhooks.sign(body, secret=SECRET, **more)
