"""Webhook endpoints of the two APIs."""

from __future__ import annotations

from paychainhq.emulator.handlers.call import new_id
from paychainhq.emulator.state import State


def add_endpoint(
    state: State,
    url: str,
    secret: str,
    bearer: str | None = None,
    copies: int = 1,
    jitter: float = 0.0,
    *,
    endpoint_id: str = "",
    scheme: str = "paychain",
) -> str:
    """Insert an endpoint, which receives all later events, and return its id."""
    endpoint_id = endpoint_id or new_id("whe")
    state.insert(
        "webhook_endpoints",
        id=endpoint_id,
        url=url,
        secret=secret,
        bearer=bearer,
        copies=copies,
        jitter_ms=round(jitter * 1000),
        scheme=scheme,
    )
    return endpoint_id


def set_endpoint_state(state: State, endpoint_id: str, new: str) -> None:
    """Activate, hold or remove an endpoint that `add_webhook` added, or raise LookupError.

    The deliveries of a removed endpoint remain as a record.
    """
    changed = state.run(
        "UPDATE webhook_endpoints SET state = ? WHERE id = ? AND scheme = 'paychain' AND "
        "state <> 'removed'",
        new,
        endpoint_id,
    )
    if not changed:
        raise LookupError(f"there is no webhook endpoint {endpoint_id}")
    if new == "removed":
        state.run(
            "UPDATE webhook_deliveries SET status = 'failed', next_at = NULL, failure_reason = "
            "'the endpoint was removed' WHERE endpoint_id = ? AND status IN ('pending', "
            "'retrying')",
            endpoint_id,
        )
