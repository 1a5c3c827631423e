"""Caller's thread: its event loop, context variables, iterables and tracebacks."""

from __future__ import annotations

import asyncio
import builtins
import gc
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import aiohttp
import pytest

from paychainhq import (
    ConfigurationError,
    ConnectionFailedError,
    InvoiceRequest,
    NotFoundError,
    Request,
    Response,
)
from paychainhq._http.messages import Next
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq_sync import PayChainHQ, _engine
from paychainhq_sync.gateway import Gateway
from tests.support.raw_server import http_response
from tests.sync.support import ThreadedServer, echo


def make(url: str, **settings: Any) -> PayChainHQ:
    return PayChainHQ(
        **{
            "api_key": API_KEY,
            "business_id": BUSINESS_ID,
            "base_url": url,
            "retry": None,
            "timeout": 30,
            **settings,
        }
    )


def requests(count: int) -> Iterator[InvoiceRequest]:
    return (
        InvoiceRequest(amount="5", token="USDC", chain="eth", reference=f"order-{n}")
        for n in range(count)
    )


def left_running() -> list[str]:
    """Return the tasks on the background loop, except its own."""

    async def tasks() -> list[str]:
        found: list[str] = []
        for _ in range(1000):  # let cancelled tasks end
            await asyncio.sleep(0)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            found = [repr(task) for task in others if "_serve" not in repr(task)]
            if not found:
                break
        return found

    return _engine.complete(tasks()).result()


# --- the caller's event loop ---


async def test_a_call_under_a_running_loop_warns_once_per_line() -> None:
    """The call succeeds, and the warning names the awaitable method to use instead."""
    with ThreadedServer(echo) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with make(server.url) as pay:
            for n in range(3):
                assert pay.invoices.get(f"a{n}").id == f"a{n}"
            pay.invoices.get("b")
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 3  # two lines that read, and the end of the block
    assert "`await pay.invoices.get(...)`" in messages[0]
    assert "`async with`" in messages[2]
    assert caught[0].filename == __file__
    assert issubclass(caught[0].category, RuntimeWarning)


async def test_the_warning_names_the_awaitable_method() -> None:
    """The methods of the client itself and of the gateway's client are named as well."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make("http://127.0.0.1:1").close()
        with (
            Gateway(base_url="http://127.0.0.1:1", client_token="t", retry=None) as gateway,
            pytest.raises(ConnectionFailedError),
        ):
            gateway.payments.get("p")
    instead = [str(warning.message).rpartition("use paychainhq's ")[2] for warning in caught]
    assert instead == [
        "`await pay.close(...)`",
        "`await gateway.payments.get(...)`",
        "`async with`",
    ]


async def test_iterating_under_a_running_loop_warns_too(paychain_emulator: Emulator) -> None:
    """The warning of lists and jobs recommends `async for`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with make(paychain_emulator.url) as pay:
            assert len(list(pay.invoices.create_many(requests(2)))) == 2
    assert any("async for" in str(warning.message) for warning in caught)


async def test_a_notebook_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell of a notebook runs under a loop, and a blocking call is intended there."""
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    with ThreadedServer(echo) as server, make(server.url) as pay:
        assert pay.invoices.get("a").id == "a"


def test_a_call_on_the_background_loop_itself_is_an_error() -> None:
    """A middleware that calls the blocking client gets an error instead of a deadlock."""

    async def calling_back(request: Request, send: Next) -> Response:
        pay.networks.list()
        return await send(request)

    refused = pytest.raises(ConfigurationError, match=r"await pay\.networks\.list")
    with (
        ThreadedServer(echo) as server,
        make(server.url, middleware=[calling_back]) as pay,
        refused,
    ):
        pay.invoices.get("a")
    gc.collect()  # no coroutine is left unawaited


def test_a_session_of_the_callers_is_refused() -> None:
    """A session belongs to the loop it was made under, which is never the background loop."""

    async def make_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    with asyncio.Runner() as runner, ThreadedServer(echo) as server:
        session = runner.run(make_session())
        with (
            make(server.url, session=session) as pay,
            pytest.raises(ConfigurationError, match="another event loop"),
        ):
            pay.invoices.get("a")
        runner.run(session.close())
    assert server.requests == []


# --- context and tracebacks ---


def test_context_variables_reach_the_middleware() -> None:
    """Variables of the caller's thread, such as a trace id, are set on the loop's thread."""
    trace: ContextVar[str] = ContextVar("trace", default="none")
    seen = []

    async def tracing(request: Request, send: Next) -> Response:
        seen.append((trace.get(), threading.current_thread().name))
        return await send(request)

    with ThreadedServer(echo) as server, make(server.url, middleware=[tracing]) as pay:
        trace.set("t-1")
        pay.invoices.get("a")
        trace.set("t-2")
        pay.invoices.get("b")
    assert seen == [("t-1", "paychainhq-sync"), ("t-2", "paychainhq-sync")]


def test_tracebacks_show_the_callers_line_and_ours() -> None:
    """The caller's line is followed by the resource's, without frames of the bridge.

    Neither threading nor asyncio appears in the traceback.
    """
    not_found = http_response({"error": {"code": "NOT_FOUND", "message": "no"}}, 404)
    with (
        ThreadedServer(not_found) as server,
        make(server.url) as pay,
        pytest.raises(NotFoundError) as caught,
    ):
        pay.invoices.get("a")
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert frames[0].filename == __file__
    assert frames[0].line == 'pay.invoices.get("a")'
    assert frames[1].filename.endswith("paychainhq_sync/resources/invoices.py")
    assert not [
        frame.filename
        for frame in frames
        if any(part in frame.filename for part in ("_engine", "threading", "asyncio"))
    ]


# --- the caller's iterables, and the package's generators ---


def test_the_callers_iterable_is_read_in_the_callers_thread(paychain_emulator: Emulator) -> None:
    """Requests and ids are read in the calling thread, as Django's ORM requires."""
    threads = set()

    def watched() -> Iterator[InvoiceRequest]:
        for request in requests(200):
            threads.add(threading.get_ident())
            yield request

    def ids() -> Iterator[str]:
        threads.add(threading.get_ident())
        yield "inv_123"

    with make(paychain_emulator.url) as pay:
        outcomes = list(pay.invoices.create_many(watched(), concurrency=8))
        assert len(outcomes) == 200
        assert all(outcome.ok for outcome in outcomes)
        paychain_emulator.pay("inv_123")
        paychain_emulator.confirm("inv_123")
        assert [change.current for change in pay.invoices.watch(ids(), interval=0.01)] == ["paid"]
    assert threads == {threading.get_ident()}


