"""Tables and statements of a line in PostgreSQL.

The function is the rule of the line. Its name has a version, so that clients of several versions
may use one table. Nothing here must survive a crash, so the tables are unlogged, and no lease waits
for the disk. All changes are made while the row of the line is locked, in one transaction.
"""

from __future__ import annotations

from paychainhq.ledger.postgres.tables import prefix

_MIGRATION = """\
CREATE UNLOGGED TABLE IF NOT EXISTS {s}paychainhq_lines (
    name text COLLATE "C" PRIMARY KEY,
    due float8 NOT NULL DEFAULT 0,
    returning_until float8 NOT NULL DEFAULT 0,
    expected integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON COLUMN {s}paychainhq_lines.due IS 'time of the next turn, in seconds since 1970';
CREATE UNLOGGED TABLE IF NOT EXISTS {s}paychainhq_members (
    line text COLLATE "C",
    member text COLLATE "C",
    seen_at float8 NOT NULL,
    PRIMARY KEY (line, member)
) WITH (fillfactor = 50);
CREATE OR REPLACE FUNCTION {s}paychainhq_lease_1(
    name text, member text, want integer, alone integer, rate float8, burst integer,
    OUT turns integer, OUT first float8, OUT step float8, OUT members integer
) LANGUAGE plpgsql SET lock_timeout = '250ms' AS $lease$
DECLARE
    line {s}paychainhq_lines;
    now float8;
    present integer;
    share float8 := 1;
BEGIN
    INSERT INTO {s}paychainhq_lines AS l (name) VALUES ($1) ON CONFLICT DO NOTHING;
    SELECT * INTO line FROM {s}paychainhq_lines l WHERE l.name = $1 FOR UPDATE;
    now := extract(epoch FROM clock_timestamp());
    INSERT INTO {s}paychainhq_members AS m (line, member, seen_at) VALUES ($1, $2, now)
        ON CONFLICT ON CONSTRAINT paychainhq_members_pkey DO UPDATE SET seen_at = now;
    SELECT count(*), count(*) FILTER (WHERE seen_at > now - 0.5) INTO members, present
        FROM {s}paychainhq_members m WHERE m.line = $1 AND seen_at > now - 2;
    -- After an outage some members still have their shares of the limit, for 1.25 s at most. Until
    -- then the line grants the shares of those that are back, and no burst.
    IF alone > 0 THEN
        IF now >= line.returning_until THEN line.expected := 0; END IF;
        line.expected := greatest(line.expected, alone);
        line.returning_until := now + 1.5;
        DELETE FROM {s}paychainhq_members m WHERE m.line = $1 AND seen_at < now - 60;
    END IF;
    IF now < line.returning_until THEN
        share := least(1.0, present::float8 / line.expected);
        line.due := greatest(line.due, now);
    END IF;
    step := 1 / (rate * share);
    line.due := greatest(line.due, now - (burst - 1) / rate);
    turns := least(want, ceil(
        rate * share * CASE WHEN members < 50 THEN 0.1 ELSE 0.25 END / members));
    first := line.due - now;
    UPDATE {s}paychainhq_lines l
        SET due = line.due + turns * step, returning_until = line.returning_until,
            expected = line.expected
        WHERE l.name = $1;
END $lease$;
"""

LEASE = """SELECT * FROM {s}paychainhq_lease_1(
    %(name)s, %(member)s, %(want)s::int, %(alone)s::int, %(rate)s::float8, %(burst)s::int)"""


def migration(schema: str | None) -> str:
    """Return the SQL that creates the tables and the function, unless they exist."""
    return _MIGRATION.replace("{s}", prefix(schema))
