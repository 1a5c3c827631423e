"""End of the interpreter, and clients that were never closed."""

from __future__ import annotations

import pytest

from tests.support.raw_server import silence
from tests.sync.support import ThreadedServer, echo, run_program, start_program

BEGIN = """
import atexit, gc, os, sys, threading, warnings
from paychainhq_sync import ConfigurationError, PayChainHQ

def make():
    return PayChainHQ(api_key="k", base_url=sys.argv[1], retry=None, timeout=20)

"""

PROGRAMS = {
    "an open client": "pay = make(); print(pay.invoices.get('a').id)",
    "an open client in a function": "def f():\n    global kept\n    kept = make()\n    "
    "print(kept.invoices.get('a').id)\nf()",
    "sys.exit": "pay = make(); print(pay.invoices.get('a').id); sys.exit(0)",
    "used by a thread that outlives the main one": (
        "pay = make(); pay.invoices.get('x')\nthreading.Thread(target=lambda: "
        "print(pay.invoices.get('a').id)).start()"
    ),
    "in a cycle": "pay = make(); pay.me = pay if hasattr(pay, '__dict__') else None; "
    "print(pay.invoices.get('a').id)",
    "never used": "pay = make(); print('a')",
    "closed at exit": "pay = make(); atexit.register(pay.close); print(pay.invoices.get('a').id)",
    "a call at exit": "pay = make(); pay.invoices.get('x'); atexit.register(lambda: "
    "print(pay.invoices.get('a').id))",
    "a first call at exit": "pay = make(); atexit.register(lambda: print(pay.networks and 'a'))",
    "an abandoned iteration": "pay = make()\nit = pay.invoices.watch(['a'], "
    "interval=1)\nprint(next(it).invoice_id)",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_exit_is_quiet(name: str) -> None:
    """The interpreter ends without a hang, a traceback or a warning."""
    with ThreadedServer(echo) as server:
        done = run_program(BEGIN + PROGRAMS[name], server.url, timeout=20)
        assert (done.returncode, done.stdout, done.stderr) == (0, "a\n", "")


def test_a_first_call_after_the_main_thread_has_ended() -> None:
    """The call succeeds, or raises one clear error.

    Python 3.12 and later start no thread after the main thread has ended.
    """
    program = """
def late():
    threading.main_thread().join()
    try:
        print(pay.invoices.get("a").id)
    except ConfigurationError as error:
        print(error)

pay = make()
threading.Thread(target=late).start()
"""
    with ThreadedServer(echo) as server:
        done = run_program(BEGIN + program, server.url, timeout=20)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout in ("a\n", "the interpreter is shutting down\n")


def test_a_daemon_thread_in_a_call() -> None:
    """A call in a daemon thread does not delay the exit."""
    program = """
pay = make()
threading.Thread(target=lambda: pay.invoices.get("a"), daemon=True).start()
sys.stdin.readline()
"""
    with ThreadedServer(silence) as server:
        process = start_program(BEGIN + program, server.url)
        server.wait_for_requests(1)
        out, err = process.communicate("go on\n", timeout=20)
        assert (process.returncode, out, err) == (0, "", "")


def test_an_exit_handler_that_was_registered_before_the_import() -> None:
    """Closing does nothing after the loop has ended, and a call raises one clear error."""
    program = """
import atexit
def late():
    pay.close()
    try:
        pay.invoices.get("b")
    except ConfigurationError as error:
        print(error)
atexit.register(late)
"""
    with ThreadedServer(echo) as server:
        done = run_program(
            program + BEGIN + "pay = make(); print(pay.invoices.get('a').id)",
            server.url,
            timeout=20,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == ["a", "the interpreter is shutting down"]


def test_a_client_collected_unclosed_warns_once() -> None:
    """The `ResourceWarning` names the line that made the client; its connections are closed."""
    program = """
def forget():
    pay = make()
    pay.invoices.get("a")

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    forget()
    gc.collect()
    other = make()
    other.invoices.get("b")
    other.close()
    gc.collect()
print([(w.category.__name__, str(w.message)) for w in caught])
"""
    with ThreadedServer(echo) as server:
        done = run_program(BEGIN + program, server.url)
        assert (done.returncode, done.stderr) == (0, "")
        assert (
            done.stdout
            == "[('ResourceWarning', 'PayChainHQ client made at <string>:6 was never closed')]\n"
        )
