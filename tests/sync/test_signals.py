"""Signal handlers that use a client while any of its code is interrupted."""

from __future__ import annotations

import pytest

from tests.support.often import EXHAUSTIVE
from tests.sync.support import ThreadedServer, echo, run_program

STEP = "3" if EXHAUSTIVE else "13"  # every so many instructions are interrupted

PROGRAM = """
import faulthandler, gc, signal, sys, threading
from paychainhq_sync import PayChainError, PayChainHQ

faulthandler.dump_traceback_later(100, exit=True)
url, action = sys.argv[1], sys.argv[2]

class Interrupted(Exception):
    pass

def make():
    return PayChainHQ(api_key="k", base_url=url, retry=None, timeout=30)

def handle(*_):
    if action == "call":
        try:
            assert pay.invoices.get("handler").id == "handler"
        except PayChainError as error:
            assert closing and "closed" in str(error), error
    elif action == "make":
        with make() as another:
            assert another.invoices.get("handler").id == "handler"
    elif action == "close":
        pay.close()
    elif action == "raise":
        raise Interrupted

def work():
    \"\"\"Make the first call of an engine, and close its last client.\"\"\"
    global closing
    try:
        assert pay.invoices.get("main").id == "main"
        closing = True
        pay.close()
    except Interrupted:
        pass
    except PayChainError as error:
        assert action == "close", error

def begin():
    global pay, closing
    pay, closing = make(), False

def end():
    \"\"\"End the thread, so that the next call is a first one again.\"\"\"
    pay.close()
    for thread in threading.enumerate():
        if thread.name == "paychainhq-sync":
            thread.join(30)  # on a busy machine `close` stops waiting before the thread has ended
            assert not thread.is_alive()
"""

EACH_INSTRUCTION = (
    PROGRAM
    + """
WATCHED = ("paychainhq_sync", "asyncio.base_events", "asyncio.selector_events", "threading", "_weakrefset", "weakref")

def interrupting(position):
    \"\"\"Return a trace function that runs the handler before one bytecode instruction, counted from 1.\"\"\"
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        if not frame.f_globals.get("__name__", "").startswith(WATCHED):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            if count == position:
                handle()
        return trace

    def ended():
        return count < position

    return trace, ended

rounds, position, over = 0, 1, False
if action == "raise":
    import warnings
    warnings.simplefilter("ignore", RuntimeWarning)  # a coroutine was made, and interrupted before its call
    sys.unraisablehook = lambda _: None  # a callback of a weak reference was interrupted
while not over:
    begin()
    trace, ended = interrupting(position)
    sys._getframe().f_trace_opcodes = True  # Python 3.12 reports instructions only if one frame requests them beforehand
    sys.settrace(trace)
    try:
        work()
    except Interrupted:
        pass
    finally:
        sys.settrace(None)
    if action == "raise":
        gc.collect()
    end()
    over = ended()
    rounds, position = rounds + 1, position + int(sys.argv[3])
assert rounds > 20, rounds
print("ended")
"""  # noqa: E501
)

TIMED = (
    PROGRAM
    + """
# Modules are loaded beforehand: CPython 3.11 raises KeyError if a handler imports while the code
# that it interrupts imports (python/cpython#91351).
begin()
work()
end()
signal.signal(signal.SIGALRM, handle)
for n in range(200):
    begin()
    signal.setitimer(signal.ITIMER_REAL, 0.00002 * (n + 1))
    try:
        work()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Interrupted:
        pass
    end()
print("ended")
"""
)


@pytest.mark.parametrize("action", ["call", "make", "close", "raise"])
def test_a_signal_handler_at_each_instruction(action: str) -> None:
    """A handler may call, make or close a client, or raise, between any two instructions.

    The interrupted code makes a first call and closes the client.
    """
    with ThreadedServer(echo) as server:
        done = run_program(EACH_INSTRUCTION, server.url, action, STEP, timeout=110)
        assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


@pytest.mark.parametrize("action", ["call", "make", "close"])
def test_a_signal_handler_of_a_timer(action: str) -> None:
    """Real signals at 200 points in time interrupt the same code."""
    with ThreadedServer(echo) as server:
        done = run_program(TIMED, server.url, action, timeout=110)
        assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")
