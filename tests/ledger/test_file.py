"""SQLite ledger as a file: tasks, threads, processes, forks, kills, and failing disks."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

from paychainhq import ConfigurationError, LedgerError
from paychainhq.ledger import Answer, Entry, MemoryLedger, SQLiteLedger, opening, rows
from paychainhq.ledger.base import State
from paychainhq.ledger.contract.parts import CREATE, intent

DONE = Answer(200, "req_1", b'{"id":"inv_1"}')
REFUSED = Answer(400, None, b"{}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SQLiteLedger]:
    with SQLiteLedger(path) as made:
        yield made


async def record(
    ledger: SQLiteLedger | MemoryLedger, key: str, answer: Answer | None = DONE
) -> Entry | None:
    made = intent(key)
    known = await ledger.begin(made)
    if answer is not None:
        await ledger.finish(made, answer)
    return known


def states(ledger: SQLiteLedger | MemoryLedger) -> dict[str, str]:
    return {entry.key: entry.state for entry in ledger.entries()}


# --- entries ---


async def test_an_entry_is_kept_as_it_was_written(path: Path) -> None:
    """Another object that opens the file reads operation, key, fingerprint, time and response."""
    before = time.time()
    with SQLiteLedger(path) as ledger:
        made = intent("schlüssel", "f" * 64)
        await ledger.begin(made)
        await ledger.finish(made, Answer(201, None, b"\x00\xff"))
    with SQLiteLedger(path) as again:
        (entry,) = again.entries()
        assert entry == await again.begin(intent("schlüssel", "other"))
    assert (entry.credential, entry.attempt) == (made.credential, made.attempt)
    assert (entry.operation, entry.key, entry.fingerprint) == (CREATE, "schlüssel", "f" * 64)
    assert entry.answer == Answer(201, None, b"\x00\xff")
    assert before <= entry.started_at <= time.time()


async def test_many_tasks_at_once_are_few_transactions(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Concurrent tasks share a batch, and each waits for its own entry."""
    groups: list[int] = []
    write = rows.Rows.write

    def counting(store: Any, intents: Any, answers: Any) -> Any:
        groups.append(len(intents) + len(answers))
        return write(store, intents, answers)

    monkeypatch.setattr(rows.Rows, "write", counting)
    assert await asyncio.gather(*(record(ledger, f"k{n}") for n in range(500))) == [None] * 500
    assert sum(groups) == 1000
    assert len(groups) < 100
    assert states(ledger) == {f"k{n}": "finished" for n in range(500)}


async def test_the_same_key_at_once_begins_once(ledger: SQLiteLedger) -> None:
    """One of many tasks that begin a key at once gets None; the others get its entry."""
    known = await asyncio.gather(
        *(ledger.begin(intent("k")) for _ in range(20)),
        *(ledger.begin(intent("j")) for _ in range(5)),
    )
    assert [entry is None for entry in known].count(True) == 2
    assert {entry.state for entry in known if entry is not None} == {"unfinished"}


async def test_a_response_without_an_entry_is_ignored(ledger: SQLiteLedger) -> None:
    """No entry is created for a key that was never begun, or was forgotten meanwhile."""
    await ledger.finish(intent("k"), DONE)
    assert states(ledger) == {}


async def test_entries_can_be_listed_by_state(ledger: SQLiteLedger) -> None:
    """Entries come oldest first, all or those in one state."""
    for key, answer in (("a", DONE), ("b", None), ("c", REFUSED), ("d", DONE)):
        await record(ledger, key, answer)
    found = {state: [e.key for e in ledger.entries(state)] for state in get_args(State)} | {
        None: [e.key for e in ledger.entries()]
    }
    assert found == {
        None: ["a", "b", "c", "d"],
        "finished": ["a", "d"],
        "unfinished": ["b"],
        "refused": ["c"],
    }


