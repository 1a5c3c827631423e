"""Watching of invoices until their statuses are terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing

from paychainhq._caller import Caller
from paychainhq._core import validators
from paychainhq._jobs.polling import poll
from paychainhq._jobs.rounds import Rounds, read_invoice
from paychainhq._jobs.streams import Stream
from paychainhq._jobs.watch_state import Change, Watched, WatchState
from paychainhq.errors import WaitTimeoutError
from paychainhq.models.invoices import TERMINAL, Invoice


async def wait(
    caller: Caller, invoice_id: str | Invoice, timeout: float, interval: float
) -> Invoice:
    """Return an invoice with a terminal status; the arguments are those of `pay.invoices.wait`."""
    id_, watched = _watched(invoice_id)

    async def read(caller: Caller) -> tuple[Invoice, bool]:
        invoice, status, _ = await read_invoice(caller, id_, watched)
        return invoice, status in TERMINAL

    invoice, ended = await poll(caller, read, timeout, interval)
    if invoice is not None and ended:
        return invoice
    last = "no successful read" if invoice is None else f"last status {invoice.status}"
    raise WaitTimeoutError(
        f"the status of invoice {id_} is not terminal after {timeout:g} s ({last})",
        invoice=invoice,
    )


def watch(
    caller: Caller,
    invoice_ids: Iterable[str | Invoice],
    interval: float,
    concurrency: int,
    seen: AsyncIterable[str | Invoice] | None,
    state: WatchState | None,
) -> Stream[Change]:
    """Return the changes of invoices; the arguments are those of `pay.invoices.watch`."""
    validators.seconds("interval", interval)
    validators.at_least(1, "concurrency", concurrency)
    given = list(map(_watched, invoice_ids))
    watching = (WatchState() if state is None else state)._watched
    for id_, watched in given:
        watching.setdefault(id_, watched)
    return Stream(_changes(caller, watching, interval, concurrency, seen))


async def _changes(
    caller: Caller,
    watching: dict[str, Watched],
    interval: float,
    concurrency: int,
    seen: AsyncIterable[str | Invoice] | None,
) -> AsyncGenerator[Change, None]:
    rounds = Rounds(caller, watching, interval, concurrency)
    watches = caller.transport.counters.watches
    watches[id(rounds)] = rounds.figures
    listener = None if seen is None else asyncio.create_task(rounds.listen(seen))
    try:
        while watching:
            async with aclosing(rounds.run()) as batches:
                async for changes in batches:
                    for change in changes:
                        _mark_reported(watching, change)
                        yield change
            await rounds.sleep()
    finally:
        del watches[id(rounds)]
        if listener is not None:
            listener.cancel()
            await asyncio.wait([listener])


def _mark_reported(watching: dict[str, Watched], change: Change) -> None:
    """Record the reported status, and stop watching an invoice with a terminal one."""
    if change.error is not None or change.current in TERMINAL:
        del watching[change.invoice_id]
    else:
        watching[change.invoice_id].last_reported = change.current


def _watched(invoice: str | Invoice) -> tuple[str, Watched]:
    if isinstance(invoice, Invoice):
        return invoice.id, Watched(expires_at=invoice.expires_at)
    validators.path_segment("invoice_id", invoice)
    return invoice, Watched()
