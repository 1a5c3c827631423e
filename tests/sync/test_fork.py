"""Forks after the client was used: each process has its own loop and connections."""

from __future__ import annotations

import os

import pytest

from tests.support.often import often
from tests.sync.support import CERTIFICATE, ThreadedServer, echo, run_program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

CLIENT = """
import os, ssl, sys, threading
from paychainhq_sync import PayChainHQ, RetryPolicy

def make(url, certificate):
    context = ssl.create_default_context(cafile=certificate) if url.startswith("https") else None
    return PayChainHQ(api_key="k", base_url=url, ssl=context, timeout=20, retry=None)

def check(pay, name):
    got = pay.invoices.get(name).id
    if got != name:
        os.write(2, f"{name} got {got}\\n".encode())
        os._exit(66)

def leave(how):
    if how == "os._exit":
        os._exit(0)
    elif how == "sys.exit":
        sys.exit(0)
    elif how == "exception":
        sys.excepthook = lambda *_: None
        raise RuntimeError

def expected(how):
    return 1 if how == "exception" else 0
"""

CHILDREN = (
    CLIENT
    + """
url, certificate, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
pay = make(url, certificate)
check(pay, "before")
running = {}

def reap():
    pid, status = os.wait()
    code = os.waitstatus_to_exitcode(status)
    assert code == expected(running.pop(pid)), code

for n in range(count):
    how = ("os._exit", "sys.exit", "exception", "end")[n % 4]
    pid = os.fork()
    if pid == 0:
        check(pay, f"child{n}a")
        check(pay, f"child{n}b")
        if n % 3 == 0:
            pay.close()
        leave(how)
        sys.exit(0)
    running[pid] = how
    check(pay, f"parent{n}")
    if len(running) == 8:
        reap()
while running:
    reap()
check(pay, "after")
pay.close()
print("threads left:", [t.name for t in threading.enumerate() if t is not threading.main_thread()])
"""
)


FORKS = often(200)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_many_children(tls: bool) -> None:
    """Each child gets its own responses, and the parent keeps its one connection.

    Children leave in four different ways, and none hangs.
    """
    with ThreadedServer(echo, tls=tls) as server:
        done = run_program(CHILDREN, server.url, str(CERTIFICATE), str(FORKS), timeout=110)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "threads left: []\n"
        names = [request.target.rpartition("/")[2] for request in server.requests]
        assert sorted(names) == sorted(
            [
                "before",
                "after",
                *(f"parent{n}" for n in range(FORKS)),
                *(f"child{n}{half}" for n in range(FORKS) for half in "ab"),
            ]
        )
        # One connection for the parent, and one for each child.
        assert server.accepted == FORKS + 1


UNUSED = (
    CLIENT
    + """
pay = make(sys.argv[1], sys.argv[2])
check(pay, "before")
for how in ("os._exit", "sys.exit", "exception", "end", "drop", "finalise"):
    if how == "finalise" and os.environ.get("PYTHONASYNCIODEBUG"):
        continue  # debug mode refuses these calls
    pid = os.fork()
    if pid == 0:
        import gc, paychainhq._core.fork, paychainhq_sync._background
        if how in ("drop", "finalise"):
            del pay
        if how == "finalise":
            # An interpreter that finalises everything at its end, in the worst order.
            for kept in paychainhq._core.fork._inherited:
                if hasattr(kept, "sender"):
                    kept.sender._session._connector._close()
            paychainhq._core.fork._inherited.clear()
            paychainhq_sync._background._left_behind.clear()
        gc.collect()
        leave(how)
        sys.exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == expected(how)
    check(pay, f"after-{how}")
pay.close()
"""
)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_children_that_do_nothing_with_the_client(tls: bool) -> None:
    """A child that only drops the client, or only exits, leaves the parent's connection alone."""
    with ThreadedServer(echo, tls=tls) as server:
        done = run_program(UNUSED, server.url, str(CERTIFICATE))
        assert (done.returncode, done.stderr) == (0, "")
        assert server.accepted == 1


IN_FLIGHT = (
    CLIENT
    + """
pay = make(sys.argv[1], "")
check(pay, "before")
began = threading.Event()
results = []

def read(name):
    began.set()
    results.append(pay.invoices.get(name).id)

threads = [threading.Thread(target=read, args=(f"slow{n}",)) for n in range(4)]
for thread in threads:
    thread.start()
began.wait()
for n in range(8):
    pid = os.fork()
    if pid == 0:
        check(pay, f"child{n}")
        sys.exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
pay.invoices.get("go")
for thread in threads:
    thread.join()
assert sorted(results) == [f"slow{n}" for n in range(4)], results
pay.close()
"""
)


def test_requests_in_flight_in_other_threads() -> None:
    """A fork during other threads' calls disturbs neither them nor the children."""
    waiting = []

    async def behave(request, writer):  # type: ignore[no-untyped-def]
        if "slow" in request.target:
            waiting.append((request, writer))
            return
        if request.target.endswith("/go"):
            for earlier in waiting:
                await echo(*earlier)
        await echo(request, writer)

    with ThreadedServer(behave) as server:
        done = run_program(IN_FLIGHT, server.url)
        assert (done.returncode, done.stderr) == (0, "")


MULTIPROCESSING = (
    CLIENT
    + """
import multiprocessing

def work(n):
    check(pay, f"worker{n}")
    return n

pay = make(sys.argv[1], "")
check(pay, "before")
with multiprocessing.get_context("fork").Pool(4) as pool:
    assert sorted(pool.map(work, range(40))) == list(range(40))
check(pay, "after")
pay.close()
"""
)


def test_a_pool_of_forked_workers() -> None:
    """Workers of multiprocessing use the parent's client, as under a prefork server."""
    with ThreadedServer(echo) as server:
        done = run_program(MULTIPROCESSING, server.url)
        assert (done.returncode, done.stderr) == (0, "")


ASYNC = """
import asyncio, os, sys
from paychainhq import PayChainHQ

async def check(pay, name):
    assert (await pay.invoices.get(name)).id == name

pay = PayChainHQ(api_key="k", base_url=sys.argv[1], retry=None, timeout=20)

async def main():
    await check(pay, "before")
    for n in range(8):
        pid = os.fork()
        if pid == 0:
            # A child uses a loop of its own, on a thread without a running one.
            import threading
            worker = threading.Thread(target=lambda: asyncio.run(check(pay, f"child{n}")))
            worker.start()
            worker.join()
            os._exit(0)
        await asyncio.to_thread(os.waitpid, pid, 0)
        await check(pay, f"parent{n}")
    await pay.close()

asyncio.run(main())
"""


def test_the_async_client_under_a_fork() -> None:
    """The parent's connection is protected in the async client as well."""
    with ThreadedServer(echo) as server:
        done = run_program(ASYNC, server.url)
        assert (done.returncode, done.stderr) == (0, "")
        assert server.accepted == 9
