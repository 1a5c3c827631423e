"""Authorization: keys and their kinds, permissions, dashboard sessions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from paychainhq._core.operation import Operation
from paychainhq.emulator.errors import RefusedError, not_found
from paychainhq.emulator.keys import BUSINESS_ID, digest
from paychainhq.emulator.state import State

# Assumption: no public page names the header of a dashboard session. These two names are the
# emulator's own.
DASHBOARD_HEADER = "X-Emulator-Dashboard-Session"
DASHBOARD_SESSION = "emulator-dashboard-session"

# Assumption: no page maps operations to permissions. These are the words of the samples. No sample
# has one for settings, billing or reference data, so `business:read` covers these and the
# documented set of five permissions reaches every operation.
SCOPES = {
    "customers.create": "customers:create",
    "customers.list": "customers:read",
    "customers.get": "customers:read",
    "invoices.create": "invoices:create",
    "invoices.list": "invoices:read",
    "invoices.get": "invoices:read",
    "invoices.cancel": "invoices:cancel",
    "invoices.update_status": "invoices:update",
    "withdrawals.quote": "payments:read",
    "balances.list": "payments:read",
    "balances.total": "payments:read",
}
_ANY_OTHER = "business:read"


def authenticate(
    state: State, operation: Operation[Any], headers: Mapping[str, str], path: Mapping[str, str]
) -> str:
    """Return the id of the credential, or raise `RefusedError`."""
    credential = ""
    if operation.auth == "dashboard":
        credential = _dashboard(headers)
    elif operation.auth is not None:
        credential = _standard_key(state, operation, headers)
    if path.get("business_id", BUSINESS_ID) != BUSINESS_ID:
        raise not_found("business")
    return credential


def _dashboard(headers: Mapping[str, str]) -> str:
    if headers.get(DASHBOARD_HEADER) == DASHBOARD_SESSION:
        return "dashboard"
    if "x-api-key" in headers:
        raise RefusedError(
            403, "FORBIDDEN", "this needs a dashboard session: API keys cannot do it"
        )
    raise RefusedError(401, "UNAUTHORIZED", "missing or invalid dashboard session")


def _standard_key(state: State, operation: Operation[Any], headers: Mapping[str, str]) -> str:
    key = state.find(
        "SELECT id, kind, permissions FROM api_keys WHERE digest = ? AND NOT revoked AND "
        "(expires_at IS NULL OR expires_at > ?)",
        digest(headers.get("x-api-key", "")),
        state.now(),
    )
    if key is None:
        raise RefusedError(401, "UNAUTHORIZED", "missing or invalid API key")
    # Assumption: no page documents the response to another kind of key on a standard operation.
    if key["kind"] != "standard":
        raise RefusedError(
            403, "FORBIDDEN", f"a {key['kind']} key cannot do this: use a standard key"
        )
    scope = SCOPES.get(operation.name, _ANY_OTHER)
    if not allows(json.loads(key["permissions"]), scope):
        raise RefusedError(403, "FORBIDDEN", f"this API key lacks the permission {scope}")
    state.run("UPDATE api_keys SET last_used_at = ? WHERE id = ?", state.now(), key["id"])
    return str(key["id"])


def allows(permissions: Iterable[str], scope: str) -> bool:
    """Return whether the permissions contain this scope or its family's wildcard."""
    family = scope.partition(":")[0]
    return any(permission in (scope, f"{family}:*") for permission in permissions)