async def test_listing_entries_does_not_block_writing(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow reader has no lock and no transaction, and yields all entries of its start."""
    monkeypatch.setattr(rows, "_CHUNK", 2)
    for key in "abcde":
        await record(ledger, key)
    seen = []
    for entry in ledger.entries():
        seen.append(entry.key)
        await record(ledger, entry.key + "x", None) if len(seen) < 3 else None
    assert seen[:5] == list("abcde")


async def test_the_file_can_be_inspected_with_sqlite(path: Path, ledger: SQLiteLedger) -> None:
    """The view `entries` is readable in SQLite's shell."""
    await record(ledger, "a")
    await record(ledger, "b", None)
    other = sqlite3.connect(path)
    rows = other.execute(
        "SELECT operation, key, state, status, request_id, body FROM entries ORDER BY key"
    ).fetchall()
    other.close()
    assert rows == [
        (CREATE, "a", "finished", 200, "req_1", '{"id":"inv_1"}'),
        (CREATE, "b", "unfinished", None, None, None),
    ]


async def test_compacting_removes_old_finished_entries(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only finished entries older than the limit are removed; unfinished ones stay at any age."""
    monkeypatch.setattr(rows, "_CHUNK", 3)
    ahead = 0.0
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    with SQLiteLedger(path) as ledger:
        for number in range(8):
            await record(ledger, f"old-{number}", REFUSED if number % 3 == 0 else DONE)
        await record(ledger, "open", None)
        ahead = 1000.0
        await record(ledger, "young")
        assert ledger.compact(older_than=2000) == 0
        assert ledger.compact(older_than=500) == 8
        assert states(ledger) == {"open": "unfinished", "young": "finished"}
        assert ledger.compact(older_than=0) in (0, 1)
        assert await ledger.begin(intent("old-1")) is None


async def test_forgetting_takes_an_entry_that_is_there(ledger: SQLiteLedger) -> None:
    """A missing entry is a `LookupError`, so that a mistyped key is noticed."""
    await record(ledger, "a", None)
    ledger.forget(CREATE, "a")
    for operation, key in ((CREATE, "a"), ("invoices.cancel", "a")):
        with pytest.raises(LookupError, match="a"):
            ledger.forget(operation, key)


# --- the file itself ---


async def test_only_its_owner_may_read_the_file(path: Path) -> None:
    """New files, SQLite's own included, have mode 0600; an existing file keeps its mode."""
    before = os.umask(0)
    try:
        with SQLiteLedger(path) as ledger:
            await record(ledger, "a")
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
    path.chmod(0o640)
    SQLiteLedger(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(("durable", "synchronous"), [(False, 1), (True, 2)])
async def test_durable_forces_each_batch_to_the_disk(
    path: Path, durable: bool, synchronous: int
) -> None:
    """`synchronous` is FULL with `durable`, else NORMAL; the journal is a WAL in both cases."""
    with SQLiteLedger(path, durable=durable) as ledger:
        connection = ledger._file._open()
        assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("wrong", ["", ":memory:"])
def test_a_path_that_names_no_file_is_refused(wrong: str) -> None:
    """SQLite's names for temporary databases are refused."""
    with pytest.raises(ConfigurationError, match="MemoryLedger"):
        SQLiteLedger(wrong)


def no_sqlite(path: Path) -> None:
    path.write_bytes(b"reference,amount\norder-1,5\n" * 100)


def foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE things (id)")
    connection.commit()
    connection.close()


def of_the_future(path: Path) -> None:
    SQLiteLedger(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (no_sqlite, "another path"),
        (foreign, "another program"),
        (of_the_future, "99"),
        (Path.mkdir, "check that"),
        (None, "No such file"),
    ],
)
def test_an_unusable_file_is_refused_at_once(
    path: Path, make: Callable[[Path], None] | None, match: str
) -> None:
    """The constructor opens the file; its `LedgerError` has the path, and the file is unchanged."""
    if make is None:
        path = path.parent / "no" / "such" / "folder" / "ledger.db"
    else:
        make(path)
    content = path.read_bytes() if path.is_file() else None
    with pytest.raises(LedgerError, match=match) as caught:
        SQLiteLedger(path)
    assert str(path) in str(caught.value)
    assert caught.value.sent == "no"
    assert (path.read_bytes() if path.is_file() else None) == content


async def test_a_closed_ledger_raises(path: Path) -> None:
    """A second `close()` is allowed; any other use is a `LedgerError`."""
    ledger = SQLiteLedger(path)
    await record(ledger, "a")
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        await ledger.begin(intent("b"))
    with pytest.raises(LedgerError, match="closed"):
        list(ledger.entries())


async def test_a_dropped_ledger_closes_itself(path: Path) -> None:
    """A ledger that nobody closed leaves no warning, no thread and no open file."""
    ledger = SQLiteLedger(path)
    await record(ledger, "a")
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "paychainhq-ledger"]
    del ledger
    gc.collect()
    await asyncio.to_thread(thread.join, 30)
    assert not thread.is_alive()
    assert not (path.parent / "ledger.db-wal").exists()
    SQLiteLedger(path)  # never used
    gc.collect()
    assert not (path.parent / "ledger.db-wal").exists()


def test_a_ledger_that_is_open_at_exit_does_not_delay_it(path: Path) -> None:
    """The interpreter ends at once and without output, with the entries on the disk."""
    program = f"""
import asyncio, logging
from paychainhq.ledger import Intent, SQLiteLedger
logging.getLogger("asyncio").setLevel(logging.ERROR)  # debug mode warns of slow callbacks
ledger = SQLiteLedger({str(path)!r})
asyncio.run(ledger.begin(Intent({CREATE!r}, "a", "f", "c", "1")))
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with SQLiteLedger(path) as ledger:
        assert states(ledger) == {"a": "unfinished"}


# --- failures of writing ---


async def test_a_locked_file_is_an_error_and_then_works_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file locked for too long is an error, loses nothing, and the next entry is written."""
    monkeypatch.setattr(opening, "BUSY_TIMEOUT", 0.05)
    with SQLiteLedger(path) as ledger:
        await record(ledger, "a")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="another process has locked it"):
            await ledger.begin(intent("b"))
        other.execute("ROLLBACK")
        other.close()
        assert await record(ledger, "b") is None
        assert states(ledger) == {"a": "finished", "b": "finished"}


