"""Handlers of any form: each runs exactly once, in the event loop or in a thread.

An object that would not run is refused.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest.mock import AsyncMock, Mock

import anyio
import pytest
from asgiref.sync import async_to_sync, sync_to_async

import paychainhq_sync.webhooks
from paychainhq import ConfigurationError, PayChainHQ
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq.ledger import MemoryLedger
from paychainhq.webhooks import Event, Receiver
from tests.webhooks.samples import SECRET, signed, webhook

BODY = webhook("evt_1")


class Handled:
    """Handlers of each form, and the events that they have handled."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.threads: list[threading.Thread] = []

    def plain(self, event: Event) -> None:
        self.events.append(event.id)
        self.threads.append(threading.current_thread())

    async def coroutine(self, event: Event) -> None:
        await asyncio.sleep(0)
        self.plain(event)

    async def with_more(self, more: str, event: Event) -> None:
        assert more == "more"
        await self.coroutine(event)

    def plain_with_more(self, more: str, event: Event) -> None:
        assert more == "more"
        self.plain(event)


class AsyncCall:
    def __init__(self, handled: Handled) -> None:
        self.handled = handled

    async def __call__(self, event: Event) -> None:
        await self.handled.coroutine(event)


class PlainCall(AsyncCall):
    def __call__(self, event: Event) -> None:  # type: ignore[override]
        self.handled.plain(event)


class Awaitability:
    """Awaitable that is no coroutine."""

    def __init__(self, handled: Handled, event: Event) -> None:
        self.handled, self.event = handled, event

    def __await__(self) -> Any:
        return self.handled.coroutine(self.event).__await__()


def called(function: Callable[[Event], Any]) -> Callable[[Event], Any]:
    def caller(event: Event) -> Any:
        return function(event)

    return caller


def wrapped(function: Callable[[Event], Any]) -> Callable[[Event], Any]:
    @functools.wraps(function)
    def wrapper(event: Event) -> Any:
        return function(event)

    return wrapper


def generator_based(handled: Handled) -> Callable[[Event], Any]:
    def handler(event: Event) -> Any:
        yield from handled.coroutine(event).__await__()

    coroutine: Callable[[Event], Any] = types.coroutine(handler)
    return wrapped(coroutine)


ASYNC: dict[str, Callable[[Handled], Any]] = {
    "method": lambda handled: handled.coroutine,
    "call": AsyncCall,
    "returns a coroutine": lambda handled: called(handled.coroutine),
    "returns an awaitable": lambda handled: functools.partial(Awaitability, handled),
    "wrapped": lambda handled: wrapped(handled.coroutine),
    "wrapped call": lambda handled: wrapped(AsyncCall(handled)),
    "partial": lambda handled: functools.partial(handled.with_more, "more"),
    "partial of a call": lambda handled: functools.partial(AsyncCall(handled)),
    "partial of a wrapped one": lambda handled: functools.partial(wrapped(handled.coroutine)),
    "mock": lambda handled: AsyncMock(side_effect=handled.coroutine),
    "generator-based": generator_based,
}
PLAIN: dict[str, Callable[[Handled], Any]] = {
    "method": lambda handled: handled.plain,
    "function": lambda handled: called(handled.plain),
    "call": PlainCall,
    "wrapped": lambda handled: wrapped(handled.plain),
    "partial": lambda handled: functools.partial(handled.plain_with_more, "more"),
    "mock": lambda handled: Mock(side_effect=handled.plain),
}
BRIDGED: dict[str, Callable[[Handled], Any]] = {
    "async to sync": lambda handled: async_to_sync(handled.coroutine),
    "sync to async": lambda handled: sync_to_async(handled.plain),
}


def made(handler: Any, **settings: Any) -> Receiver:
    receiver = Receiver(secrets=SECRET, ledger=MemoryLedger(), **settings)
    receiver.on("invoice.paid")(handler)
    return receiver


@pytest.mark.parametrize("form", [*ASYNC.values(), *PLAIN.values(), *BRIDGED.values()])
async def test_each_form_is_run_once(form: Callable[[Handled], Any]) -> None:
    """Each delivery is acknowledged, and only the first runs the handler."""
    handled = Handled()
    receiver = made(form(handled))
    assert [await receiver.receive(BODY, signed(BODY)) for _ in range(3)] == [200, 200, 200]
    assert handled.events == ["evt_1"]


@pytest.mark.parametrize("form", PLAIN.values())
async def test_a_plain_function_runs_in_a_thread(form: Callable[[Handled], Any]) -> None:
    """The receiver's event loop continues meanwhile."""
    handled = Handled()
    assert await made(form(handled)).receive(BODY, signed(BODY)) == 200
    assert handled.threads != [threading.current_thread()]


