"""Shop with an emulated PayChainHQ: `python examples/shop [--port 8080] [--no-webhooks]`.

An emulated payer pays each new invoice a few seconds after its creation, and the chain confirms it
a few seconds later.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import tempfile
from contextlib import closing
from pathlib import Path

from aiohttp import web
from app import Shop
from orders import Orders

from paychainhq import PayChainHQ
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq.ledger import SQLiteLedger


async def payer(pay: PayChainHQ, emulator: Emulator, seconds: float) -> None:
    """Pay every open invoice, and let the chain confirm the payment."""
    while True:
        await asyncio.sleep(seconds)
        confirming = [invoice async for invoice in pay.invoices.list(status="confirming")]
        pending = [invoice async for invoice in pay.invoices.list(status="pending")]
        for invoice in confirming:
            emulator.confirm(invoice.id)
        for invoice in pending:
            emulator.pay(invoice.id)


async def main(port: int, webhooks: bool, interval: float, seconds: float, folder: Path) -> None:
    secret = secrets.token_hex(16)
    with (
        Emulator() as emulator,
        SQLiteLedger(folder / "ledger.db") as ledger,
        closing(Orders(str(folder / "orders.db"))) as orders,
    ):
        async with PayChainHQ(
            api_key=API_KEY, business_id=BUSINESS_ID, base_url=emulator.url
        ) as pay:
            runner = web.AppRunner(
                Shop(pay, ledger, orders, secret, interval=interval).app(), access_log=None
            )
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", port).start()
                url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                if webhooks:
                    emulator.add_webhook(f"{url}/webhooks", secret=secret)
                print(f"the shop is open at {url}", flush=True)
                print(f"the emulator's inspector: {emulator.url}/_emulator/", flush=True)
                await payer(pay, emulator, seconds)
            finally:
                await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument(
        "--no-webhooks", action="store_true", help="send no webhooks, as if all were lost"
    )
    parser.add_argument(
        "--interval", type=float, default=5.0, help="seconds between two reads of an open invoice"
    )
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="delay of the payer and of the chain in seconds"
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    with tempfile.TemporaryDirectory() as folder:
        try:
            asyncio.run(
                main(given.port, not given.no_webhooks, given.interval, given.seconds, Path(folder))
            )
        except KeyboardInterrupt:
            print("the shop is closed")
