"""Initial data: the documents' samples, with their dates moved so that nothing has expired."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paychainhq.emulator.state import State

BUSINESS_ID = "biz_123"
API_KEY = "pk_live_your_business_key"
TEST_API_KEY = "pk_test_emulator_key"
"""Second standard key, without the prefix of a live one, for clients with `environment="sandbox"`.
"""
PAYOUT_KEY = "pk_test_emulator_payout_key"
CONTRACT_KEY = "pk_test_emulator_contract_key"
GATEWAY_CLIENT_ID = "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"
GATEWAY_CLIENT_TOKEN = "emulator-client-token"  # noqa: S105 (it opens nothing but the emulator)
GATEWAY_READ_TOKEN = "emulator-read-token"  # noqa: S105
"""Client token with the scope `payments.get` only."""
GATEWAY_OAUTH_TOKEN = "emulator-oauth-token"  # noqa: S105

STANDARD_PERMISSIONS = [
    "business:read",
    "customers:*",
    "invoices:*",
    "payments:read",
    "events:read",
]
PAYOUT_PERMISSIONS = ["payouts:create", "payouts:read"]
CONTRACT_PERMISSIONS = ["contracts:sign", "contracts:read"]

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


def digest(key: str) -> str:
    """Return the digest that is stored instead of a key, so that a state file reveals no key."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def plant(state: State) -> None:
    """Insert the initial data into an empty database."""
    from paychainhq.emulator.gateway import tables

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
    tables.plant(state)
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


def _plant_keys(state: State, now: int) -> None:
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
