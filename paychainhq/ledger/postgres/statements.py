"""Statements of a PostgreSQL ledger. Each is one transaction, and may be executed twice.

Begin and finish only insert rows, so that they leave none to vacuum. A new start of a refused entry
gives it a new id, and an answer belongs to an id: a late one is not found under the new start. A
refusal belongs to an attempt, too, so it ends when another attempt takes the entry over; a success
has an empty attempt, and comes first.

All statements lock rows in the order of their keys, so that none waits for another crosswise.
Subqueries per row are always index look-ups: a plan that was made for empty tables stays good.
"""

from __future__ import annotations

_ANSWER = """LEFT JOIN LATERAL (
    SELECT status, request_id, body FROM {s}paychainhq_answers
    WHERE id = i.id AND attempt IN ('', i.attempt) ORDER BY attempt LIMIT 1) a ON true"""
_ENTRY = """operation, key, fingerprint, extract(epoch FROM started_at)::float8, credential,
    attempt, extract(epoch FROM clock_timestamp() - started_at)::float8, status, request_id, body"""

PARTS = {"{answer}": _ANSWER, "{entry}": _ENTRY}
"""Parts of statements: the join with the answer of an intent `i`, and the columns of an entry."""

_NEW = """INSERT INTO {s}paychainhq_intents (key, operation, fingerprint, credential, attempt)
SELECT * FROM unnest(%(k)s::text[], %(o)s::text[], %(f)s::text[], %(c)s::text[], %(a)s::text[])
    AS g (k, o, f, c, a)
WHERE {commit} ORDER BY k COLLATE "C", o COLLATE "C"
ON CONFLICT (key, operation) DO NOTHING RETURNING key, operation"""
_ANSWERS = """INSERT INTO {s}paychainhq_answers (id, attempt, status, request_id, body)
SELECT i.id, CASE WHEN s BETWEEN 200 AND 299 THEN '' ELSE a END, s, r, b
FROM unnest(%(ak)s::text[], %(ao)s::text[], %(af)s::text[], %(aa)s::text[], %(as)s::int2[],
    %(ar)s::text[], %(ab)s::bytea[]) AS g (k, o, f, a, s, r, b)
CROSS JOIN LATERAL (SELECT id, fingerprint, attempt FROM {s}paychainhq_intents
    WHERE key = k AND operation = o OFFSET 0) i
WHERE i.fingerprint = f AND (s BETWEEN 200 AND 299 OR i.attempt = a) AND {commit}
ORDER BY 1, 2 ON CONFLICT DO NOTHING"""

INTENTS = _NEW
"""Insertion of intents with different keys; returns key and operation of the new ones."""

ANSWERS = _ANSWERS
"""Insertion of answers. Any that the rules ignore is not inserted, or not found."""

BOTH = f"WITH answered AS ({_ANSWERS}) {_NEW}"
"""Insertion of answers and intents. They see the same state, so belong to different attempts."""

BEGIN_KNOWN = """WITH known AS MATERIALIZED (
    SELECT i.*, a.status, a.request_id, a.body, g.f, g.c, g.a,
        a.status IS NULL AND i.fingerprint = g.f AND i.credential = g.c AS takes,
        coalesce(a.status NOT BETWEEN 200 AND 299, false) AS starts
    FROM unnest(%(k)s::text[], %(o)s::text[], %(f)s::text[], %(c)s::text[], %(a)s::text[])
        AS g (k, o, f, c, a)
    CROSS JOIN LATERAL (SELECT * FROM {s}paychainhq_intents
        WHERE key = k AND operation = o OFFSET 0) i
    {answer}
), locked AS MATERIALIZED (
    SELECT k.id, k.f, k.c, k.a, k.starts FROM known k
    JOIN {s}paychainhq_intents i ON i.id = k.id AND i.attempt = k.attempt
    WHERE (k.takes OR k.starts) AND {commit} ORDER BY k.key, k.operation FOR UPDATE OF i
), taken AS (
    UPDATE {s}paychainhq_intents i SET attempt = l.a FROM locked l
    WHERE i.id = l.id AND NOT l.starts RETURNING i.key, i.operation
), started AS (
    UPDATE {s}paychainhq_intents i SET id = DEFAULT, fingerprint = l.f, credential = l.c,
        attempt = l.a, started_at = clock_timestamp() FROM locked l
    WHERE i.id = l.id AND l.starts RETURNING i.key, i.operation
), changed AS (SELECT * FROM taken UNION ALL SELECT * FROM started)
SELECT starts, (takes OR starts) AND (key, operation) NOT IN (SELECT * FROM changed),
    {entry} FROM known"""
