"""Webhooks of the emulator's gateway, delivered to receivers in web frameworks of both faces."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

import paychainhq_sync.gateway.webhooks
from paychainhq.emulator import GATEWAY_CLIENT_TOKEN, GATEWAY_OAUTH_TOKEN, Emulator
from paychainhq.gateway import Event, Gateway
from paychainhq.gateway.webhooks import Receiver
from paychainhq.ledger import SQLiteLedger
from tests.webhooks.test_frameworks import (
    aiohttp_add_post,
    django,
    fastapi_post,
    flask_post,
    serving,
    starlette_route,
    wsgi_server,
)

SECRET = "of the shop"
HOUR = 3600
# The signed times are those of the emulator's clock, which these tests set ahead.
MAX_AGE = 10**7


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@asynccontextmanager
async def shop(emulator: Emulator, url: str) -> AsyncIterator[tuple[Gateway, str]]:
    """Yield a client, and the client id of a new application whose webhooks go to a URL."""
    async with Gateway(
        base_url=emulator.gateway_url,
        client_token=GATEWAY_CLIENT_TOKEN,
        oauth_token=GATEWAY_OAUTH_TOKEN,
    ) as gateway:
        application = await gateway.applications.create("The shop", SECRET, callback_url=url)
        yield gateway, application.client_id


async def ordered(gateway: Gateway, client_id: str) -> str:
    """Create a payment, and return its id."""
    checkout = await gateway.payments.create(10000, "USD", "r", "l", client_id=client_id)
    return checkout.payment_id


def states(emulator: Emulator) -> set[str]:
    """Wait until no delivery is in progress, and return the states of all."""
    while True:
        now = {str(each.status) for each in emulator.deliveries}
        if not now & {"pending", "sending"}:
            return now
        time.sleep(0.01)


async def delivered(emulator: Emulator) -> None:
    """Set the clock ahead until each webhook is acknowledged."""
    async with asyncio.timeout(60):
        while await asyncio.to_thread(states, emulator) != {"delivered"}:
            emulator.advance(HOUR)
            await asyncio.sleep(0.01)  # the emulator begins the attempts that are due


async def story(emulator: Emulator, url: str, seen: list[tuple[str, str]]) -> None:
    """Underpay a payment, pay the rest, refund it: each status is handled once."""
    async with shop(emulator, url) as (gateway, client_id):
        payment_id = await ordered(gateway, client_id)
        emulator.pay_gateway(payment_id, 9000)
        assert emulator.confirm_gateway(payment_id) == "UNDERPAID"
        await delivered(emulator)
        emulator.pay_gateway(payment_id)
        assert emulator.confirm_gateway(payment_id) == "RECEIVED"
        await delivered(emulator)
        assert (await gateway.payments.get(payment_id)).status == "CONFIRMED"
        await gateway.refunds.create(payment_id, blockchain_address="bc1q")
        assert emulator.refund_gateway(payment_id) == "REFUND"
        await delivered(emulator)
    assert seen == [(payment_id, status) for status in ("UNDERPAID", "RECEIVED", "REFUND")]
    assert [each.event_type for each in emulator.deliveries] == [
        "payment.underpaid",
        "payment.received",
        "payment.completed",
        "payment.refund",
    ]


@pytest.mark.parametrize("app", [aiohttp_add_post, starlette_route, fastapi_post])
@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_an_async_application(
    app: Callable[[Any], Any], kind: str, emulator: Emulator, tmp_path: Path
) -> None:
    """One line of routing is enough, for async and for plain handlers."""
    seen: list[tuple[str, str]] = []

    def handle(event: Event) -> None:
        seen.append((event.payment.id, event.payment.status))

    async def handle_async(event: Event) -> None:
        await asyncio.sleep(0)
        handle(event)

    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        receiver = Receiver(secrets=SECRET, ledger=ledger, max_age=MAX_AGE)
        for status in ("UNDERPAID", "RECEIVED", "REFUND"):
            receiver.on(status)(handle_async if kind == "async" else handle)
        async with serving(app(receiver)) as url:
            await story(emulator, url, seen)


@contextmanager
def blocking_shop(
    app: Callable[[Any], Any], path: Path, handle: Callable[[Event], None]
) -> Iterator[str]:
    """Serve a blocking receiver, and yield its URL."""
    with SQLiteLedger(path) as ledger:
        receiver = paychainhq_sync.gateway.webhooks.Receiver(
            secrets=SECRET, ledger=ledger, max_age=MAX_AGE
        )
        for status in ("UNDERPAID", "RECEIVED", "REFUND"):
            receiver.on(status)(handle)
        with wsgi_server(app(receiver)) as url:
            yield url


@pytest.mark.parametrize("app", [flask_post, django])
async def test_a_blocking_application(
    app: Callable[[Any], Any], emulator: Emulator, tmp_path: Path
) -> None:
    """One line of routing is enough in WSGI frameworks."""
    seen: list[tuple[str, str]] = []
    with blocking_shop(
        app,
        tmp_path / "ledger.db",
        lambda event: seen.append((event.payment.id, event.payment.status)),
    ) as url:
        await story(emulator, url, seen)


async def test_a_handler_that_fails_delays_the_confirmation(
    emulator: Emulator, tmp_path: Path
) -> None:
    """The gateway repeats its webhooks, and the payment is RECEIVED until a handler succeeds.

    A late UNDERPAID is handled after RECEIVED.
    """
    seen: list[str] = []
    broken = {"UNDERPAID", "RECEIVED"}

    def handle(event: Event) -> None:
        if event.payment.status in broken:
            raise ValueError("out of stock")
        seen.append(event.payment.status)

    with blocking_shop(flask_post, tmp_path / "ledger.db", handle) as url:
        async with shop(emulator, url) as (gateway, client_id):
            payment_id = await ordered(gateway, client_id)
            for amount in (9000, None):
                emulator.pay_gateway(payment_id, amount)
                emulator.confirm_gateway(payment_id)
                assert await asyncio.to_thread(states, emulator) == {"retrying"}
            assert (await gateway.payments.get(payment_id)).status == "RECEIVED"
            broken.remove("RECEIVED")
            emulator.advance(60)
            async with asyncio.timeout(60):
                while (await gateway.payments.get(payment_id)).status != "CONFIRMED":
                    await asyncio.sleep(0.01)
            assert seen == ["RECEIVED"]
            broken.clear()
            await delivered(emulator)
    assert seen == ["RECEIVED", "UNDERPAID"]
    assert all(each.attempts >= 2 for each in emulator.deliveries)


# --- the page ---

PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"


def blocks() -> list[str]:
    """Return the block of the page that makes a client, and the one that makes a receiver."""
    found = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [each for each in found if "gateway = Gateway(" in each or "receiver.aiohttp" in each]


async def test_the_block_of_the_page_receives_a_webhook(
    emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The webhooks of a paid payment are acknowledged, and the handler has run once.

    The names of the blocks are all that keeps their objects alive.
    """
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "block", "emulator": emulator}
    for block in blocks():
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        work = eval(compile(block, str(PAGE), "exec", flags=flags, dont_inherit=True), names)
        if inspect.iscoroutine(work):
            await work
    (secret,) = re.findall(r'secrets="(.+?)"', blocks()[1])
    async with names["gateway"] as gateway, serving(names["app"]) as url:
        made = await gateway.applications.create("The shop", secret, callback_url=url)
        capsys.readouterr()
        payment_id = await ordered(gateway, made.client_id)
        emulator.pay_gateway(payment_id)
        assert emulator.confirm_gateway(payment_id) == "RECEIVED"
        await asyncio.to_thread(states, emulator)
        emulator.advance(60)  # the second of two events at the same time may be repeated
        async with asyncio.timeout(60):
            while await asyncio.to_thread(states, emulator) != {"delivered"}:
                await asyncio.sleep(0.01)
        assert (await gateway.payments.get(payment_id)).status == "CONFIRMED"
    assert capsys.readouterr().out == "ship r\n"
