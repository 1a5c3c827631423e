"""Published credentials of the emulator, and the digest that its state stores of a key."""

from __future__ import annotations

import hashlib

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
WEBHOOK_SECRET = "emulator-webhook-secret"  # noqa: S105
"""Secret that signs the events of `Emulator.deliver`."""

STANDARD_PERMISSIONS = [
    "business:read",
    "customers:*",
    "invoices:*",
    "payments:read",
    "events:read",
]
PAYOUT_PERMISSIONS = ["payouts:create", "payouts:read"]
CONTRACT_PERMISSIONS = ["contracts:sign", "contracts:read"]


def digest(key: str) -> str:
    """Return the digest that is stored instead of a key, so that a state file reveals no key."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
