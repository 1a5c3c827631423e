"""File format of the SQLite ledger: files of earlier versions, and of other programs."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from paychainhq import LedgerError, OutcomeUnknownError
from paychainhq.ledger import Answer, SQLiteLedger, opening
from paychainhq.ledger.contract.parts import CREATE, intent
from tests.support.client import INVOICE, client, invoice
from tests.support.raw_server import RawServer, http_response

pytestmark = pytest.mark.usefixtures("face")

VERSION_1 = """
CREATE TABLE intents (id INTEGER PRIMARY KEY, operation TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
                      started_at REAL NOT NULL, UNIQUE (key, operation));
CREATE TABLE answers (id INTEGER PRIMARY KEY REFERENCES intents (id), status INTEGER NOT NULL, request_id TEXT, body BLOB NOT NULL,
                      answered_at REAL NOT NULL);
CREATE TABLE claims (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL, done_at REAL) WITHOUT ROWID;
CREATE VIEW entries AS
    SELECT operation, key, datetime(started_at, 'unixepoch') AS started_at,
           CASE WHEN status IS NULL THEN 'unfinished' WHEN status BETWEEN 200 AND 299 THEN 'finished' ELSE 'refused' END AS state,
           status, request_id, datetime(answered_at, 'unixepoch') AS answered_at, CAST(body AS TEXT) AS body
    FROM intents LEFT JOIN answers USING (id);
PRAGMA application_id = 1885548593;
PRAGMA user_version = 1;
"""  # noqa: E501
STATES = {"done": "finished", "open": "unfinished", "refused": "refused"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def make_version_1(path: Path, fingerprint: str = "f", count: int = 1) -> None:
    """Write a file as the first version did, with entries in each state and a claim."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(VERSION_1)
    now = time.time()
    for number in range(count):
        for state, status in (("done", 201), ("open", None), ("refused", 400)):
            key = state if number == 0 else f"{state}-{number}"
            made = connection.execute(
                "INSERT INTO intents (operation, key, fingerprint, started_at) VALUES (?, ?, ?, ?)",
                (CREATE, key, fingerprint, now),
            )
            if status is not None:
                connection.execute(
                    "INSERT INTO answers VALUES (?, ?, 'req_1', ?, ?)",
                    (made.lastrowid, status, b"{}", now),
                )
    connection.execute("INSERT INTO claims VALUES ('evt_1', 'me', 0, 1)")
    connection.close()


def structure(path: Path) -> list[tuple[str, list[str]]]:
    """Return the tables and views of a file, each with its columns, and its format."""
    connection = sqlite3.connect(path)
    names = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        )
    ]
    found = [
        (name, [row[1] for row in connection.execute(f"PRAGMA table_info({name})")])
        for name in names
    ]
    version = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return [*found, ("format", [str(version[0])])]


async def test_the_first_format_becomes_the_present_one(path: Path) -> None:
    """All entries and claims are kept, and the file has the structure of a new one."""
    make_version_1(path)
    with SQLiteLedger(path) as ledger:
        assert {entry.key: entry.state for entry in ledger.entries()} == STATES
        assert {(entry.credential, entry.attempt) for entry in ledger.entries()} == {(None, None)}
        assert ledger.claims.claim("evt_1", "other", 60) == "done"
        made = intent("new")
        assert await ledger.begin(made) is None
        await ledger.finish(made, Answer(200, None, b"{}"))
        assert await ledger.begin(intent("refused", "g")) is None
    SQLiteLedger(path.with_name("anew.db")).close()
    assert structure(path) == structure(path.with_name("anew.db"))
    with SQLiteLedger(path) as again:
        assert {entry.key: entry.state for entry in again.entries()} == STATES | {
            "refused": "unfinished",
            "new": "finished",
        }


async def test_an_unfinished_entry_of_the_first_format_is_not_sent(path: Path) -> None:
    """Its credential is unknown, so a person decides; a late result is recorded all the same."""
    make_version_1(path)
    with SQLiteLedger(path) as ledger:
        late = intent("open")
        found = await ledger.begin(late)
        assert found is not None
        assert found.credential is None
        await ledger.finish(late, Answer(400, None, b"{}"))
        assert {entry.key: entry.state for entry in ledger.entries()} == STATES
        await ledger.finish(late, Answer(201, None, b"{}"))
        assert {entry.key: entry.state for entry in ledger.entries()} == STATES | {
            "open": "finished"
        }


async def test_a_call_that_an_earlier_version_left_unfinished(path: Path) -> None:
    """The error names the cause; finished calls return their result."""
    with SQLiteLedger(path) as ledger:
        async with (
            RawServer(http_response(INVOICE)) as server,
            client(server.url, idempotency=ledger) as pay,
        ):
            for key in ("done", "open"):
                await invoice(pay, idempotency_key=key)
    connection = sqlite3.connect(path, isolation_level=None)  # back to the first format
    connection.execute("DELETE FROM answers WHERE id = (SELECT id FROM intents WHERE key = 'open')")
    for column in ("credential", "attempt"):
        connection.execute(f"ALTER TABLE intents DROP COLUMN {column}")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with SQLiteLedger(path) as ledger:
        async with (
            RawServer(http_response(INVOICE)) as server,
            client(server.url, idempotency=ledger) as pay,
        ):
            assert (await invoice(pay, idempotency_key="done")).id == INVOICE["id"]
            with pytest.raises(OutcomeUnknownError, match="earlier version"):
                await invoice(pay, idempotency_key="open")
            assert not server.requests
            ledger.forget(CREATE, "open")
            await invoice(pay, idempotency_key="open")
    assert len(server.requests) == 1


def open_and_record(path: Path, process: int) -> None:
    async def main() -> None:
        with SQLiteLedger(path) as ledger:
            made = intent(f"p{process}")
            assert await ledger.begin(made) is None
            await ledger.finish(made, Answer(200, None, b"{}"))
            assert len(list(ledger.entries())) >= 600

    asyncio.run(main())


@pytest.mark.async_only("no client")
def test_several_processes_migrate_a_file_at_once(path: Path) -> None:
    """Each process can use the file, and no entry is lost."""
    make_version_1(path, count=200)
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=open_and_record, args=(path, number)) for number in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    with SQLiteLedger(path) as ledger:
        assert len(list(ledger.entries())) == 604


@pytest.mark.async_only("no client")
def test_a_migration_that_fails_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure of the second statement undoes the first; the next opening migrates."""
    make_version_1(path)
    before = structure(path)
    with monkeypatch.context() as patch:
        first, _, _ = opening._MIGRATIONS[1].partition(";")
        patch.setattr(
            opening, "_MIGRATIONS", {1: f"{first}; ALTER TABLE nothing ADD COLUMN attempt TEXT"}
        )
        with pytest.raises(LedgerError, match="nothing"):
            SQLiteLedger(path)
    assert structure(path) == before
    with SQLiteLedger(path) as ledger:
        assert {entry.key: entry.state for entry in ledger.entries()} == STATES


@pytest.mark.async_only("no client")
@pytest.mark.parametrize("mode", [0o644, 0o666, 0o640])
def test_an_empty_file_becomes_private(path: Path, mode: int) -> None:
    """An empty file that becomes a ledger is private to its owner, with SQLite's own files."""
    path.touch()
    path.chmod(mode)
    with SQLiteLedger(path) as ledger:
        asyncio.run(ledger.begin(intent("k")))
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert len(list(path.parent.iterdir())) == 3
    assert modes == {0o600}
    path.chmod(0o640)
    SQLiteLedger(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