"""Change of known entries by the rules.

Returns for each whether it was refused and starts again, whether another process was faster so
that nothing was changed, and the entry as it was before.
"""

READ = """SELECT id, {entry} FROM {s}paychainhq_intents i {answer}
WHERE i.id > %(after)s AND (%(state)s::text IS NULL OR %(state)s =
    CASE WHEN status IS NULL THEN 'unfinished'
        WHEN status BETWEEN 200 AND 299 THEN 'finished' ELSE 'refused' END)
ORDER BY i.id LIMIT %(limit)s"""

COMPACT = """WITH old AS MATERIALIZED (
    SELECT id FROM {s}paychainhq_answers a
    WHERE id > %(after)s AND answered_at < now() - make_interval(secs => %(age)s)
        AND NOT EXISTS (SELECT FROM {s}paychainhq_answers WHERE id = a.id
            AND answered_at >= now() - make_interval(secs => %(age)s))
    ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), entries AS (
    DELETE FROM {s}paychainhq_intents i USING (SELECT DISTINCT id FROM old) o
    WHERE i.id = o.id AND EXISTS (
        SELECT FROM {s}paychainhq_answers WHERE id = i.id AND attempt IN ('', i.attempt))
    RETURNING i.id
), answers AS (
    DELETE FROM {s}paychainhq_answers a USING (SELECT DISTINCT id FROM old) o WHERE a.id = o.id
)
SELECT (SELECT count(*) FROM entries), (SELECT max(id) FROM old)"""

FORGET = """WITH entry AS (
    DELETE FROM {s}paychainhq_intents WHERE key = %(k)s AND operation = %(o)s RETURNING id
), answers AS (
    DELETE FROM {s}paychainhq_answers a USING entry e WHERE a.id = e.id
)
SELECT count(*) FROM entry"""

# A handler's own transaction may have locked the row of a valid claim: it is only read.
CLAIM = """INSERT INTO {s}paychainhq_claims AS c (name, holder, until)
SELECT %(name)s, %(holder)s, clock_timestamp() + make_interval(secs => %(lease)s)
WHERE NOT EXISTS (SELECT FROM {s}paychainhq_claims WHERE name = %(name)s
    AND (done_at IS NOT NULL OR (until > clock_timestamp() AND holder <> %(holder)s)))
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE c.done_at IS NULL AND (c.until <= clock_timestamp() OR c.holder = excluded.holder)"""

IS_DONE = "SELECT FROM {s}paychainhq_claims WHERE name = %(name)s AND done_at IS NOT NULL"

SETTLE = """INSERT INTO {s}paychainhq_claims AS c (name, holder, until, done_at)
VALUES (%(name)s, '', clock_timestamp(), clock_timestamp())
ON CONFLICT (name) DO UPDATE SET done_at = excluded.done_at WHERE c.done_at IS NULL"""

RELEASE = """DELETE FROM {s}paychainhq_claims
WHERE name = %(name)s AND holder = %(holder)s AND done_at IS NULL"""

COMPACT_CLAIMS = """DELETE FROM {s}paychainhq_claims
WHERE done_at < clock_timestamp() - make_interval(secs => %(age)s)"""

BARRIER = b"SELECT pg_logical_emit_message(true, 'paychainhq-ledger', '')"
"""Empty commit, which waits until synchronous replicas have all earlier ones.

If a connection is lost while its commit waits for a replica, the rows are there, and the repeated
statement has nothing to write: it would return before the replica has them.
"""

VERSION = "SELECT max(version) FROM {s}paychainhq_schema"
