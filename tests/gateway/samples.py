"""Documented responses of the gateway, with a sample call of each operation."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

import attrs

from paychainhq.gateway import models
from paychainhq.models import Listing
from tests.support.client import QUICK
from tests.support.faces import Gateway

CLIENT_TOKEN = "12|a_client_token"
OAUTH_TOKEN = "an.oauth-token"
CLIENT_ID = "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"
PAYMENT_ID = "550e8400-e29b-41d4-a716-446655440000"

HUNDRED = {"value": 100.00, "amount": 10000, "formatted": "$100.00"}
CHECKOUT = {
    "checkoutUrl": f"https://yourdomain.com/checkout/{PAYMENT_ID}?expires=1742044800&signature=abc123def456..."
}
PAYMENT: Mapping[str, Any] = {
    "id": PAYMENT_ID,
    "status": "CONFIRMED",
    "reference": "ORDER-123",
    "referenceLabel": "Order #123",
    "currencyCode": "USD",
    "amount": HUNDRED,
    "receivedAmount": HUNDRED,
    "confirmedAt": "2026-01-15T10:30:00Z",
    "foundAt": "2026-01-15T10:15:00Z",
    "date": "2026-01-15T10:00:00Z",
}
NOTICE: Mapping[str, Any] = {
    **PAYMENT,
    "userId": "...",
    "status": "RECEIVED",
    "settlementCurrencyCode": "USDT",
    "settledAmount": HUNDRED,
}
APPLICATION: Mapping[str, Any] = {
    "id": PAYMENT_ID,
    "name": "My E-commerce Store",
    "clientId": CLIENT_ID,
    "userId": "user-uuid",
    "site": {
        "id": "site-uuid",
        "title": "My E-commerce Store",
        "url": "https://mystore.com",
        "callbackUrl": "https://mystore.com/webhooks/payments",
        "setting": {
            "id": "setting-uuid",
            "title": "Default Settings",
            "allowOverpay": True,
            "allowUnderpay": False,
        },
    },
    "currencyWhitelist": ["BTC", "ETH", "USDT"],
    "createdAt": "2026-01-15T10:00:00Z",
}
LISTED: Mapping[str, Any] = {
    **{
        name: APPLICATION[name]
        for name in ("id", "name", "clientId", "userId", "currencyWhitelist", "createdAt")
    },
    "site": {
        "id": "site-uuid",
        "url": "https://mystore.com",
        "callbackUrl": "https://mystore.com/webhooks/payments",
    },
    "paymentAppImage": None,
    "deletedAt": None,
}
REFUND: Mapping[str, Any] = {
    "id": "660e8400-e29b-41d4-a716-446655440000",
    "paymentId": PAYMENT_ID,
    "status": "PENDING",
    "refundAmount": HUNDRED,
    "blockchainAddress": "bc1q...",
    "refundedAt": None,
    "createdAt": "2026-01-16T10:00:00Z",
}
INSTRUCTIONS = {"data": {"address": "bc1q...", "amount": "0.00123456"}}
METHODS = {"data": [{"code": "BTC"}]}
INVALID = {
    "message": "The given data was invalid.",
    "errors": {
        "amount": ["The amount field is required."],
        "currencyCode": ["The selected currency code is invalid."],
        "clientId": ["The client id field is required."],
    },
}


@attrs.frozen
class Sample:
    """Sample of one operation from its page.

    Attributes:
        name: The operation.
        arguments: The arguments of its method.
        line: The method and the path.
        body: The JSON of the request.
        response: The JSON of the response.
        type: The type of the result.
        token: The token of the request.
    """

    name: str
    arguments: Mapping[str, Any]
    line: str
    body: Mapping[str, Any] | None
    response: Any
    type: type[Any]
    token: str = CLIENT_TOKEN


SAMPLES = (
    Sample(
        "payments.create",
        {
            "amount": 10000,
            "currency_code": "USD",
            "reference": "ORDER-123",
            "reference_label": "Order #123",
            "redirect_url": "https://yoursite.com/success",
            "expires_at": "2026-03-15T12:00:00Z",
            "blockchain_slug": "ethereum",
            "product_id": "product-uuid",
            "settlement_currency_code": "USDT",
        },
        "POST /api/payment/checkout",
        {
            "amount": 10000,
            "currencyCode": "USD",
            "reference": "ORDER-123",
            "referenceLabel": "Order #123",
            "clientId": CLIENT_ID,
            "redirectUrl": "https://yoursite.com/success",
            "expiresAt": "2026-03-15T12:00:00Z",
            "blockchainSlug": "ethereum",
            "productId": "product-uuid",
            "settlementCurrencyCode": "USDT",
        },
        {"data": CHECKOUT},
        models.Checkout,
    ),
    Sample(
        "payments.get",
        {"payment_id": PAYMENT_ID},
        f"GET /api/payment/{PAYMENT_ID}",
        None,
        {"data": PAYMENT},
        models.Payment,
    ),
    Sample(
        "payments.instructions",
        {"payment_id": PAYMENT_ID, "provider": "some-provider", "method": "BTC"},
        f"GET /api/payment/{PAYMENT_ID}/provider/some-provider/method/BTC",
        None,
        INSTRUCTIONS,
        dict,
    ),
    Sample(
        "payments.methods",
        {"payment_id": PAYMENT_ID},
        f"GET /api/checkout/{PAYMENT_ID}/payment-methods",
        None,
        METHODS,
        dict,
    ),
    Sample(
        "applications.list",
        {},
        "GET /api/payment-applications",
        None,
        {"data": [LISTED]},
        Listing,
        OAUTH_TOKEN,
    ),
    Sample(
        "applications.get",
        {"application_id": PAYMENT_ID},
        f"GET /api/payment-applications/{PAYMENT_ID}",
        None,
        {"data": APPLICATION},
        models.Application,
        OAUTH_TOKEN,
    ),
    Sample(
        "applications.create",
        {
            "name": "My E-commerce Store",
            "secret": "a_webhook_secret",
            "url": "https://mystore.com",
            "callback_url": "https://mystore.com/webhooks/payments",
            "currency_whitelist": ["BTC", "ETH", "USDT"],
            "allow_underpay": False,
            "allow_overpay": True,
        },
        "POST /api/payment-applications",
        {
            "name": "My E-commerce Store",
            "secret": "a_webhook_secret",
            "url": "https://mystore.com",
            "callbackUrl": "https://mystore.com/webhooks/payments",
            "currencyWhitelist": ["BTC", "ETH", "USDT"],
            "allowUnderpay": False,
            "allowOverpay": True,
        },
        {"data": APPLICATION},
        models.Application,
        OAUTH_TOKEN,
    ),
    Sample(
        "refunds.create",
        {"payment_id": PAYMENT_ID, "blockchain_address": "bc1q..."},
        "POST /api/refund-request",
        {"paymentId": PAYMENT_ID, "blockchainAddress": "bc1q..."},
        {"data": REFUND},
        models.Refund,
        OAUTH_TOKEN,
    ),
)
BY_NAME = {sample.name: sample for sample in SAMPLES}


def client(url: str, **settings: Any) -> Gateway:
    """Return a client with all credentials and short retry waits."""
    every = {
        "client_token": CLIENT_TOKEN,
        "oauth_token": OAUTH_TOKEN,
        "client_id": CLIENT_ID,
        "retry": QUICK,
        "timeout": 60,
    }
    return Gateway(base_url=url, **{**every, **settings})


def sample_call(gateway: Gateway, operation: str, /, **changes: Any) -> Awaitable[Any]:
    """Make the documented call of an operation, with the given arguments changed."""
    resource, method = operation.split(".")
    arguments = {**BY_NAME[operation].arguments, **changes}
    result: Awaitable[Any] = getattr(getattr(gateway, resource), method)(**arguments)
    return result
