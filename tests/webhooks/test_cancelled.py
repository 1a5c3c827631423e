"""Cancelled deliveries: no claim is left, and the event is handled once or not yet begun."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp import web

from paychainhq.ledger import MemoryLedger, SQLiteLedger
from paychainhq.webhooks import Event, Receiver
from tests.webhooks.samples import SECRET, signed, webhook

BODY = webhook("evt_1")
TURNS = 60


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a ledger's file, as another process might."""
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("COMMIT")
    finally:
        other.close()


async def by_task(delivery: Callable[[], Awaitable[int]], cancel: asyncio.Event) -> int | None:
    """Deliver, and cancel the task twice once `cancel` is set."""
    task = asyncio.ensure_future(delivery())
    waiting = asyncio.ensure_future(cancel.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    waiting.cancel()
    await asyncio.wait([task])
    return None if task.cancelled() else task.result()


async def by_scope(delivery: Callable[[], Awaitable[int]], cancel: asyncio.Event) -> int | None:
    """Deliver in a cancel scope of anyio.

    The scope cancels at each turn of the loop until the delivery has ended.
    """
    with anyio.CancelScope() as scope:

        async def end() -> None:
            await cancel.wait()
            scope.cancel()

        ending = asyncio.ensure_future(end())
        try:
            return await delivery()
        finally:
            ending.cancel()
    return None


async def by_deadline(delivery: Callable[[], Awaitable[int]], cancel: asyncio.Event) -> int | None:
    """Deliver under `asyncio.timeout`, as an application's own time limit."""
    try:
        async with asyncio.timeout(None) as limit:

            async def end() -> None:
                await cancel.wait()
                limit.reschedule(0)

            ending = asyncio.ensure_future(end())
            try:
                return await delivery()
            finally:
                ending.cancel()
    except TimeoutError:
        return None


Canceller = Callable[[Callable[[], Awaitable[int]], asyncio.Event], Awaitable[int | None]]
cancellers = pytest.mark.parametrize("canceller", [by_task, by_scope, by_deadline])


@pytest.fixture(params=["async", "plain"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Receiver, list[str]]]:
    """Return a receiver over a file, with an async or a plain handler, and the handled ids."""
    handled: list[str] = []
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        receiver = Receiver(secrets=SECRET, ledger=ledger)
        if request.param == "async":

            @receiver.on("invoice.paid")
            async def handle(event: Event) -> None:
                handled.append(event.id)
        else:
            receiver.on("invoice.paid")(lambda event: handled.append(event.id))
        yield receiver, handled


@cancellers
async def test_a_delivery_cancelled_at_any_turn_of_the_loop(
    canceller: Canceller, backend: tuple[Receiver, list[str]]
) -> None:
    """The next delivery is acknowledged at once, and the event has been handled exactly once."""
    receiver, handled = backend
    for turn in range(TURNS):
        body = webhook(f"evt_{turn}")
        cancel = asyncio.Event()

        async def count(turn: int = turn, cancel: asyncio.Event = cancel) -> None:
            for _ in range(turn):
                await asyncio.sleep(0)
            cancel.set()

        counting = asyncio.ensure_future(count())
        first = await canceller(lambda body=body: receiver.receive(body, signed(body)), cancel)  # type: ignore[misc]
        await counting
        before = handled.count(f"evt_{turn}")
        assert before in ((1,) if first == 200 else (0, 1))
        assert await receiver.receive(body, signed(body)) == 200
        assert handled.count(f"evt_{turn}") == 1


@cancellers
@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.1])
async def test_a_delivery_cancelled_while_the_file_is_locked(
    canceller: Canceller, seconds: float, backend: tuple[Receiver, list[str]], tmp_path: Path
) -> None:
    """The claim that is being written is released again."""
    receiver, handled = backend
    cancel = asyncio.Event()
    with locked(tmp_path / "ledger.db"):
        delivery = asyncio.ensure_future(
            canceller(lambda: receiver.receive(BODY, signed(BODY)), cancel)
        )
        await asyncio.sleep(seconds)
        cancel.set()
        await asyncio.sleep(0.05)
    await delivery
    assert await receiver.receive(BODY, signed(BODY)) == 200
    assert handled == ["evt_1"]


@cancellers
async def test_a_delivery_cancelled_while_it_is_recorded_as_done(
    canceller: Canceller, tmp_path: Path
) -> None:
    """The event is recorded as done despite the cancellation."""
    handled: list[str] = []
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        receiver = Receiver(secrets=SECRET, ledger=ledger)
        cancel, lock = asyncio.Event(), locked(tmp_path / "ledger.db")

        @receiver.on("invoice.paid")
        async def handle(event: Event) -> None:
            lock.__enter__()
            handled.append(event.id)
            asyncio.get_running_loop().call_later(0.02, cancel.set)
            asyncio.get_running_loop().call_later(0.1, lock.__exit__, None, None, None)

        await canceller(lambda: receiver.receive(BODY, signed(BODY)), cancel)
        assert ledger.claims.claim("evt_1", "somebody", 100) == "done"
        assert await receiver.receive(BODY, signed(BODY)) == 200
    assert handled == ["evt_1"]


