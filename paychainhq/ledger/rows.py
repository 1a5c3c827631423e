"""Rows of an SQLite ledger: statements that write, read and remove entries."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Any

from paychainhq.ledger.base import Answer, Entry, Intent, State
from paychainhq.ledger.file import LedgerFile
from paychainhq.ledger.rules import change_of

_COLUMNS = (
    "id, operation, key, fingerprint, started_at, credential, attempt, status, request_id, body"
    " FROM intents LEFT JOIN answers USING (id)"
)
_IN_STATE: dict[State | None, str] = {
    None: "true",
    "unfinished": "status IS NULL",
    "finished": "status BETWEEN 200 AND 299",
    "refused": "status NOT BETWEEN 200 AND 299",
}
# The usual answer: the entry has none, and belongs to the same attempt, so has its fingerprint.
_ANSWER = (
    "INSERT OR IGNORE INTO answers (id, status, request_id, body, answered_at)"
    " SELECT id, ?, ?, ?, ? FROM intents WHERE key = ? AND operation = ? AND attempt = ?"
)
# Any other answer: a success is also recorded for another attempt, and over a refusal.
_LATE_SUCCESS = (
    "INSERT INTO answers (id, status, request_id, body, answered_at)"
    " SELECT id, ?, ?, ?, ? FROM intents WHERE key = ? AND operation = ? AND fingerprint = ?"
    " ON CONFLICT (id) DO UPDATE SET status = excluded.status, request_id = excluded.request_id, "
    "body = excluded.body,"
    " answered_at = excluded.answered_at WHERE answers.status NOT BETWEEN 200 AND 299"
)
_INTENT = (
    "INSERT INTO intents (operation, key, fingerprint, started_at, credential, attempt) VALUES (?, "
    "?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)
_CHUNK = 500


class Rows:
    """Store of an SQLite ledger.

    Args:
        file: The file.
    """

    def __init__(self, file: LedgerFile) -> None:
        self.name = file.path
        self._file = file

    def write(
        self, intents: Sequence[Intent], answers: Sequence[tuple[Intent, Answer]]
    ) -> list[Entry | None] | None:
        """Write answers and intents in one transaction.

        Returns:
            The previous entry of each intent, or None if all intents are new.
        """
        now = time.time()
        with self._file.transaction() as connection:
            if answers:
                before = connection.total_changes
                connection.executemany(
                    _ANSWER,
                    [(*_row(intent, answer, now), intent.attempt) for intent, answer in answers],
                )
                if connection.total_changes - before < len(answers):
                    late = [
                        (*_row(intent, answer, now), intent.fingerprint)
                        for intent, answer in answers
                        if answer.state == "finished"
                    ]
                    connection.executemany(_LATE_SUCCESS, late)
            if not intents:
                return None
            before = connection.total_changes
            connection.executemany(
                _INTENT,
                [
                    (
                        intent.operation,
                        intent.key,
                        intent.fingerprint,
                        now,
                        intent.credential,
                        intent.attempt,
                    )
                    for intent in intents
                ],
            )
            made = connection.total_changes - before
            if made == len(intents):
                return None
            (last,) = connection.execute("SELECT last_insert_rowid()").fetchone()
            new = set(range(last - made + 1, last + 1))
            return [_begin(connection, intent, new, now) for intent in intents]

    def entries(self, state: State | None) -> Iterator[Entry]:
        """Yield the entries in a state, or all, oldest first."""
        last = 0
        while True:
            with self._file.connected() as connection:
                rows = connection.execute(
                    f"SELECT {_COLUMNS} WHERE id > ? AND {_IN_STATE[state]}"
                    f" ORDER BY id LIMIT {_CHUNK}",
                    (last,),
                ).fetchall()
            if not rows:
                return
            yield from (_entry(row[1:]) for row in rows)
            last = rows[-1][0]

    def compact(self, older_than: float) -> int:
        """Remove entries that were answered, and claims that were settled, seconds ago."""
        before = time.time() - older_than
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM claims WHERE done_at < ?", (before,))
        removed = 0
        while True:
            # Short transactions, so that other writers do not wait.
            with self._file.transaction() as connection:
                ids = connection.execute(
                    f"SELECT id FROM answers WHERE answered_at < ? LIMIT {_CHUNK}",  # noqa: S608  # nosec B608
                    (before,),
                ).fetchall()
                _remove(connection, ids)
            if not ids:
                return removed
            removed += len(ids)

    def forget(self, operation: str, key: str) -> bool:
        """Remove an entry, and return whether there was one."""
        with self._file.transaction() as connection:
            ids = connection.execute(
                "SELECT id FROM intents WHERE key = ? AND operation = ?", (key, operation)
            ).fetchall()
            _remove(connection, ids)
        return bool(ids)

    def close(self) -> None:
        self._file.close()


def _row(intent: Intent, answer: Answer, now: float) -> tuple[Any, ...]:
    return answer.status, answer.request_id, answer.body, now, intent.key, intent.operation


def _begin(
    connection: sqlite3.Connection, intent: Intent, new: set[int], now: float
) -> Entry | None:
    """Apply the rules to an intent of a batch with old entries; return the old one, or None."""
    row = connection.execute(
        f"SELECT {_COLUMNS} WHERE key = ? AND operation = ?", (intent.key, intent.operation)
    ).fetchone()
    id_, entry = row[0], _entry(row[1:])
    if id_ in new:  # inserted for the first intent of this batch with the key
        new.remove(id_)
        return None
    change = change_of(entry, intent)
    if change == "start":
        connection.execute(
            "UPDATE intents SET fingerprint = ?, started_at = ?, credential = ?, attempt = ? WHERE "
            "id = ?",
            (intent.fingerprint, now, intent.credential, intent.attempt, id_),
        )
        connection.execute("DELETE FROM answers WHERE id = ?", (id_,))
        return None
    if change == "take_over":
        connection.execute("UPDATE intents SET attempt = ? WHERE id = ?", (intent.attempt, id_))
    return entry


def _remove(connection: sqlite3.Connection, ids: list[tuple[int]]) -> None:
    connection.executemany("DELETE FROM answers WHERE id = ?", ids)
    connection.executemany("DELETE FROM intents WHERE id = ?", ids)


def _entry(row: tuple[Any, ...]) -> Entry:
    operation, key, fingerprint, started_at, credential, attempt, status, request_id, body = row
    answer = None if status is None else Answer(status, request_id, body)
    return Entry(operation, key, fingerprint, started_at, answer, credential, attempt)
