"""Tables of a PostgreSQL ledger, and the migrations that create them."""

from __future__ import annotations

_FIRST = """\
CREATE TABLE {s}paychainhq_schema (
    version integer PRIMARY KEY,
    migrated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE {s}paychainhq_intents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    fingerprint text NOT NULL,
    credential text NOT NULL,
    attempt text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (key, operation)
);
CREATE TABLE {s}paychainhq_answers (
    id bigint NOT NULL,
    attempt text COLLATE "C" NOT NULL,
    status smallint NOT NULL,
    request_id text,
    body bytea NOT NULL,
    answered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (id, attempt)
);
COMMENT ON TABLE {s}paychainhq_answers IS 'attempt: empty for a success, which counts for all';
CREATE TABLE {s}paychainhq_claims (
    name text COLLATE "C" PRIMARY KEY,
    holder text NOT NULL,
    until timestamptz NOT NULL,
    done_at timestamptz
);
CREATE VIEW {s}paychainhq_entries AS
    SELECT i.id, i.operation, i.key, i.started_at,
        CASE WHEN a.status IS NULL THEN 'unfinished'
            WHEN a.status BETWEEN 200 AND 299 THEN 'finished' ELSE 'refused' END AS state,
        a.status, a.request_id, a.answered_at, a.body, i.fingerprint, i.credential, i.attempt
    FROM {s}paychainhq_intents i LEFT JOIN LATERAL (
        SELECT * FROM {s}paychainhq_answers WHERE id = i.id AND attempt IN ('', i.attempt)
        ORDER BY attempt LIMIT 1) a ON true;
INSERT INTO {s}paychainhq_schema (version) VALUES (1);
"""
# Each leads to the next version, and records it.
_MIGRATIONS = (_FIRST,)

VERSION = len(_MIGRATIONS)
"""Version of the tables that this version of the package uses."""

LOCK = "SELECT pg_advisory_xact_lock(8097887072848800110)"  # "paychain" as a number


def prefix(schema: str | None) -> str:
    """Return the text before the name of a table."""
    return "" if schema is None else '"' + schema.replace('"', '""') + '".'


def migration(schema: str | None, version: int = 0) -> str:
    """Return the SQL that leads from a version of the tables to the present one."""
    return "".join(_MIGRATIONS[version:]).replace("{s}", prefix(schema))
