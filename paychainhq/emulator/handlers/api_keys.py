"""API keys: created, listed and revoked by dashboard sessions."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable

from paychainhq.emulator.catalog import CONTRACT_POLICY
from paychainhq.emulator.errors import RefusedError, not_found, refuse_field
from paychainhq.emulator.handlers.call import Call, new_id
from paychainhq.emulator.keys import (
    CONTRACT_PERMISSIONS,
    PAYOUT_PERMISSIONS,
    STANDARD_PERMISSIONS,
    digest,
)
from paychainhq.emulator.seed import DAY
from paychainhq.emulator.state import Row, iso

_HIGH_RISK = frozenset({"*", "apiKeys:*", "payments:*", "contracts:*", "contracts:sign"})


def list_(call: Call) -> object:
    rows = call.state.all(
        "SELECT * FROM api_keys WHERE kind IN ('standard', 'payout') AND NOT revoked AND "
        "(expires_at IS NULL OR expires_at > ?)"
        " ORDER BY seq DESC",
        call.state.now(),
    )
    return [
        {
            "id": row["id"],
            "name": row["name"],
            "kind": row["kind"],
            "permissions": json.loads(row["permissions"]),
            "lastUsedAt": iso(row["last_used_at"]),
            "expiresAt": iso(row["expires_at"]),
            "createdAt": iso(row["created_at"]),
            "payoutPolicy": _listed_policy(row),
        }
        for row in rows
    ]


def create(call: Call) -> object:
    """Create a standard key.

    Assumption: permissions default to those of the sample, and unknown permissions are accepted.
    """
    permissions = call.body.get("permissions", STANDARD_PERMISSIONS)
    refused = [
        permission
        for permission in permissions
        if permission in _HIGH_RISK or permission.startswith("payouts:")
    ]
    if refused:
        raise RefusedError(
            400,
            "HIGH_RISK_SCOPE_NOT_ALLOWED",
            "a standard API key may not have this permission",
            [
                {"field": "permissions", "message": f"{permission} is not allowed"}
                for permission in refused
            ],
        )
    warning = "Store this API key securely. It cannot be recovered."
    return _create(call, "standard", "key", "biz_live", permissions, None, warning)


def create_payout(call: Call) -> object:
    body = call.body
    destination_policy = body.get("destinationPolicy", "allowlist")
    if destination_policy not in ("allowlist", "any"):
        refuse_field("destinationPolicy", "destinationPolicy must be allowlist or any")
    if destination_policy == "allowlist" and "destinations" not in body:
        refuse_field("destinations", "destinations is required when destinationPolicy is allowlist")
    limits = body["limits"]
    policy = {
        "destinationPolicy": destination_policy,
        "destinations": body.get("destinations", []),
        "allowedChains": _distinct(limit["chain"] for limit in limits),
        "allowedNetworkIds": _distinct(limit["networkId"] for limit in limits),
        "allowedTokens": _distinct(limit["token"] for limit in limits),
        "limits": limits,
        "ipAllowlist": body.get("ipAllowlist", []),
    }
    warning = (
        "Store this payout API key securely. It pays out within its policy only, and cannot "
        "be recovered."
    )
    return _create(
        call, "payout", "key_payout", "biz_live_payout", PAYOUT_PERMISSIONS, policy, warning
    )


def create_contract(call: Call) -> object:
    """Create a contract key.

    Assumption: every action id counts as a published action of the sample's contract.
    """
    policy = {"allowedActionIds": call.body["actionIds"], **CONTRACT_POLICY}
    warning = (
        "Store this contract execution API key securely. It runs the configured actions "
        "only, and cannot be recovered."
    )
    return _create(
        call,
        "contract_execution",
        "key_contract",
        "biz_live_contract",
        CONTRACT_PERMISSIONS,
        policy,
        warning,
    )


def revoke(call: Call) -> object:
    """Revoke a key. Assumption: a revoked key is not found."""
    if not call.state.run(
        "UPDATE api_keys SET revoked = 1 WHERE id = ? AND NOT revoked", call.path["key_id"]
    ):
        raise not_found("API key")
    return {"ok": True}


def _create(
    call: Call,
    kind: str,
    id_prefix: str,
    prefix: str,
    permissions: list[str],
    policy: dict[str, object] | None,
    warning: str,
) -> object:
    key_id, key, now = new_id(id_prefix), f"{prefix}_{secrets.token_hex(16)}", call.state.now()
    expires_at = now + call.body["expiresIn"] * DAY if "expiresIn" in call.body else None
    call.state.insert(
        "api_keys",
        id=key_id,
        digest=digest(key),
        kind=kind,
        name=call.body["name"],
        permissions=json.dumps(permissions),
        policy=json.dumps(policy),
        created_at=now,
        expires_at=expires_at,
    )
    return {
        "id": key_id,
        "name": call.body["name"],
        "kind": kind,
        "apiKey": key,
        "permissions": permissions,
        "expiresAt": iso(expires_at),
        "createdAt": iso(now),
        **({"policy": policy} if policy else {}),
        "warning": warning,
    }


def _listed_policy(row: Row) -> dict[str, object] | None:
    policy: dict[str, object] | None = json.loads(row["policy"])
    if policy is None:
        return None
    # The list and the response to a creation have different names for the same field.
    return {
        "allowedDestinations" if name == "destinations" else name: value
        for name, value in policy.items()
    }


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
