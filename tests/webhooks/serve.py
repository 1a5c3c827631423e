"""Webhook receiver in a process of its own, which prints its port.

Usage: `python -m tests.webhooks.serve FOLDER LEASE SECONDS`. Its handler takes up to SECONDS, then
writes the event's id to `handled.txt` in the folder.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from aiohttp import web

from paychainhq.ledger import SQLiteLedger
from paychainhq.webhooks import Event, Receiver
from tests.webhooks.samples import SECRET


async def main(folder: Path, lease: float, seconds: float) -> None:
    Receiver._within = min(Receiver._within, 0.9 * lease)
    with SQLiteLedger(folder / "ledger.db") as ledger:
        receiver = Receiver(secrets=SECRET, ledger=ledger, lease=lease)
        handled = os.open(folder / "handled.txt", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

        @receiver.on("invoice.paid")
        async def paid(event: Event) -> None:
            await asyncio.sleep(random.random() * seconds)
            os.write(handled, f"{event.id}\n".encode())

        app = web.Application()
        app.router.add_post("/webhooks", receiver.aiohttp)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)  # noqa: T201 (the parent process reads this)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
