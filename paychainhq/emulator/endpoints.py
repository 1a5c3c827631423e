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