@pytest.mark.parametrize(
    "form", [ASYNC[name] for name in ("method", "wrapped", "call", "returns an awaitable")]
)
async def test_an_awaitable_handler_runs_in_the_loop(form: Callable[[Handled], Any]) -> None:
    """The async client can therefore be used in such a handler."""
    handled = Handled()
    assert await made(form(handled)).receive(BODY, signed(BODY)) == 200
    assert handled.threads == [threading.current_thread()]


@pytest.mark.parametrize("form", PLAIN.values())
def test_the_blocking_receiver_runs_each_plain_form_once(form: Callable[[Handled], Any]) -> None:
    """The handler runs in the calling thread."""
    handled = Handled()
    receiver = paychainhq_sync.webhooks.Receiver(secrets=SECRET, ledger=MemoryLedger())
    receiver.on("invoice.paid")(form(handled))
    assert [receiver.receive(BODY, signed(BODY)) for _ in range(2)] == [200, 200]
    assert (handled.events, handled.threads) == (["evt_1"], [threading.current_thread()])


@pytest.mark.parametrize("name", ASYNC)
def test_the_blocking_receiver_refuses_async_handlers(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A recognizable one is refused at registration; another fails its delivery and is logged."""
    handled = Handled()
    receiver = paychainhq_sync.webhooks.Receiver(secrets=SECRET, ledger=MemoryLedger())
    handler = ASYNC[name](handled)
    if name in ("method", "call", "partial", "partial of a call", "mock"):
        with pytest.raises(ConfigurationError, match="async"):
            receiver.on("invoice.paid")(handler)
        return
    receiver.on("invoice.paid")(handler)
    assert [receiver.receive(BODY, signed(BODY)) for _ in range(2)] == [500, 500]
    assert "nothing awaits it here" in caplog.text
    assert receiver._ledger.claims.claim("evt_1", "next", 100) == "claimed"


def generator(event: Event) -> Iterator[None]:
    yield


async def async_generator(event: Event) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("receiver", [Receiver, paychainhq_sync.webhooks.Receiver])
@pytest.mark.parametrize(
    "handler", [None, "name", 7, generator, async_generator, functools.partial(generator)]
)
def test_an_object_that_cannot_be_a_handler(receiver: Any, handler: Any) -> None:
    """Registration fails, and another handler can be registered for the event."""
    made = receiver(secrets=SECRET, ledger=MemoryLedger())
    with pytest.raises(ConfigurationError, match="handler must"):
        made.on("invoice.paid")(handler)
    made.on("invoice.paid")(lambda event: None)


@pytest.mark.parametrize("function", [generator, async_generator])
async def test_a_generator_that_is_returned_is_a_failure(
    function: Callable[[Event], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """None of the generator has run, so the event is not acknowledged."""
    assert await made(wrapped(function)).receive(BODY, signed(BODY)) == 500
    blocking = paychainhq_sync.webhooks.Receiver(secrets=SECRET, ledger=MemoryLedger())
    blocking.on("invoice.paid")(wrapped(function))
    assert blocking.receive(BODY, signed(BODY)) == 500
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [str(error) for error in errors] == [
        "the handler returned a generator, so that its code did not run"
    ] * 2


# --- threads ---


async def test_a_plain_handler_reads_with_the_async_client(paychain_emulator: Emulator) -> None:
    """`anyio.from_thread.run` awaits in the loop of the receiver."""
    read: list[str] = []
    async with PayChainHQ(
        api_key=API_KEY, business_id=BUSINESS_ID, base_url=paychain_emulator.url
    ) as pay:

        def handler(event: Event) -> None:
            read.append(anyio.from_thread.run(event.fetch, pay).status)

        body = webhook("evt_1", invoiceId="inv_123")
        assert await made(handler).receive(body, signed(body)) == 200
    assert read == ["pending"]


async def test_plain_handlers_that_block_delay_nothing_else() -> None:
    """The loop, the default threads and the ledger continue while twice as many handlers block.

    There are half as many threads as handlers; all events are handled in the end.
    """
    handled = Handled()
    go = threading.Event()

    def block(event: Event) -> None:
        go.wait(30)
        handled.plain(event)

    receiver = made(block)
    receiver.on("invoice.seen")(handled.coroutine)
    bodies = [webhook(f"evt_{number}") for number in range(16)]
    blocked = [asyncio.ensure_future(receiver.receive(body, signed(body))) for body in bodies]
    await asyncio.sleep(0.05)
    seen = webhook("evt_seen", "invoice.seen")
    async with asyncio.timeout(20):
        assert await receiver.receive(seen, signed(seen)) == 200
        await asyncio.to_thread(time.sleep, 0)
        await anyio.to_thread.run_sync(time.sleep, 0)
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    assert not any(each.done() for each in blocked)
    go.set()
    assert await asyncio.gather(*blocked) == [200] * 16
    assert sorted(handled.events) == sorted(
        ["evt_seen", *(f"evt_{number}" for number in range(16))]
    )


async def test_a_plain_handler_that_takes_too_long_is_recorded_when_it_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each response is 503 until the thread has ended; the first is sent within the API's limit."""
    monkeypatch.setattr(Receiver, "_within", 2.0)
    monkeypatch.setattr(Receiver, "_spare", 0.1)
    handled = Handled()
    go, ended = threading.Event(), threading.Event()

    def block(event: Event) -> None:
        go.wait(30)
        handled.plain(event)

    receiver = made(block)
    settle = receiver._ledger.claims.settle

    def record(name: str) -> None:
        settle(name)
        ended.set()

    monkeypatch.setattr(receiver._ledger.claims, "settle", record)
    assert [await receiver.receive(BODY, signed(BODY)) for _ in range(2)] == [503, 503]
    assert "is still running in its thread" in caplog.text
    go.set()
    assert await asyncio.to_thread(ended.wait, 10)
    assert await receiver.receive(BODY, signed(BODY)) == 200
    assert handled.events == ["evt_1"]


async def test_a_handler_that_finds_no_thread_in_time_never_begins(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its event is not claimed, and the API delivers it again."""
    handled = Handled()
    begun: list[str] = []
    go = threading.Event()

    def block(event: Event) -> None:
        begun.append(event.id)
        go.wait(30)
        handled.plain(event)

    receiver = made(block)
    bodies = [webhook(f"evt_busy_{number}") for number in range(8)]
    busy = [asyncio.ensure_future(receiver.receive(body, signed(body))) for body in bodies]
    while len(begun) < len(bodies):
        await asyncio.sleep(0.01)
    monkeypatch.setattr(Receiver, "_within", 0.1)
    monkeypatch.setattr(Receiver, "_spare", 0.0)
    assert await receiver.receive(BODY, signed(BODY)) == 503
    assert "found no free thread in time" in caplog.text
    go.set()
    assert await asyncio.gather(*busy) == [200] * 8
    assert "evt_1" not in handled.events
    assert receiver._ledger.claims.claim("evt_1", "next", 100) == "claimed"


@pytest.mark.parametrize("name", ["method", "wrapped", "returns an awaitable"])
async def test_an_awaitable_handler_that_takes_too_long_is_cancelled(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event can be claimed again, even if only the result of the handler is awaitable."""
    monkeypatch.setattr(Receiver, "_within", 2.0)
    cleaned: list[str] = []
    handled = Handled()

    async def wait(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)  # a handler may await in its cleanup
            cleaned.append(event.id)

    monkeypatch.setattr(handled, "coroutine", wait)
    receiver = made(ASYNC[name](handled))
    assert await receiver.receive(BODY, signed(BODY)) == 500
    assert cleaned == ["evt_1"]
    assert receiver._ledger.claims.claim("evt_1", "next", 100) == "claimed"


async def test_a_plain_handler_that_fails_is_run_again() -> None:
    """The claim is released at once after any exception."""
    errors: list[Exception] = [
        ValueError("no"),
        StopIteration(),
        StopAsyncIteration(),
        TimeoutError(),
        KeyError(),
    ]
    handled = Handled()

    def fail(event: Event) -> None:
        handled.plain(event)
        if errors:
            raise errors.pop()

    receiver = made(fail)
    assert [await receiver.receive(BODY, signed(BODY)) for _ in range(7)] == [500] * 5 + [200] * 2
    assert len(handled.events) == 6


def test_one_receiver_in_several_event_loops() -> None:
    """Each loop has threads of its own, since applications and tests start loops as needed."""
    handled = Handled()
    receiver = made(handled.plain)
    receiver.on("invoice.seen")(handled.coroutine)

    async def both(number: int) -> list[int]:
        bodies = [webhook(f"evt_{number}"), webhook(f"evt_seen_{number}", "invoice.seen")]
        return [await receiver.receive(body, signed(body)) for body in bodies]

    assert [asyncio.run(both(number)) for number in range(3)] == [[200, 200]] * 3
    assert len(handled.events) == 6


def test_the_limits_are_below_those_of_the_api() -> None:
    """The API waits for 30 s."""
    assert Receiver._within + Receiver._spare < 30
