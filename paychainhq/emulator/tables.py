"""Tables of the emulator's database."""

from __future__ import annotations

# Times are milliseconds since 1970. Amounts are text: raw amounts of 18 decimals exceed SQLite's
# integers.
SCHEMA = """
CREATE TABLE clock (ahead INTEGER NOT NULL);
CREATE TABLE business (
    id TEXT PRIMARY KEY, billing_alias TEXT, name TEXT, status TEXT, treasury_address TEXT, created_at INTEGER, updated_at INTEGER,
    tolerance_bps INTEGER, tolerance_max_usd TEXT, plan_code TEXT, billing_mode TEXT, cycle_start INTEGER
);
CREATE TABLE api_keys (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, digest TEXT UNIQUE, kind TEXT, name TEXT, permissions TEXT, policy TEXT,
    created_at INTEGER, expires_at INTEGER, last_used_at INTEGER, revoked INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE customers (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, external_ref TEXT, email TEXT, eth_address TEXT, sol_address TEXT);
CREATE TABLE invoices (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, customer_id TEXT, status TEXT, token TEXT, chain TEXT, network_id TEXT, raw TEXT,
    decimals INTEGER, deposit_address TEXT, expires_at INTEGER, tolerance_bps INTEGER, tolerance_max_usd TEXT,
    settled_by_tolerance INTEGER NOT NULL DEFAULT 0, metadata TEXT, created_at INTEGER
);
CREATE INDEX invoices_by_status ON invoices (status, expires_at);
CREATE TABLE payments (seq INTEGER PRIMARY KEY, invoice_id TEXT, token TEXT, amount TEXT, late INTEGER);
CREATE INDEX payments_by_invoice ON payments (invoice_id);
CREATE TABLE billing_invoices (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, alias TEXT, status TEXT, amount_usd TEXT, due_at INTEGER,
    plan_code TEXT, billing_mode TEXT
);
CREATE TABLE billing_payments (
    chain TEXT, network_id TEXT, tx_hash TEXT, invoice_id TEXT, PRIMARY KEY (chain, network_id, tx_hash)
);
CREATE TABLE replies (
    credential TEXT, method TEXT, path TEXT, idempotency_key TEXT, fingerprint TEXT, status INTEGER, body BLOB,
    PRIMARY KEY (credential, method, path, idempotency_key)
) WITHOUT ROWID;
CREATE TABLE webhook_endpoints (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, url TEXT, secret TEXT, bearer TEXT, copies INTEGER, jitter_ms INTEGER,
    scheme TEXT, state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'held', 'removed'))
);
CREATE TABLE status_changes (seq INTEGER PRIMARY KEY, invoice_id TEXT, status TEXT, at INTEGER);
CREATE TRIGGER status_changed AFTER UPDATE OF status ON invoices
    WHEN old.status <> new.status AND EXISTS (SELECT 1 FROM webhook_endpoints WHERE state <> 'removed')
    BEGIN INSERT INTO status_changes (invoice_id, status, at) VALUES (new.id, new.status, now()); END;
CREATE TABLE webhook_deliveries (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE, endpoint_id TEXT, event_type TEXT, body BLOB, status TEXT, attempts INTEGER,
    next_at INTEGER, response_status INTEGER, failure_reason TEXT, latest_request_headers TEXT, signature TEXT
);
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (status, next_at);

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

# Each row is a table, the column that identifies the changed object, and the kind of the change.
# `api_keys.last_used_at` changes with each request and is left out.
CHANGES = (
    ("invoices", "id", "invoice", "UPDATE"),
    ("invoices", "id", "invoice", "INSERT"),
    ("payments", "invoice_id", "invoice", "INSERT"),
    ("webhook_endpoints", "id", "webhook", "UPDATE"),
    ("webhook_endpoints", "id", "webhook", "INSERT"),
    ("webhook_deliveries", "id", "delivery", "UPDATE"),
    ("webhook_deliveries", "id", "delivery", "INSERT"),
    ("customers", "id", "customer", "INSERT"),
    ("api_keys", "id", "api_key", "UPDATE OF revoked"),
    ("api_keys", "id", "api_key", "INSERT"),
    ("billing_invoices", "id", "billing", "UPDATE"),
    ("billing_invoices", "id", "billing", "INSERT"),
)
TRIGGERS = "".join(
    f"CREATE TEMP TRIGGER change_{number} AFTER {event} ON {table} "
    f"BEGIN SELECT changed('{kind}', new.{column}); END; "
    for number, (table, column, kind, event) in enumerate(CHANGES)
)
