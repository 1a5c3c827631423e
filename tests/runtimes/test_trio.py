"""Trio, or no event loop: an error names asyncio and the sync face, from every entry point."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import paychainhq_sync
from paychainhq import ConfigurationError, PayChainHQ
from paychainhq.emulator import BUSINESS_ID, Emulator
from paychainhq.gateway import Gateway, webhooks
from paychainhq.ledger import MemoryLedger, SQLiteLedger
from paychainhq.typing import CustomerRequestDict, InvoiceRequestDict
from paychainhq.webhooks import Receiver
from tests.support.client import KEY
from tests.webhooks.samples import BODY, SECRET, signed

ROW: InvoiceRequestDict = {"reference": "r1", "amount": "1", "token": "USDC", "chain": "eth"}
CUSTOMER: CustomerRequestDict = {"reference": "c1", "external_ref": "c1"}


async def enter(client: Any) -> None:
    async with client:
        raise AssertionError("entered")


async def read(items: Any) -> None:
    async for _ in items:
        raise AssertionError("an item")


async def enter_stream(stream: Any) -> None:
    async with stream as items:
        await read(items)


def receiver() -> Receiver:
    made = Receiver(secrets=SECRET, ledger=MemoryLedger())
    made.on("invoice.paid")(lambda event: None)
    return made


ENTRY_POINTS: dict[str, Callable[[PayChainHQ], Awaitable[Any]]] = {
    "call": lambda pay: pay.invoices.get("inv_1"),
    "create": lambda pay: pay.invoices.create("1", "USDC", "eth"),
    "create with a key": lambda pay: pay.invoices.create("1", "USDC", "eth", idempotency_key="k"),
    "request": lambda pay: pay.request("GET", "/api/v1/new"),
    "page": lambda pay: pay.invoices.list(),
    "items": lambda pay: read(pay.invoices.list()),
    "pages": lambda pay: read(pay.invoices.list().pages()),
    "create_many": lambda pay: read(pay.invoices.create_many([ROW])),
    "create_many, empty": lambda pay: read(pay.invoices.create_many([])),
    "create_many, as a block": lambda pay: enter_stream(pay.invoices.create_many([ROW])),
    "customers": lambda pay: read(pay.customers.create_many([CUSTOMER])),
    "watch": lambda pay: read(pay.invoices.watch(["inv_1"])),
    "watch, as a block": lambda pay: enter_stream(pay.invoices.watch(["inv_1"])),
    "watch with events": lambda pay: read(pay.invoices.watch([], seen=pay.invoices.list())),
    "wait": lambda pay: pay.invoices.wait("inv_1"),
    "wait without a timeout": lambda pay: pay.invoices.wait("inv_1", timeout=0),
    "async with": enter,
    "async with a view": lambda pay: enter(pay.with_options(timeout=5)),
    "close": lambda pay: pay.close(),
    "gateway": lambda _: Gateway(
        base_url="https://x", client_token=KEY, client_id="c_1"
    ).payments.get("p_1"),
    "gateway, request": lambda _: Gateway(base_url="https://x", client_token=KEY).request(
        "GET", "/api/new"
    ),
    "gateway, receiver": lambda _: webhooks.Receiver(secrets=SECRET, ledger=MemoryLedger()).receive(
        BODY, {}
    ),
    "gateway, async with": lambda _: enter(Gateway(base_url="https://x")),
    "gateway, close": lambda _: Gateway(base_url="https://x").close(),
    "receiver": lambda _: receiver().receive(BODY, signed(BODY)),
    "receiver, unverified": lambda _: receiver().receive(BODY, {}),
}


def without_a_loop(entry_point: Callable[[PayChainHQ], Awaitable[Any]], pay: PayChainHQ) -> None:
    """Step through a coroutine without an event loop, as a notebook's beginner may."""
    coroutine = entry_point(pay).__await__()
    try:
        coroutine.send(None)
    finally:
        coroutine.close()


def under_trio(entry_point: Callable[[PayChainHQ], Awaitable[Any]], pay: PayChainHQ) -> None:
    async def main() -> None:
        await entry_point(pay)

    trio.run(main)


@pytest.mark.parametrize("run", [under_trio, without_a_loop])
@pytest.mark.parametrize("with_ledger", [False, True])
@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_every_entry_point(
    entry_point: str, with_ledger: bool, run: Callable[..., None], tmp_path: Path
) -> None:
    """The error names asyncio and the sync face, and nothing is left behind."""
    ledger = SQLiteLedger(tmp_path / "ledger.db") if with_ledger else None
    pay = PayChainHQ(api_key=KEY, business_id="biz_1", idempotency=ledger)
    with pytest.raises(ConfigurationError, match=r"no asyncio .* or paychainhq_sync") as caught:
        run(ENTRY_POINTS[entry_point], pay)
    assert caught.value.sent == "no"
    assert caught.value.__suppress_context__
    if ledger is not None:
        assert list(ledger.entries()) == []
        ledger.close()


def test_the_sync_face_in_a_thread_of_trio() -> None:
    """The advice of the error works."""
    with Emulator() as emulator:

        async def main() -> str:
            with paychainhq_sync.PayChainHQ(
                api_key=KEY, business_id=BUSINESS_ID, base_url=emulator.url
            ) as pay:
                made = await trio.to_thread.run_sync(pay.invoices.create, "1", "USDC", "eth")
                found = await trio.to_thread.run_sync(pay.invoices.get, made.id)
                await trio.to_thread.run_sync(pay.close)
            return found.status

        assert trio.run(main) == "pending"
