"""Load with all that the dashboard shows: traffic, 429s, failures, jobs, a watch, webhooks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from aiohttp import web

from paychainhq import InvoiceRequest, PayChainError, PayChainHQ, RetryPolicy
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq.ledger import SQLiteLedger
from paychainhq.webhooks import Event, Receiver

SECRET = "whsec_of_the_load"


@contextlib.asynccontextmanager
async def receiving(ledger: SQLiteLedger) -> AsyncIterator[str]:
    """Serve a receiver of webhooks, one of whose handlers fails now and then."""
    receiver = Receiver(secrets=SECRET, ledger=ledger)
    handled = 0

    @receiver.on("invoice.paid")
    async def paid(event: Event) -> None:
        nonlocal handled
        handled += 1
        if handled % 10 == 0:
            raise ConnectionError("the shop's database is away")

    app = web.Application()
    app.router.add_post("/webhooks", receiver.aiohttp)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks"
    finally:
        await runner.cleanup()


async def run(folder: Path, seconds: float) -> None:
    """Run the load against an emulator.

    Args:
        folder: The folder of the ledger.
        seconds: The duration of each of the five phases.
    """
    with Emulator() as emulator, SQLiteLedger(folder / "jobs.db") as ledger:
        async with (
            PayChainHQ(
                api_key=API_KEY,
                business_id=BUSINESS_ID,
                base_url=emulator.url,
                retry=RetryPolicy(first=0.05, cap=1.0),
            ) as pay,
            receiving(ledger) as url,
        ):
            emulator.add_webhook(url, secret=SECRET)
            traffic = asyncio.create_task(orders(pay, emulator, 5 * seconds))
            watch = asyncio.create_task(follow(pay, emulator, 5 * seconds))
            await asyncio.sleep(seconds)
            emulator.fault("invoices.create", "429:1", times=8)
            await asyncio.sleep(seconds)
            for kind in ("503", "drop", "slow:0.4"):
                emulator.fault("*", kind, times=5)
            await asyncio.sleep(seconds)
            await imported(pay, ledger)
            await asyncio.sleep(seconds)
            await imported(pay, ledger)  # the ledger has the results
            await asyncio.gather(traffic, watch)


async def orders(pay: PayChainHQ, emulator: Emulator, seconds: float) -> None:
    """Create and read invoices in four tasks; simulated payers pay them."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds

    async def work() -> None:
        while loop.time() < end:
            with contextlib.suppress(PayChainError):
                invoice = await pay.invoices.create(amount="150", token="USDC", chain="eth")
                emulator.pay(invoice.id)
                emulator.confirm(invoice.id)
                await pay.invoices.get(invoice.id)
            await asyncio.sleep(0.05)

    await asyncio.gather(*(work() for _ in range(4)))


async def imported(pay: PayChainHQ, ledger: SQLiteLedger) -> None:
    """Create 200 invoices in one job."""

    def requests() -> Iterator[InvoiceRequest]:
        for number in range(200):
            yield InvoiceRequest(
                amount="20", token="USDC", chain="eth", reference=f"subscription-{number}"
            )

    async for outcome in pay.invoices.create_many(requests(), ledger=ledger, concurrency=4):
        outcome.unwrap()


async def follow(pay: PayChainHQ, emulator: Emulator, seconds: float) -> None:
    """Watch ten invoices, which are paid one after the other."""
    invoices = [
        await pay.invoices.create(amount="75", token="USDC", chain="eth") for _ in range(10)
    ]
    pause = seconds / 12

    async def pay_them() -> None:
        for invoice in invoices:
            await asyncio.sleep(pause)
            emulator.pay(invoice.id)
            emulator.confirm(invoice.id)

    payer = asyncio.create_task(pay_them())
    async for _ in pay.invoices.watch([invoice.id for invoice in invoices], interval=0.5):
        pass
    await payer
