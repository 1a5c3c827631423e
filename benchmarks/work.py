"""Work of every client: one request for an invoice, and its response."""

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
"""Arguments of `invoices.create`."""

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
"""Body of that request on the wire."""

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
"""Response to a single read, whose fields differ from those of a creation."""


def page(number: int, size: int, total: int) -> dict[str, Any]:
    """Return one page of a list of open invoices, as in the response to `invoices.list`."""
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
    pagination = {
        "page": number,
        "limit": size,
        "total": total,
        "totalPages": pages,
        "hasMore": number < pages,
    }
    return {"data": items, "pagination": pagination}


@attrs.frozen
class Target:
    """Server under test.

    Attributes:
        url: The server, without a path.
        cafile: The certificate to trust, for TLS.
        connections: The largest number of connections of a pool.
    """

    url: str
    cafile: str | None = None
    connections: int = 100

    @property
    def invoices(self) -> str:
        """URL for the creation of an invoice."""
        return self.url + INVOICES
