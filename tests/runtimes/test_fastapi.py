"""FastAPI under uvicorn with two workers: results, webhooks and one ledger for both."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from paychainhq import PayChainHQ
from paychainhq.codec import from_json
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq.models import Invoice, Page
from tests.webhooks.samples import SECRET

ROOT = Path(__file__).parents[2]
ORDERS = 10


@asynccontextmanager
async def shop(emulator: Emulator, folder: Path) -> AsyncIterator[str]:
    """Run the shop in two worker processes of uvicorn, and return its URL."""
    command = "-m uvicorn tests.runtimes.fastapi_shop:app --workers 2 --port 0 --no-access-log"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command.split(),
        cwd=ROOT,
        stderr=PIPE,
        start_new_session=True,
        env={
            **os.environ,
            "PAYCHAIN_API_URL": emulator.url,
            "PAYCHAIN_API_KEY": API_KEY,
            "PAYCHAIN_BUSINESS_ID": BUSINESS_ID,
            "PAYCHAIN_WEBHOOK_SECRET": SECRET,
            "SHOP_FOLDER": str(folder),
        },
    )
    assert process.stderr is not None
    try:
        log = ""
        while log.count("Application startup complete") < 2:
            line = (await process.stderr.readline()).decode()
            assert line, log
            log += line
        yield log.partition("running on ")[2].split()[0]
        process.terminate()
        _, rest = await process.communicate()
        log += rest.decode()
        assert "Traceback" not in log, log
        assert process.returncode == 0
    finally:
        if process.returncode is None:  # after a failure: the workers would outlive the server
            os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()


async def lines(file: Path, count: int) -> list[list[str]]:
    """Return the words of each line, once the file has that many lines."""
    while True:
        found = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        if len(found) >= count:
            return [line.split() for line in found]
        await asyncio.sleep(0.02)


async def until_delivered(emulator: Emulator) -> None:
    """Let the emulator repeat deliveries, such as one that met the other worker's claim."""
    while {delivery.status for delivery in emulator.deliveries} != {"delivered"}:
        emulator.advance(61)
        await asyncio.sleep(0.1)


async def both_workers(session: aiohttp.ClientSession, url: str) -> set[str]:
    """Return the ids of both processes: while one of them is busy, the other one accepts."""
    found: set[str] = set()

    async def ask() -> None:
        async with session.get(f"{url}/process", headers={"Connection": "close"}) as response:
            found.add(await response.text())

    while len(found) < 2:
        one = asyncio.create_task(ask())
        await asyncio.sleep(0.1)
        await asyncio.gather(one, ask())
    return found


async def test_two_workers(tmp_path: Path) -> None:
    """Models are response types, and each event is handled once, by either worker."""
    with Emulator() as emulator:
        async with shop(emulator, tmp_path) as url, aiohttp.ClientSession() as session:
            emulator.add_webhook(f"{url}/webhooks", secret=SECRET, copies=2)

            async def post(order: int) -> Invoice:
                async with session.post(f"{url}/orders/{order}") as response:
                    return from_json(Invoice, await response.json())

            made = await asyncio.gather(*(post(order % ORDERS) for order in range(2 * ORDERS)))
            invoices = {invoice.id for invoice in made}
            assert len(invoices) == ORDERS  # twice under one key
            async with session.get(f"{url}/orders") as response:
                page = from_json(Page[Invoice], await response.json())
            assert invoices <= {invoice.id for invoice in page.items}

            first, *others = sorted(invoices)
            async with PayChainHQ(
                api_key=API_KEY, business_id=BUSINESS_ID, base_url=emulator.url
            ) as pay:
                await pay.invoices.cancel(first)
            for invoice in others:
                emulator.pay(invoice)
                emulator.confirm(invoice)
            handled = await lines(tmp_path / "handled.txt", ORDERS)
            await until_delivered(emulator)
            assert await lines(tmp_path / "handled.txt", ORDERS) == handled
            assert await both_workers(session, url) >= {line[0] for line in handled}
    assert {tuple(line[2:]) for line in handled} == {
        ("cancelled", first),
        *(("paid", invoice) for invoice in others),
    }
