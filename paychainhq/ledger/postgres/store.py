"""Store and claims of a PostgreSQL ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from paychainhq.ledger.base import Answer, Entry, Intent, State
from paychainhq.ledger.claims import Claimed
from paychainhq.ledger.postgres import statements
from paychainhq.ledger.postgres.connection import Connection, prepared

_CHUNK = 500


class PostgresStore:
    """Store of a PostgreSQL ledger.

    Args:
        connection: The connection.
        durable: Wait for the server's disk.
    """

    name = "in PostgreSQL"

    def __init__(self, connection: Connection, *, durable: bool) -> None:
        self._connection = connection
        self._durable = durable
        self._queries: dict[str, bytes] = {}

    def execute(self, statement: str, **arguments: object) -> Any:
        """Execute a statement, and return its cursor."""
        query = self._queries.get(statement)
        if query is None:
            query = self._queries[statement] = prepared(
                statement, self._connection.schema, durable=self._durable
            )
        return self._connection.execute(query, arguments)

    def write(
        self, intents: Sequence[Intent], answers: Sequence[tuple[Intent, Answer]]
    ) -> list[Entry | None] | None:
        """Write answers and intents, new ones in one round trip.

        Returns:
            The previous entry of each intent, or None if all intents are new.
        """
        answered = _answers(answers) if answers else {}
        if not intents:
            self.execute(statements.ANSWERS, **answered)
            return None
        found: list[Entry | None] = [None] * len(intents)
        rest: Sequence[int] = range(len(intents))
        while rest:
            # One intent of each key: others with the key find what this one made of the entry.
            firsts: dict[tuple[str, str], int] = {}
            for number in rest:
                firsts.setdefault((intents[number].key, intents[number].operation), number)
            given = _intents([intents[number] for number in firsts.values()])
            made = self.execute(
                statements.BOTH if answered else statements.INTENTS, **given, **answered
            )
            answered = {}
            if made.rowcount == len(intents):
                return None
            new = set(made.fetchall())
            done = set(new)
            if len(new) < len(firsts):
                given = _intents(
                    [intents[number] for name, number in firsts.items() if name not in new]
                )
                for starts, was_late, *row in self.execute(statements.BEGIN_KNOWN, **given):
                    entry = _entry(row)
                    name = (entry.key, entry.operation)
                    if not was_late:
                        done.add(name)
                        found[firsts[name]] = None if starts else entry
            settled = {firsts[name] for name in done}
            rest = [number for number in rest if number not in settled]
        return found

    def entries(self, state: State | None) -> Iterator[Entry]:
        """Yield the entries in a state, or all, oldest first."""
        after = 0
        while rows := self.execute(
            statements.READ, after=after, state=state, limit=_CHUNK
        ).fetchall():
            yield from (_entry(row[1:]) for row in rows)
            after = rows[-1][0]

    def compact(self, older_than: float) -> int:
        """Remove entries that were answered, and claims that were settled, seconds ago."""
        self.execute(statements.COMPACT_CLAIMS, age=older_than)
        removed = 0
        after: int | None = 0
        while after is not None:
            count, after = self.execute(
                statements.COMPACT, age=older_than, after=after, limit=_CHUNK
            ).fetchone()
            removed += count
        return removed

    def forget(self, operation: str, key: str) -> bool:
        """Remove an entry, and return whether there was one."""
        (count,) = self.execute(statements.FORGET, k=key, o=operation).fetchone()
        return bool(count)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class PostgresClaims:
    """Claims in the tables of a ledger.

    Args:
        store: The store.
        ledger: The ledger. This reference keeps it alive, since a collected ledger closes its
            connection.
    """

    def __init__(self, store: PostgresStore, ledger: object) -> None:
        self._store = store
        self._ledger = ledger

    def claim(self, name: str, holder: str, lease: float) -> Claimed:
        """Claim a name; a repeated claim of one holder succeeds, as a statement may be repeated."""
        taken = self._store.execute(statements.CLAIM, name=name, holder=holder, lease=lease)
        if taken.rowcount == 1:
            return "claimed"
        return "done" if self._store.execute(statements.IS_DONE, name=name).rowcount else "held"

    def settle(self, name: str) -> None:
        self._store.execute(statements.SETTLE, name=name)

    def release(self, name: str, holder: str) -> None:
        self._store.execute(statements.RELEASE, name=name, holder=holder)


# --- arguments and rows ---


def _intents(intents: Sequence[Intent]) -> dict[str, object]:
    return {
        "k": _texts([intent.key for intent in intents]),
        "o": _texts([intent.operation for intent in intents]),
        "f": _texts([intent.fingerprint for intent in intents]),
        "c": _texts([intent.credential for intent in intents]),
        "a": _texts([intent.attempt for intent in intents]),
    }


def _answers(answers: Sequence[tuple[Intent, Answer]]) -> dict[str, object]:
    return {
        "ak": _texts([intent.key for intent, _ in answers]),
        "ao": _texts([intent.operation for intent, _ in answers]),
        "af": _texts([intent.fingerprint for intent, _ in answers]),
        "aa": _texts([intent.attempt for intent, _ in answers]),
        "as": _array(str(answer.status) for _, answer in answers),
        "ar": _array(
            "NULL" if answer.request_id is None else _quoted(answer.request_id)
            for _, answer in answers
        ),
        "ab": _array(f'"\\\\x{answer.body.hex()}"' for _, answer in answers),
    }


# An array in the form of a text: psycopg's adaptation of lists costs three times as much.


def _texts(values: list[str]) -> str:
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') > 2 * len(values) - 2:
        return _array(map(_quoted, values))
    return f'{{"{joined}"}}'


def _array(elements: Iterable[str]) -> str:
    return "{" + ",".join(elements) + "}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _entry(row: Sequence[Any]) -> Entry:
    operation, key, fingerprint, started_at, credential, attempt, age, *answer = row
    return Entry(
        operation,
        key,
        fingerprint,
        started_at,
        None if answer[0] is None else Answer(*answer),
        credential,
        attempt,
        age=age,
    )
