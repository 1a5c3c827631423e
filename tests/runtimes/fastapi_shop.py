"""Shop on FastAPI, as a user writes it: `uvicorn tests.runtimes.fastapi_shop:app --workers 2`.

Its handlers append the process, the event and the status to `handled.txt` in `SHOP_FOLDER`.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from fastapi import FastAPI

from paychainhq import PayChainHQ
from paychainhq.ledger import SQLiteLedger
from paychainhq.models import Invoice, Page
from paychainhq.webhooks import Event, Receiver

FOLDER = Path(os.environ.get("SHOP_FOLDER", "."))

pay = PayChainHQ.from_env()
receiver = Receiver.from_env(ledger=SQLiteLedger(FOLDER / "webhooks.db"))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with pay:
        yield


app = FastAPI(lifespan=lifespan)
app.post("/webhooks")(receiver.starlette)


@app.post("/orders/{order}")
async def order(order: str) -> Invoice:
    return await pay.invoices.create("5", "USDC", "eth", idempotency_key=f"order-{order}")


@app.get("/orders")
def orders() -> Page[Invoice]:
    async def first() -> Page[Invoice]:
        return await pay.invoices.list(limit=100)

    return anyio.from_thread.run(first)


@app.get("/process")
async def process() -> int:
    time.sleep(0.3)  # noqa: ASYNC251 (meanwhile, the other worker accepts)
    return os.getpid()


@receiver.on("invoice.paid")
def paid(event: Event) -> None:
    record(event, anyio.from_thread.run(event.fetch, pay))


@receiver.on("invoice.cancelled")
async def cancelled(event: Event) -> None:
    record(event, await event.fetch(pay))


def record(event: Event, invoice: Invoice) -> None:
    with (FOLDER / "handled.txt").open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {event.id} {invoice.status} {invoice.id}\n")
