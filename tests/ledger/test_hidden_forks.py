"""Forks that Python does not see (C's `fork`, as in uWSGI): parent and child share one ledger."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.forks import SETTLE

PROGRAM = (
    SETTLE
    + """
import asyncio, ctypes, os, sys, threading, time
from paychainhq import LedgerError
from paychainhq.ledger import Answer, Intent, SQLiteLedger

path = sys.argv[1]
hidden_fork = ctypes.PyDLL(None).fork  # unlike CDLL it keeps the interpreter lock, which another thread might have in the child

async def record(ledger, *keys):
    async def one(key):
        intent = Intent("invoices.create", key, "f", "c", f"{os.getpid()} {key}")
        found = await ledger.begin(intent)
        await ledger.finish(intent, Answer(200, None, b"{}"))
        return found
    return await asyncio.gather(*(one(key) for key in keys))

def keys(ledger):
    return {entry.key for entry in ledger.entries("finished")}

def quiet_fork():
    settle()
    return hidden_fork()

def forked(body):
    child = quiet_fork()
    if child == 0:
        code = 1
        try:
            body()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child

def joined(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""  # noqa: E501
)

BOTH_GO_ON = """
ledger = SQLiteLedger(path)
other = SQLiteLedger(path)  # what one inherited handle leaves in SQLite's memory would mislead the next one
if sys.argv[2] == "used":
    asyncio.run(record(ledger, "before"))
    asyncio.run(record(other, "before too"))

def child(number):
    found = asyncio.run(record(ledger, *(f"child-{number}-{n}" for n in range(50))))
    assert found == [None] * 50
    asyncio.run(record(other, f"other-{number}"))
    assert ledger.claims.claim(f"evt-{number}", "child", 60) == "claimed"
    if number % 2:
        ledger.close()
        other.close()

children = [forked(lambda number=number: child(number)) for number in range(4)]
for n in range(50):
    asyncio.run(record(ledger, f"parent-{n}"))
assert [joined(child) for child in children] == [0] * 4
asyncio.run(record(ledger, "after"))
wanted = {f"parent-{n}" for n in range(50)} | {f"child-{c}-{n}" for c in range(4) for n in range(50)} | {"after"}
wanted |= {f"other-{c}" for c in range(4)} | ({"before", "before too"} if sys.argv[2] == "used" else set())
assert keys(ledger) == wanted, keys(ledger) ^ wanted
other.close()
ledger.close()
with SQLiteLedger(path) as again:
    assert keys(again) == wanted
    assert again._file._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
print("done")
"""  # noqa: E501

A_LOOP_GOES_ON = """
async def main():
    ledger = SQLiteLedger(path)
    await record(ledger, "before")
    child = quiet_fork()
    if child == 0:
        code = 1
        try:
            new = asyncio.new_event_loop()
            asyncio._set_running_loop(None)
            new.run_until_complete(record(ledger, "child"))
            code = 0
        finally:
            os._exit(code)
    await record(ledger, "parent")
    assert joined(child) == 0
    assert keys(ledger) == {"before", "parent", "child"}
    ledger.close()
asyncio.run(main())
print("done")
"""

IN_USE = """
ledger = SQLiteLedger(path)
asyncio.run(record(ledger, "before"))
holding, go_on = threading.Event(), threading.Event()

def hold():
    with ledger._file.transaction():
        holding.set()
        go_on.wait()

thread = threading.Thread(target=hold)
thread.start()
holding.wait()

def child():
    for use in (lambda: asyncio.run(record(ledger, "child")), lambda: SQLiteLedger(path), lambda: list(ledger.entries())):
        try:
            use()
        except LedgerError as error:
            assert "after the fork" in str(error), error
        else:
            raise AssertionError("the file was used")
    with SQLiteLedger(path + ".other") as other:
        asyncio.run(record(other, "child"))
    ledger.close()

code = joined(forked(child))
go_on.set()
thread.join()
assert code == 0
asyncio.run(record(ledger, "after"))
assert keys(ledger) == {"before", "after"}
ledger.close()
print("done")
"""  # noqa: E501

TOLD_AFTERWARDS = """
ledger = SQLiteLedger(path)
asyncio.run(record(ledger, "before"))

def child():  # uWSGI tells Python of its fork in the child alone
    ctypes.pythonapi.PyOS_AfterFork_Child()
    asyncio.run(record(ledger, "child"))

child_ = forked(child)
assert joined(child_) == 0
asyncio.run(record(ledger, "after"))
assert keys(ledger) == {"before", "child", "after"}
ledger.close()
print("done")
"""


def run(program: str, path: Path, *arguments: str) -> None:
    command = [sys.executable, "-c", PROGRAM + program, str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


@pytest.mark.parametrize("state", ["used", "unused"])
def test_parent_and_children_go_on(tmp_path: Path, state: str) -> None:
    """Four children and their parent write at once through two ledgers on one file."""
    run(BOTH_GO_ON, tmp_path / "ledger.db", state)


def test_a_child_of_a_running_loop(tmp_path: Path) -> None:
    """The child of a process with a running loop records on a loop of its own."""
    run(A_LOOP_GOES_ON, tmp_path / "ledger.db")


def test_a_file_that_was_in_use_is_not_touched(tmp_path: Path) -> None:
    """A child forked in the middle of a transaction gets an error for that file only."""
    run(IN_USE, tmp_path / "ledger.db")


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="Python 3.13 aborts where only the child is told of a fork"
)
def test_a_fork_reported_to_the_child_only(tmp_path: Path) -> None:
    """The file is not closed before the fork; the child closes the inherited one."""
    run(TOLD_AFTERWARDS, tmp_path / "ledger.db")
