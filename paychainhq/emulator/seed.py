"""Initial data: the documents' samples, with their dates moved so that nothing has expired."""

from __future__ import annotations

import json
from typing import Protocol

from paychainhq.emulator.catalog import GATEWAY_CURRENCIES
from paychainhq.emulator.keys import (
    API_KEY,
    BUSINESS_ID,
    CONTRACT_KEY,
    CONTRACT_PERMISSIONS,
    GATEWAY_CLIENT_ID,
    GATEWAY_CLIENT_TOKEN,
    GATEWAY_OAUTH_TOKEN,
    GATEWAY_READ_TOKEN,
    PAYOUT_KEY,
    PAYOUT_PERMISSIONS,
    STANDARD_PERMISSIONS,
    TEST_API_KEY,
    digest,
)

HOUR = 3_600_000
DAY = 24 * HOUR

_ETH_ADDRESS = "0xE5fa2F71065fD49823D33EdD84ecFD2D6245c916"
_SOL_ADDRESS = "8gRLe6GiQx2jo9mQFcbwy34u2W4zD2rN5q4mmD8iP2Mp"
_ASSET = {"token": "USDC", "chain": "eth", "network_id": "base-mainnet"}
_LIMIT = {
    "chain": "sol",
    "networkId": "sol-mainnet",
    "token": "USDC",
    "maxAmount": "1000",
    "dailyAmount": "5000",
}
_PAYOUT_POLICY = {
    "destinationPolicy": "allowlist",
    "destinations": [
        {"chain": "sol", "address": _SOL_ADDRESS, "label": "Solana operations wallet"}
    ],
    "allowedChains": ["sol", "eth"],
    "allowedNetworkIds": ["sol-mainnet", "base-mainnet"],
    "allowedTokens": ["USDC"],
    "limits": [_LIMIT],
    "ipAllowlist": ["203.0.113.10/32"],
}


class Tables(Protocol):
    """Database and clock that receive the initial data."""

    def now(self) -> int: ...

    def insert(self, table: str, **values: str | int | bytes | None) -> None: ...


def plant(state: Tables) -> None:
    """Insert the initial data into an empty database."""
    now = state.now()
    state.insert("clock", ahead=0)
    state.insert(
        "business",
        id=BUSINESS_ID,
        billing_alias="bill_acme_001",
        name="Acme Treasury",
        status="active",
        treasury_address="0x1b2c3d4e5f6789012345678901234567890abced",
        created_at=now - 4 * DAY,
        updated_at=now - 2 * HOUR,
        tolerance_bps=50,
        tolerance_max_usd="0.50",
        plan_code="GROWTH",
        billing_mode="prepaid_monthly",
        cycle_start=now - DAY,
    )
    _plant_keys(state, now)
    _plant_gateway(state, now)
    state.insert(
        "customers",
        id="cus_123",
        external_ref="customer_001",
        email="customer@example.com",
        eth_address=_ETH_ADDRESS,
        sol_address=_SOL_ADDRESS,
    )
    state.insert(
        "invoices",
        id="inv_123",
        customer_id="cus_123",
        status="pending",
        **_ASSET,
        raw="150000000",
        decimals=6,
        deposit_address=_ETH_ADDRESS,
        expires_at=now + DAY,
        tolerance_bps=50,
        tolerance_max_usd="0.50",
        created_at=now,
    )
    # The documented command for a billing payment uses inv_123, the documented list bill_inv_123:
    # this invoice has both ids.
    state.insert(
        "billing_invoices",
        id="bill_inv_123",
        alias="inv_123",
        status="open",
        amount_usd="245.20",
        due_at=now + 6 * DAY,
    )


def _plant_keys(state: Tables, now: int) -> None:
    # key_123 is not the key of the documented commands, so a command that revokes key_123 leaves
    # the other commands working.
    keys: list[tuple[str, str, str, str, list[str], object]] = [
        ("key_emulator", API_KEY, "standard", "Emulator default", STANDARD_PERMISSIONS, None),
        (
            "key_emulator_test",
            TEST_API_KEY,
            "standard",
            "Emulator test",
            STANDARD_PERMISSIONS,
            None,
        ),
        (
            "key_emulator_contract",
            CONTRACT_KEY,
            "contract_execution",
            "Emulator contract",
            CONTRACT_PERMISSIONS,
            None,
        ),
        (
            "key_payout_123",
            PAYOUT_KEY,
            "payout",
            "Vendor payouts",
            PAYOUT_PERMISSIONS,
            _PAYOUT_POLICY,
        ),
        (
            "key_123",
            "biz_live_1234567890abcdef",
            "standard",
            "Production invoices server",
            STANDARD_PERMISSIONS,
            None,
        ),
    ]
    for key_id, key, kind, name, permissions, policy in keys:
        state.insert(
            "api_keys",
            id=key_id,
            digest=digest(key),
            kind=kind,
            name=name,
            permissions=json.dumps(permissions),
            policy=json.dumps(policy),
            created_at=now - 2 * DAY,
            expires_at=now + 90 * DAY if key_id.endswith("_123") else None,
        )


def _plant_gateway(state: Tables, now: int) -> None:
    for token, kind, scopes in (
        (GATEWAY_CLIENT_TOKEN, "client", ["*"]),
        (GATEWAY_READ_TOKEN, "client", ["payments.get"]),
        (GATEWAY_OAUTH_TOKEN, "oauth", []),
    ):
        state.insert("gateway_tokens", digest=digest(token), kind=kind, scopes=json.dumps(scopes))
    state.insert(
        "gateway_applications",
        id="550e8400-e29b-41d4-a716-446655440000",
        client_id=GATEWAY_CLIENT_ID,
        site_id="7d2f9a4c-52d1-4f0e-8a3b-9c1d2e3f4a5b",
        name="My E-commerce Store",
        url="https://mystore.com",
        callback_url=None,
        currency_whitelist=json.dumps(GATEWAY_CURRENCIES),
        allow_underpay=False,
        allow_overpay=True,
        created_at=now,
    )
