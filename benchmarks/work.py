"""The work that every client does: an invoice is asked for, and the answer to it."""

from __future__ import annotations

from typing import Any

import attrs

BUSINESS = "biz_123"
INVOICES = f"/api/v1/businesses/{BUSINESS}/invoices"
KEY = "pk_live_your_business_key"

ARGUMENTS: dict[str, Any] = {
    "amount": "150",
    "token": "USDC",
    "chain": "eth",
    "network_id": "base-mainnet",
    "customer_id": "cus_123",
    "expires_in": 86400,
    "description": "March onramp settlement",
    "underpayment_tolerance_bps": 50,
    "underpayment_tolerance_max_usd": "0.50",
}
"""What `invoices.create` takes."""

BODY: dict[str, Any] = {
    "customerId": "cus_123",
    "amount": "150",
    "token": "USDC",
    "chain": "eth",
    "networkId": "base-mainnet",
    "expiresIn": 86400,
    "description": "March onramp settlement",
    "underpaymentToleranceBps": 50,
    "underpaymentToleranceMaxUsd": "0.50",
}
"""What goes over the wire for it."""

_AMOUNT = {
    "raw": "150000000",
    "decimals": 6,
    "display": "150",
    "symbol": "USDC",
    "chain": "eth",
    "networkId": "base-mainnet",
}

ANSWER: dict[str, Any] = {
    "id": "inv_123",
    "businessId": BUSINESS,
    "customerId": "cus_123",
    "status": "pending",
    "token": "USDC",
    "chain": "eth",
    "networkId": "base-mainnet",
    "amount": _AMOUNT,
    "depositAddress": "0xE5fa2F71065fD49823D33EdD84ecFD2D6245c916",
    "expiresAt": "2099-03-15T13:00:00.000Z",
    "underpaymentToleranceBps": 50,
    "underpaymentToleranceMaxUsd": "0.50",
    "providerRegistration": {
        "status": "ready",
        "ready": True,
        "message": "Deposit address is registered and ready to share.",
    },
}

READ: dict[str, Any] = {
    "id": "inv_123",
    "status": "pending",
    "amount": _AMOUNT,
    "depositAddress": "0xE5fa2F71065fD49823D33EdD84ecFD2D6245c916",
    "paymentSummary": {"paymentsReceived": 0},
}
"""A single read, which has other fields than a creation."""


def page(number: int, size: int, total: int) -> dict[str, Any]:
    """Return one page of a list of that many open invoices, as `invoices.list` gives it."""
    first = (number - 1) * size
    items = [
        {
            "id": f"inv_{index}",
            "status": "pending",
            "token": "USDC",
            "chain": "eth",
            "networkId": "base-mainnet",
            "amount": _AMOUNT,
            "expiresAt": "2099-03-15T13:00:00.000Z",
        }
        for index in range(first, min(first + size, total))
    ]
    pages = -(-total // size)
    pagination = {"page": number, "limit": size, "total": total, "totalPages": pages, "hasMore": number < pages}
    return {"data": items, "pagination": pagination}


@attrs.frozen
class Target:
    """Where the work is done.

    Attributes:

        url: The server, without a path.
        cafile: The certificate to trust, for TLS.
        connections: How many a pool may open.
    """

    url: str
    cafile: str | None = None
    connections: int = 100

    @property
    def invoices(self) -> str:
        """Where an invoice is asked for."""
        return self.url + INVOICES