async def test_a_full_disk_is_an_error_and_loses_nothing(path: Path) -> None:
    """Recorded entries stay; when there is room again, the same ledger goes on."""
    with SQLiteLedger(path) as ledger:
        await record(ledger, "a")
        connection = ledger._file._open()
        connection.execute("PRAGMA max_page_count = 1")  # SQLite's own simulation of a full disk
        with pytest.raises(LedgerError, match="free space") as caught:
            for number in range(100):
                await record(ledger, f"b{number}", Answer(200, None, bytes(100_000)))
        assert caught.value.sent == "no"
        assert states(ledger)["a"] == "finished"
        connection.execute("PRAGMA max_page_count = 1000000")
        await record(ledger, "c", Answer(200, None, bytes(100_000)))
    with SQLiteLedger(path) as again:
        kept = states(again)
        assert kept["a"] == kept["c"] == "finished"


FULL_DISK = """
import asyncio, resource, signal, sys
from paychainhq import LedgerError
from paychainhq.ledger import Answer, Intent, SQLiteLedger

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

async def main():
    ledger = SQLiteLedger(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    for number in range(10_000):
        try:
            intent = Intent("invoices.create", f"k{number}", "f", "c", "1")
            await ledger.begin(intent)
            await ledger.finish(intent, Answer(200, None, bytes(5000)))
        except LedgerError as error:
            print(error)
            return
        print(f"k{number}", flush=True)

asyncio.run(main())
"""


def test_a_file_that_may_not_grow_is_an_error_and_loses_nothing(path: Path) -> None:
    """The system refuses to write more: each entry reported as recorded is on the disk."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *written, error = done.stdout.splitlines()
    assert "is unusable" in error
    assert len(written) > 10
    with SQLiteLedger(path) as ledger:
        kept = states(ledger)
    assert {key: kept[key] for key in written} == dict.fromkeys(written, "finished")


async def test_a_damaged_file_is_an_error(path: Path) -> None:
    """Overwritten bytes in the middle are an error, and the readable rest can be read."""
    with SQLiteLedger(path) as ledger:
        for number in range(300):
            await record(ledger, f"k{number}", Answer(200, None, bytes(500)))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 4096 // 2 * 4096)
        file.write(random.Random(7).randbytes(size // 3))
    with SQLiteLedger(path) as ledger, pytest.raises(LedgerError, match="damaged"):
        for number in range(300):
            await record(ledger, f"n{number}")
        list(ledger.entries())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission(path: Path) -> None:
    """The error names the missing permission."""
    path.parent.chmod(0o500)
    with pytest.raises(LedgerError, match="Permission"):
        SQLiteLedger(path)


# --- tasks, loops, threads ---


async def test_a_cancelled_task_does_not_affect_its_batch(
    ledger: SQLiteLedger,
) -> None:
    """The other tasks of the batch get their entries."""
    tasks = [asyncio.create_task(record(ledger, f"k{n}", None)) for n in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[1::2] == [None] * 25
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    assert set(states(ledger)) >= {f"k{n}" for n in range(1, 50, 2)}


def test_several_loops_in_several_threads_share_a_ledger(ledger: SQLiteLedger) -> None:
    """Each thread gets its own entries, and each key begins once."""

    def run(thread: int) -> int:
        async def main() -> int:
            known = await asyncio.gather(
                *(record(ledger, f"k{n % 100}", None) for n in range(thread, thread + 150))
            )
            return known.count(None)

        return asyncio.run(main())

    with ThreadPoolExecutor(4) as threads:
        began = sum(threads.map(run, range(4)))
    assert began == len(states(ledger)) == 100


def test_a_loop_that_ends_while_a_batch_is_written(ledger: SQLiteLedger) -> None:
    """The writer goes on for the next loop."""
    for number in range(20):

        async def leave(number: int = number) -> None:
            task = asyncio.create_task(ledger.begin(intent(f"k{number}")))
            await asyncio.sleep(0.001)
            task.cancel()

        asyncio.run(leave())
    assert asyncio.run(record(ledger, "last")) is None
    assert states(ledger)["last"] == "finished"


# --- processes ---


def work_on(path: Path, process: int, count: int) -> None:
    async def main() -> None:
        ledger = SQLiteLedger(path)
        await asyncio.gather(
            *(record(ledger, f"k{(n + process * 20) % count}") for n in range(count))
        )
        ledger.close()

    asyncio.run(main())


def test_several_processes_share_a_file(path: Path) -> None:
    """Processes that create the file and write the same keys lose nothing and double nothing."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work_on, args=(path, process, 300)) for process in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    with SQLiteLedger(path) as ledger:
        assert sorted(states(ledger).items()) == sorted((f"k{n}", "finished") for n in range(300))


