"""Exceptions that would end a thread or a loop, and an end of the thread all the same."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from paychainhq import Request, Response
from paychainhq.exchange import Next
from paychainhq_sync import InvoiceRequest, PayChainHQ
from tests.sync.support import ThreadedServer, echo, run_program


class OwnError(BaseException):
    """What a test framework raises past every `except Exception`."""


def background_threads() -> list[int | None]:
    return [thread.ident for thread in threading.enumerate() if thread.name == "paychainhq-sync"]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, OwnError])
def test_what_a_middleware_raises_is_for_its_own_call(kind: type[BaseException]) -> None:
    """The caller of that call gets it; another call under way ends well, on the same thread, and so
    does the next.
    """
    under_way, raised = threading.Event(), threading.Event()

    async def raising(request: Request, send: Next) -> Response:
        if request.path.endswith("/bad"):
            raise kind("leave")
        if request.path.endswith("/slow"):
            under_way.set()
            while not raised.is_set():
                await asyncio.sleep(0.001)
        return await send(request)

    with (
        ThreadedServer(echo) as server,
        ThreadPoolExecutor(1) as pool,
        PayChainHQ(
            api_key="k", base_url=server.url, retry=None, timeout=60, middleware=[raising]
        ) as pay,
    ):
        slow = pool.submit(pay.invoices.get, "slow")
        assert under_way.wait(30)
        threads = background_threads()
        with pytest.raises(kind, match="leave"):
            pay.invoices.get("bad")
        raised.set()
        assert slow.result(30).id == "slow"
        assert pay.invoices.get("next").id == "next"
        assert background_threads() == threads


def test_what_a_progress_callback_raises_ends_its_job_alone() -> None:
    """It is called in the caller's thread, and its exception comes out of the caller's loop."""

    def leave(_: object) -> None:
        raise SystemExit("leave")

    orders = [InvoiceRequest("1", "USDC", "eth", reference=f"r{n}") for n in range(3)]
    with (
        ThreadedServer(echo) as server,
        PayChainHQ(
            api_key="k", business_id="biz_1", base_url=server.url, retry=None, timeout=60
        ) as pay,
    ):
        with pytest.raises(SystemExit, match="leave"):
            list(pay.invoices.create_many(orders, progress=leave))
        assert pay.invoices.get("next").id == "next"


def test_a_middleware_that_stops_the_loop() -> None:
    """The loop goes on, and so does the call."""

    async def stopping(request: Request, send: Next) -> Response:
        asyncio.get_running_loop().stop()
        return await send(request)

    with (
        ThreadedServer(echo) as server,
        PayChainHQ(
            api_key="k", base_url=server.url, retry=None, timeout=60, middleware=[stopping]
        ) as pay,
    ):
        assert [pay.invoices.get(name).id for name in "abc"] == ["a", "b", "c"]


DYING = """
import asyncio, sys, threading
from paychainhq_sync import ConnectionFailedError, PayChainHQ
threading.excepthook = lambda *_: None

async def breaking(request, send):
    if request.path.endswith("/bad"):
        asyncio.get_running_loop()._selector.close()
        await asyncio.sleep(3600)
    if request.path.endswith("/slow"):
        under_way.set()
        await asyncio.sleep(3600)
    return await send(request)

under_way = threading.Event()
pay = PayChainHQ(api_key="k", base_url=sys.argv[1], retry=None, timeout=4000, middleware=[breaking])

def call(name):
    try:
        told = pay.invoices.get(name).id
    except ConnectionFailedError as error:
        told = f"{name} {error.sent}"
    sys.stdout.write(f"{told}\\n")  # in one piece: print writes several

slow = threading.Thread(target=call, args=("slow",))
slow.start()
under_way.wait()
call("bad")
slow.join()
call("next")
"""


def test_the_end_of_the_thread_is_an_error_of_the_calls_under_way() -> None:
    """Whatever has ended it: nobody waits for it, and the next call starts a new one."""
    with ThreadedServer(echo) as server:
        done = run_program(DYING, server.url, timeout=60)
        assert done.returncode == 0, done.stderr
        assert sorted(done.stdout.splitlines()) == ["bad no", "next", "slow no"]
