"""Exceptions that would end a thread or a loop, and the unexpected end of the thread."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from paychainhq import Request, Response
from paychainhq._http.messages import Next
from paychainhq_sync import InvoiceRequest, PayChainHQ
from tests.sync.support import ThreadedServer, echo, run_program


class OwnError(BaseException):
    """Exception of a test framework that passes every `except Exception`."""


def background_threads() -> list[int | None]:
    return [thread.ident for thread in threading.enumerate() if thread.name == "paychainhq-sync"]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, OwnError])
def test_an_exception_of_a_middleware_reaches_only_its_own_call(kind: type[BaseException]) -> None:
    """Another call in progress and the next one succeed on the same thread."""
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


def test_an_exception_of_a_progress_callback_ends_only_its_job() -> None:
    """The callback runs in the caller's thread, and the iteration raises its exception."""

    def leave(_: object) -> None:
        raise SystemExit("leave")

    orders = [
        InvoiceRequest(amount="1", token="USDC", chain="eth", reference=f"r{n}") for n in range(3)
    ]
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
    """The loop continues, and the call succeeds."""

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
        line = pay.invoices.get(name).id
    except ConnectionFailedError as error:
        line = f"{name} {error.sent}"
    sys.stdout.write(f"{line}\\n")  # in one piece: print writes several

slow = threading.Thread(target=call, args=("slow",))
slow.start()
under_way.wait()
call("bad")
slow.join()
call("next")
"""


def test_the_end_of_the_thread_fails_the_calls_in_progress() -> None:
    """The calls raise an error instead of hanging, and the next call starts a new thread."""
    with ThreadedServer(echo) as server:
        done = run_program(DYING, server.url, timeout=60)
        assert done.returncode == 0, done.stderr
        assert sorted(done.stdout.splitlines()) == ["bad no", "next", "slow no"]
