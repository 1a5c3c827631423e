"""Forks in several threads amid other threads' work, and forks unknown to Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.forks import SETTLE
from tests.sync.support import ThreadedServer, echo, run_program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

PROGRAM = """
import faulthandler, gc, os, sys, threading, time
from paychainhq.ledger import SQLiteLedger

faulthandler.dump_traceback_later(100, exit=True)
url, folder = sys.argv[1], sys.argv[2]

def make(**settings):
    from paychainhq_sync import PayChainHQ  # ledgers must be safe without this import
    return PayChainHQ(api_key="k", base_url=url, retry=None, timeout=60, **settings)

def check(pay, name):
    got = pay.invoices.get(name).id
    assert got == name, (got, name)

def fork(in_child):
    \"\"\"Run a function in a forked child, and assert that it succeeds.\"\"\"
    pid = os.fork()
    if pid == 0:
        code = 66
        try:
            in_child()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status

def together(*works):
    failures = []
    def run(work):
        try:
            work()
        except BaseException as error:
            failures.append(error)
            raise
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures

def use(*ledgers):
    for ledger in ledgers:
        assert ledger.claims.claim(f"{os.getpid()}-{time.monotonic_ns()}", "h", 60) == "claimed"
        list(ledger.entries())
"""

TWO_FORK = """
ledgers = [SQLiteLedger(f"{folder}/{n}.db") for n in range(3)]
def forks():
    for _ in range(20):
        fork(lambda: use(*ledgers))
        use(*ledgers)
def writes():
    for _ in range(100):
        use(*reversed(ledgers))
together(forks, forks, forks, writes)
use(*ledgers)
"""

INTERLEAVED = """
from paychainhq._core.fork import close_for_fork
events = []

class Closer:
    \"\"\"Closer that yields to other threads after each release.\"\"\"

    def __init__(self, name):
        self.name, self.lock = name, threading.RLock()

    def before_fork(self):
        self.lock.acquire()
        events.append((threading.get_ident(), f"before {self.name}"))

    def after_fork_in_parent(self):
        events.append((threading.get_ident(), f"after {self.name}"))
        self.lock.release()
        time.sleep(0.02)

    def forget_inherited(self):
        return None

closers = [Closer("a"), Closer("b")]
for closer in closers:
    close_for_fork(closer)
def forks():
    for _ in range(5):
        fork(lambda: None)
together(forks, forks)
for n in range(0, len(events), 4):
    assert [name for _, name in events[n:n + 4]] == ["before a", "before b", "after a", "after b"], events
    assert len({thread for thread, _ in events[n:n + 4]}) == 1, events
assert len(events) == 40
for closer in closers:
    assert closer.lock.acquire(timeout=30)
"""  # noqa: E501

OPENED_AND_COLLECTED = """
kept = SQLiteLedger(f"{folder}/kept.db")
going = True
def opens(name):
    n = 0
    while going:
        n += 1
        ledger = SQLiteLedger(f"{folder}/{name}.db")
        use(ledger)
        if n % 3 == 0:
            ledger.close()
        elif n % 3 == 1:
            ledger.cycle = ledger
def forks():
    global going
    try:
        for _ in range(30):
            fork(lambda: use(kept, SQLiteLedger(f"{folder}/a.db"), SQLiteLedger(f"{folder}/b.db")))
            use(kept)
            gc.collect()
    finally:
        going = False
together(forks, lambda: opens("a"), lambda: opens("b"))
"""

ENGINE_STARTS = """
going = True
def calls(name):
    n = 0
    while going:
        n += 1
        with make() as pay:
            check(pay, f"{name}{n}")
def in_child():
    with make() as pay:
        check(pay, "child")
    check(shared, "child")
shared = make()
def forks():
    global going
    try:
        for _ in range(30):
            fork(in_child)
            check(shared, "parent")
    finally:
        going = False
together(forks, lambda: calls("a"), lambda: calls("b"))
shared.close()
"""

IN_A_BLOCK = """
with SQLiteLedger(f"{folder}/l.db") as ledger, make(idempotency=ledger) as pay:
    check(pay, "before")
    def forks():
        for n in range(10):
            fork(lambda: (use(ledger), check(pay, f"child{n}")))
            use(ledger)
            check(pay, f"parent{n}")
    together(forks, forks)
    use(ledger)
"""

PROGRAMS = {
    "in two threads, whose hooks interleave": INTERLEAVED,
    "in three threads, with three ledgers open": TWO_FORK,
    "while ledgers are opened and collected": OPENED_AND_COLLECTED,
    "while the background thread starts and ends": ENGINE_STARTS,
    "inside the block of a ledger": IN_A_BLOCK,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_forks_amid_other_threads(name: str, tmp_path: Path) -> None:
    """Parent and children continue, and no process hangs."""
    with ThreadedServer(echo) as server:
        done = run_program(
            PROGRAM + PROGRAMS[name] + "print('ended')", server.url, str(tmp_path), timeout=110
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


# --- C's fork() ---

UNTOLD = (
    SETTLE
    + """
import ctypes
libc = ctypes.PyDLL(None)

def check_in_child(pay, name):
    settle()
    pid = libc.fork()
    if pid == 0:
        code = 66
        try:
            in_child(pay, name)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
"""
)

UNTOLD_SYNC = (
    UNTOLD
    + """
def in_child(pay, name):
    began = time.monotonic()
    together(lambda: check(pay, name + "a"), lambda: check(pay, name + "b"))
    with make() as another:
        check(another, name + "c")
    pay.close()

pay = make()
check(pay, "before")
for n in range(5):
    check_in_child(pay, f"child{n}")
    check(pay, f"parent{n}")
pay.close()
unused = make()
check_in_child(unused, "child")
check(unused, "parent")
unused.close()
"""
)

UNTOLD_ASYNC = (
    UNTOLD
    + """
import asyncio
import paychainhq

async def get(pay, name):
    assert (await pay.invoices.get(name)).id == name

async def go_on(pay, name):
    await get(pay, name)
    await pay.close()

def in_child(pay, name):
    if name.endswith("0"):
        asyncio.run(pay.close())
    elif name.endswith("1"):
        global shared
        del pay, shared
        gc.collect()
    else:
        asyncio.run(go_on(pay, name))

def in_child_of(name):
    check_in_child(shared, name)

shared = paychainhq.PayChainHQ(api_key="k", base_url=url, retry=None, timeout=60)
with asyncio.Runner() as runner:
    runner.run(get(shared, "before"))
    for n in range(5):
        in_child_of(f"child{n}")
        runner.run(get(shared, f"parent{n}"))
    runner.run(shared.close())
"""
)


@pytest.mark.skipif(sys.platform == "win32", reason="no C fork")
@pytest.mark.parametrize("source", [UNTOLD_SYNC, UNTOLD_ASYNC], ids=["sync", "async"])
def test_a_fork_unknown_to_python(source: str, tmp_path: Path) -> None:
    """The child makes its own thread and connections, and the parent keeps its one connection."""
    with ThreadedServer(echo) as server:
        done = run_program(
            PROGRAM + source + "print('ended')", server.url, str(tmp_path), timeout=110
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")
        peers = {request.target.rpartition("/")[2] for request in server.requests}
        assert {"before", "parent0", "parent4"} <= peers