@cancellers
async def test_a_delivery_cancelled_in_an_async_handler(canceller: Canceller) -> None:
    """The handler is cancelled and may clean up; the event can be claimed again."""
    began: list[str] = []
    cleaned: list[str] = []
    cancel = asyncio.Event()
    receiver = Receiver(secrets=SECRET, ledger=MemoryLedger())

    @receiver.on("invoice.paid")
    async def handle(event: Event) -> None:
        began.append(event.id)
        if len(began) == 1:
            cancel.set()
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.append(event.id)

    assert await canceller(lambda: receiver.receive(BODY, signed(BODY)), cancel) is None
    assert cleaned == ["evt_1"]
    assert await receiver.receive(BODY, signed(BODY)) == 200
    assert began == ["evt_1"] * 2


@cancellers
async def test_a_delivery_cancelled_in_a_plain_handler(canceller: Canceller) -> None:
    """The delivery waits for the handler's thread, and the event is recorded as done."""
    handled: list[str] = []
    cancel = asyncio.Event()
    loop = asyncio.get_running_loop()
    go = threading.Event()
    receiver = Receiver(secrets=SECRET, ledger=MemoryLedger())

    @receiver.on("invoice.paid")
    def handle(event: Event) -> None:
        loop.call_soon_threadsafe(cancel.set)
        go.wait(10)
        handled.append(event.id)

    loop.call_later(0.1, go.set)
    await canceller(lambda: receiver.receive(BODY, signed(BODY)), cancel)
    assert handled == ["evt_1"]
    assert await receiver.receive(BODY, signed(BODY)) == 200
    assert handled == ["evt_1"]


@cancellers
async def test_a_delivery_cancelled_while_no_thread_is_free(canceller: Canceller) -> None:
    """A handler that has not begun never begins."""
    begun: list[str] = []
    handled: list[str] = []
    cancel, go = asyncio.Event(), threading.Event()
    receiver = Receiver(secrets=SECRET, ledger=MemoryLedger())

    @receiver.on("invoice.paid")
    def handle(event: Event) -> None:
        begun.append(event.id)
        go.wait(30)
        handled.append(event.id)

    others = [webhook(f"other_{number}") for number in range(8)]
    busy = [asyncio.ensure_future(receiver.receive(body, signed(body))) for body in others]
    while len(begun) < len(others):
        await asyncio.sleep(0.01)
    asyncio.get_running_loop().call_later(0.05, cancel.set)
    assert await canceller(lambda: receiver.receive(BODY, signed(BODY)), cancel) is None
    assert not go.is_set()
    go.set()
    assert await asyncio.gather(*busy) == [200] * 8
    assert "evt_1" not in handled
    assert await receiver.receive(BODY, signed(BODY)) == 200
    assert handled.count("evt_1") == 1


@asynccontextmanager
async def cancelling_server(receiver: Receiver) -> AsyncIterator[str]:
    """Run a server of aiohttp that cancels a handler when its client disconnects."""
    app = web.Application()
    app.router.add_post("/webhooks", receiver.aiohttp)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks"
    finally:
        await runner.cleanup()


async def test_a_client_that_disconnects(
    backend: tuple[Receiver, list[str]], tmp_path: Path
) -> None:
    """The server cancels the delivery while the file is locked; the next one is acknowledged.

    This runs over a real socket.
    """
    receiver, handled = backend
    async with cancelling_server(receiver) as url:
        with locked(tmp_path / "ledger.db"):
            async with aiohttp.ClientSession() as session:
                delivery = asyncio.ensure_future(session.post(url, data=BODY, headers=signed(BODY)))
                await asyncio.sleep(0.1)
                delivery.cancel()
                await asyncio.wait([delivery])
            await asyncio.sleep(0.1)
        async with aiohttp.ClientSession() as session:
            statuses = []
            for _ in range(50):  # the server may still be ending the first delivery
                async with session.post(url, data=BODY, headers=signed(BODY)) as response:
                    statuses.append(response.status)
                if response.status == 200:
                    break
                await asyncio.sleep(0.02)
    assert statuses[-1] == 200
    assert handled == ["evt_1"]


async def test_a_cancellation_that_nobody_requested(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that raises `CancelledError` by itself fails; the delivery is not cancelled."""
    receiver = Receiver(secrets=SECRET, ledger=MemoryLedger())
    handled: list[Any] = []

    async def stray(event: Event) -> None:
        handled.append(event.id)
        if len(handled) == 1:
            raise asyncio.CancelledError("a leaking timeout")

    def plain(event: Event) -> None:
        handled.append(event.id)
        if len(handled) == 1:
            raise asyncio.CancelledError("a leaking timeout")

    for name, handler in (("stray", stray), ("plain", plain)):
        receiver.on(name)(handler)
        handled.clear()
        body = webhook(f"evt_{name}", name)
        assert [await receiver.receive(body, signed(body)) for _ in range(3)] == [500, 200, 200]
        assert len(handled) == 2
    assert "a leaking timeout" in caplog.text
