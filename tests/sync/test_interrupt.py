"""Ctrl-C: the call is cancelled, and the exception has its idempotency key."""

from __future__ import annotations

import signal

import pytest

from tests.support.raw_server import silence
from tests.sync.support import ThreadedServer, echo, run_program, start_program

PROGRAM = """
import os, signal, sys, threading, time, traceback
from paychainhq_sync import InvoiceRequest, PayChainHQ

pay = PayChainHQ(api_key="k", business_id="biz_123", base_url=sys.argv[1], retry=None, timeout=50)
doing = sys.argv[2]

def endless():
    n = 0
    while True:
        n += 1
        yield InvoiceRequest(amount="1", token="USDC", chain="eth", reference=str(n))

try:
    if doing == "create":
        pay.invoices.create("1", "USDC", "eth")
    elif doing == "list":
        for _ in pay.invoices.list():
            pass
    elif doing == "create_many":
        for _ in pay.invoices.create_many(endless(), concurrency=4):
            pass
    elif doing == "wait":
        pay.invoices.wait("inv_1")
except KeyboardInterrupt as interruption:
    began = time.monotonic()
    print("key:", getattr(interruption, "idempotency_key", None))
    print("notes:", getattr(interruption, "__notes__", []))
    print("again:", pay.invoices.get("inv_7").id)
    pay.close()
    print("threads:", threading.active_count())
"""


def interrupted(server: ThreadedServer, doing: str) -> tuple[int, str, str]:
    """Run the program, send it SIGINT after its first request, and return how it ended."""
    process = start_program(PROGRAM, server.url, doing)
    try:
        server.wait_for_requests(1)
        process.send_signal(signal.SIGINT)
        # The documented limit is 2 s; the test allows three times as much.
        out, err = process.communicate(timeout=6)
    finally:
        process.kill()
    return process.returncode, out, err


async def silent_but_for_one(request, writer) -> None:  # type: ignore[no-untyped-def]
    """Respond only to the read that the program makes afterwards."""
    await (echo if request.target.endswith("/inv_7") else silence)(request, writer)


def test_an_interrupted_call_is_cancelled_and_its_key_is_noted() -> None:
    """`KeyboardInterrupt` has the key as an attribute and in a note; the client stays usable."""
    with ThreadedServer(silent_but_for_one) as server:
        code, out, err = interrupted(server, "create")
        assert (code, err) == (0, "")
        key = server.requests[0].headers["idempotency-key"]
        first, notes, *rest = out.splitlines()
        assert first == f"key: {key}"
        assert key in notes
        assert "sent: unknown" in notes
        assert rest == ["again: inv_7", "threads: 1"]


def test_no_request_is_left_running() -> None:
    """The interrupted request's connection is closed, and not used again."""
    with ThreadedServer(silent_but_for_one) as server:
        interrupted(server, "create")
        assert len(server.requests) == 2
        assert server.accepted == 2


@pytest.mark.parametrize("doing", ["list", "create_many", "wait"])
def test_an_interrupted_iteration_or_wait_ends(doing: str) -> None:
    """Ctrl-C ends lists, jobs and waits, and leaves no task behind."""
    with ThreadedServer(silent_but_for_one) as server:
        code, out, err = interrupted(server, doing)
        assert (code, err) == (0, "")
        assert out.splitlines()[-2:] == ["again: inv_7", "threads: 1"]


HELD = """
import os, signal, sys
from paychainhq_sync import PayChainHQ, Request

async def holding(request, send):
    # A middleware that delays its cancellation.
    import asyncio
    try:
        return await send(request)
    except asyncio.CancelledError:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.2)
        raise

with PayChainHQ(api_key="k", business_id="biz_123", base_url=sys.argv[1], retry=None, timeout=50, middleware=[holding]) as pay:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
        pay.invoices.create("1", "USDC", "eth")
    except KeyboardInterrupt:
        print("interrupted")
"""  # noqa: E501


def test_a_second_interrupt_ends_the_wait() -> None:
    """A second Ctrl-C ends the wait for the cancelled call."""
    with ThreadedServer(silence) as server:
        done = run_program(HELD, server.url, timeout=30)
        assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