RECORDER = """
import asyncio, sys
from paychainhq.ledger import Answer, Intent, SQLiteLedger

async def main():
    ledger = SQLiteLedger(sys.argv[1], durable=sys.argv[2] == "durable")
    async def work(worker):
        number = 0
        while True:
            key = f"{sys.argv[3]}-{worker}-{number}"
            intent = Intent("invoices.create", key, "f", "c", "1")
            await ledger.begin(intent)
            print("begun", key, flush=True)
            await ledger.finish(intent, Answer(200, None, b"{}"))
            print("finished", key, flush=True)
            number += 1
    await asyncio.gather(*(work(n) for n in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("durable", ["durable", "fast"])
def test_recorded_entries_survive_a_kill(path: Path, durable: str) -> None:
    """A kill at any moment leaves a file that opens, with every entry reported as written."""
    chance = random.Random(7)
    printed: dict[str, str] = {}
    for run in range(4):
        command = [sys.executable, "-c", RECORDER, str(path), durable, str(run)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(chance.randrange(40, 400))]
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()
        for line in lines:
            if line.endswith("\n"):
                word, key = line.split()
                printed[key] = {"begun": "unfinished", "finished": "finished"}[word]
        with SQLiteLedger(path) as ledger:
            kept = states(ledger)
        lost = {
            key
            for key, state in printed.items()
            if key not in kept or (state == "finished" and kept[key] != "finished")
        }
        assert not lost


# --- forks ---


def in_child(body: Callable[[], object]) -> int:
    """Run a function in a forked child, and return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            body()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_parent_and_child_go_on_with_handles_of_their_own(path: Path) -> None:
    """After a fork both write, neither closes the other's files, and no entry is lost."""
    with SQLiteLedger(path) as ledger:
        asyncio.run(record(ledger, "before"))
        for number in range(10):
            assert in_child(lambda number=number: asyncio.run(work_in_child(ledger, number))) == 0  # type: ignore[misc]
            asyncio.run(record(ledger, f"parent-{number}"))
        assert states(ledger) == {"before": "finished"} | {
            f"{who}-{n}": "finished" for who in ("parent", "child") for n in range(10)
        }


async def work_in_child(ledger: SQLiteLedger, number: int) -> None:
    assert await ledger.begin(intent("before")) is not None
    await record(ledger, f"child-{number}")
    if number % 2:
        ledger.close()


def test_a_fork_in_the_middle_of_writing(path: Path) -> None:
    """A fork while another thread writes: no child hangs, and no entry of the parent is lost."""
    with SQLiteLedger(path) as ledger:
        stop = threading.Event()
        written: list[str] = []

        async def busy() -> None:
            while not stop.is_set():
                keys = [f"k{len(written) + n}" for n in range(16)]
                await asyncio.gather(*(record(ledger, key) for key in keys))
                written.extend(keys)

        def begin(number: int) -> None:
            asyncio.run(record(ledger, f"child-{number}"))

        thread = threading.Thread(target=lambda: asyncio.run(busy()))
        thread.start()
        try:
            codes = [in_child(partial(begin, n)) for n in range(30)]
        finally:
            stop.set()
            thread.join()
        kept = states(ledger)
    assert codes == [0] * 30
    assert set(kept) == {*written, *(f"child-{n}" for n in range(30))}
    assert set(kept.values()) == {"finished"}
