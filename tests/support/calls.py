"""Sample calls: the documented arguments of each operation, and a client for all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from paychainhq import DashboardSession, InvalidArgumentError
from paychainhq.operations import OPERATIONS
from tests.support.client import client
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, http_response
from tests.support.samples import BY_NAME

DASHBOARD_HEADERS = {"Cookie": "session=abc", "X-Step-Up": "def"}

DESTINATIONS = [
    {
        "chain": "sol",
        "address": "8gRLe6GiQx2jo9mQFcbwy34u2W4zD2rN5q4mmD8iP2Mp",
        "label": "Solana operations wallet",
    },
    {
        "chain": "eth",
        "address": "0x5fBDB2315678afecb367f032d93F642f64180aa3",
        "label": "Base operations wallet",
    },
]
LIMITS = [
    {
        "chain": "sol",
        "network_id": "sol-mainnet",
        "token": "USDC",
        "max_amount": "1000",
        "daily_amount": "5000",
    },
    {
        "chain": "eth",
        "network_id": "base-mainnet",
        "token": "USDC",
        "max_amount": "1000",
        "daily_amount": "5000",
    },
]

CALLS: Mapping[str, Mapping[str, Any]] = {
    "businesses.get": {},
    "businesses.lookup": {"id_or_alias": "bill_acme_001"},
    "businesses.payment_methods": {"include_inactive": False},
    "businesses.invoice_settings": {},
    "businesses.update_invoice_settings": {
        "invoice_underpayment_tolerance_bps": 50,
        "invoice_underpayment_tolerance_max_usd": "0.50",
    },
    "api_keys.list": {},
    "api_keys.create": {
        "name": "Production invoices server",
        "permissions": [
            "business:read",
            "customers:*",
            "invoices:*",
            "payments:read",
            "events:read",
        ],
        "expires_in": 90,
    },
    "api_keys.create_payout": {
        "name": "Vendor payouts",
        "limits": LIMITS,
        "destination_policy": "allowlist",
        "destinations": DESTINATIONS,
        "ip_allowlist": ["203.0.113.10/32"],
        "expires_in": 30,
    },
    "api_keys.create_contract": {
        "name": "TSTY buy/sell executor",
        "action_ids": [
            "7a8a6b0d-5a18-4c71-9478-18c6a54fe9cb",
            "11e71b3c-88bb-49b2-a1c9-ffce42d62df1",
        ],
        "expires_in": 30,
    },
    "api_keys.revoke": {"key_id": "key_123"},
    "customers.create": {"external_ref": "customer_001", "email": "customer@example.com"},
    "customers.list": {"page": 1, "limit": 20},
    "customers.get": {"customer_id": "cus_123"},
    "invoices.create": {
        "amount": "150",
        "token": "USDC",
        "chain": "eth",
        "network_id": "base-mainnet",
        "customer_id": "cus_123",
        "expires_in": 86400,
        "description": "March onramp settlement",
        "underpayment_tolerance_bps": 50,
        "underpayment_tolerance_max_usd": "0.50",
    },
    "invoices.list": {"page": 1, "limit": 20},
    "invoices.get": {"invoice_id": "inv_123"},
    "invoices.get_public": {"invoice_id": "inv_123"},
    "invoices.cancel": {"invoice_id": "inv_123"},
    "invoices.update_status": {"invoice_id": "inv_123", "status": "paid"},
    "prices.list": {},
    "prices.get": {"symbol": "USDC"},
    "networks.list": {},
    "supported_assets.list": {"include_inactive": False},
    "tokens.list": {},
    "tokens.list_by_network": {"network_id": "base-mainnet"},
    "tokens.get": {"symbol": "USDC"},
    "billing.profile": {},
    "billing.plans": {},
    "billing.change_subscription": {
        "plan_code": "GROWTH",
        "billing_mode": "prepaid_monthly",
        "network_id": "base-mainnet",
    },
    "billing.invoices": {"limit": 20, "offset": 0},
    "billing.usage": {},
    "billing.pay_invoice": {
        "invoice_id": "inv_123",
        "chain": "eth",
        "network_id": "base-mainnet",
        "tx_hash": "0x9ee6b13bdf7d5c7e...",
    },
    "withdrawals.quote": {
        "amount": "500",
        "token": "USDC",
        "chain": "eth",
        "network_id": "base-mainnet",
        "force_sweep_all": False,
    },
    "balances.list": {},
    "balances.total": {},
    "contract_integrations.list": {},
}


KEYED = [name for name, operation in OPERATIONS.items() if operation.idempotency != "unsupported"]

HUGE = 10**5000  # beyond the digits that Python converts to text


def short(value: object) -> str:
    """Return a test id for one of its values."""
    return (
        "huge"
        if value is HUGE or (isinstance(value, dict) and value.get("n") is HUGE)
        else ascii(value)[:40]
    )


def authorized(server: RawServer) -> PayChainHQ:
    """Return a client with every credential."""
    return client(
        server.url,
        payout_key="the_payout_key",
        contract_key="the_contract_key",
        dashboard=DashboardSession(DASHBOARD_HEADERS),
    )


def call(pay: PayChainHQ, operation: str, arguments: Mapping[str, Any]) -> Awaitable[Any]:
    """Call the method of an operation."""
    resource, method = operation.split(".")
    result: Awaitable[Any] = getattr(getattr(pay, resource), method)(**arguments)
    return result


def documented_response(operation: str) -> bytes:
    """Return the documented response of an operation.

    An update of the settings has none, and gets that of a read.
    """
    shown = (
        "businesses.invoice_settings"
        if operation == "businesses.update_invoice_settings"
        else operation
    )
    return http_response(BY_NAME[shown].response)


async def refused(
    make: Callable[[PayChainHQ], Awaitable[Any]], argument: str
) -> InvalidArgumentError:
    """Assert that a call is refused before anything is sent, and return the error.

    The error names the argument.
    """
    async with RawServer(http_response({})) as server, authorized(server) as pay:
        with pytest.raises(InvalidArgumentError) as caught:
            await make(pay)
    assert caught.value.argument == argument
    assert argument in str(caught.value)
    assert caught.value.sent == "no"
    assert server.requests == []
    return caught.value


async def refused_fields(
    operation: str, fields: Mapping[str, Any], argument: str
) -> InvalidArgumentError:
    """Assert that a documented call with other fields is refused, and return the error."""
    return await refused(lambda pay: call(pay, operation, {**CALLS[operation], **fields}), argument)