def test_a_slow_iterable_delays_no_other_thread(paychain_emulator: Emulator) -> None:
    """Calls of another thread continue while an iterable yields nothing."""
    go_on, other_done = threading.Event(), threading.Event()

    def slow() -> Iterator[InvoiceRequest]:
        go_on.set()
        assert other_done.wait(10)
        yield from requests(3)

    def other() -> None:
        go_on.wait(10)
        pay.networks.list()
        other_done.set()

    with make(paychain_emulator.url) as pay:
        thread = threading.Thread(target=other)
        thread.start()
        assert len(list(pay.invoices.create_many(slow()))) == 3
        thread.join()


def test_a_failure_of_the_callers_iterable_comes_last(paychain_emulator: Emulator) -> None:
    """The outcomes of earlier requests come first, then the caller's own exception.

    Its traceback includes the caller's line.
    """

    def broken() -> Iterator[InvoiceRequest]:
        yield from requests(5)
        raise LookupError("the file ends here")

    outcomes = []
    with (
        make(paychain_emulator.url) as pay,
        pytest.raises(LookupError, match="the file ends here") as caught,
    ):
        for outcome in pay.invoices.create_many(broken()):
            outcomes.append(outcome)
    assert [outcome.ok for outcome in outcomes] == [True] * 5
    assert "broken" in "".join(traceback.format_tb(caught.value.__traceback__))


def test_an_endless_iterable_is_read_on_demand(paychain_emulator: Emulator) -> None:
    """A job reads only a bounded number of requests ahead of the consumed outcomes."""
    read = 0

    def endless() -> Iterator[InvoiceRequest]:
        nonlocal read
        for request in requests(10**9):
            read += 1
            yield request

    with make(paychain_emulator.url) as pay:
        job = pay.invoices.create_many(endless(), concurrency=4)
        for _ in range(10):
            next(job)
        job.close()
        assert read <= 10 + 3 * 64
        assert left_running() == []


@pytest.mark.parametrize("how", ["break", "close", "collect"])
def test_an_abandoned_iteration_leaves_nothing_running(
    paychain_emulator: Emulator, how: str
) -> None:
    """Abandoned pages, jobs and watches leave no task on the background loop."""
    with make(paychain_emulator.url) as pay:
        assert len(list(pay.invoices.create_many(requests(30)))) == 30
        sources: list[Callable[[], Any]] = [
            lambda: iter(pay.invoices.list(limit=3)),
            lambda: pay.invoices.list(limit=3).pages(),
            lambda: pay.invoices.create_many(requests(30)),
            lambda: pay.invoices.watch(["inv_123"], interval=0.01),
        ]
        for source in sources:
            items: Any = source()
            for position, _ in enumerate(items):
                if position == 1 or source is sources[3]:
                    break
            if how == "close":
                items.close()
            elif how == "collect":
                items = [items]
                items.append(items)
            del items
            gc.collect()
            assert left_running() == []


def test_a_collection_on_the_loops_own_thread(paychain_emulator: Emulator) -> None:
    """A generator finalised on the background thread does not make that thread wait for itself."""
    with make(paychain_emulator.url) as pay:
        pay.networks.list()
        cycle: list[Any] = [pay.invoices.watch(["inv_123"], interval=0.01)]
        next(cycle[0])
        cycle.append(cycle)
        del cycle

        async def collect() -> None:
            gc.collect()

        _engine.complete(collect()).result()
        assert left_running() == []
