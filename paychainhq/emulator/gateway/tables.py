"""Tables of the emulated gateway and their first rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from paychainhq.emulator import seed

if TYPE_CHECKING:
    from paychainhq.emulator.state import State

SCHEMA = """
CREATE TABLE gateway_tokens (digest TEXT PRIMARY KEY, kind TEXT, scopes TEXT);
CREATE TABLE gateway_applications (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, client_id TEXT UNIQUE, site_id TEXT UNIQUE, name TEXT, url TEXT, callback_url TEXT,
    currency_whitelist TEXT, allow_underpay INTEGER, allow_overpay INTEGER, created_at INTEGER
);
CREATE TABLE gateway_payments (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, application_id TEXT, status TEXT, reference TEXT, reference_label TEXT,
    currency TEXT, settlement_currency TEXT, amount INTEGER, received INTEGER NOT NULL DEFAULT 0, created_at INTEGER,
    found_at INTEGER, confirmed_at INTEGER
);
CREATE TABLE gateway_refunds (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, payment_id TEXT UNIQUE, blockchain_address TEXT, created_at INTEGER
);
"""  # noqa: E501

CURRENCIES = ["BTC", "ETH", "USDT"]


def plant(state: State) -> None:
    """Insert the first rows into empty tables."""
    for token, kind, scopes in (
        (seed.GATEWAY_CLIENT_TOKEN, "client", ["*"]),
        (seed.GATEWAY_READ_TOKEN, "client", ["payments.get"]),
        (seed.GATEWAY_OAUTH_TOKEN, "oauth", []),
    ):
        state.insert(
            "gateway_tokens", digest=seed.digest(token), kind=kind, scopes=json.dumps(scopes)
        )
    state.insert(
        "gateway_applications",
        id="550e8400-e29b-41d4-a716-446655440000",
        client_id=seed.GATEWAY_CLIENT_ID,
        site_id="7d2f9a4c-52d1-4f0e-8a3b-9c1d2e3f4a5b",
        name="My E-commerce Store",
        url="https://mystore.com",
        callback_url=None,
        currency_whitelist=json.dumps(CURRENCIES),
        allow_underpay=False,
        allow_overpay=True,
        created_at=state.now(),
    )
