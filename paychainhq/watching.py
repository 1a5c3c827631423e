"""Following invoices to their end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Coroutine, Iterable
from datetime import datetime
from typing import Any, TypeVar

import attrs

from paychainhq import answers, arguments, config, operations
from paychainhq.bulk import is_transient
from paychainhq.calls import Caller
from paychainhq.errors import NotFoundError, PayChainError, WaitTimeoutError
from paychainhq.jobs import Change
from paychainhq.models.invoices import TERMINAL, Invoice, InvoiceStatus

T = TypeVar("T")


@attrs.define
class _Watched:
    """What is kept of an invoice between two reads."""

    expires_at: datetime | None = None
    status: InvoiceStatus | str | None = None


async def wait(caller: Caller, invoice_id: str | Invoice, timeout: float, interval: float) -> Invoice:
    config.seconds("timeout", timeout, zero=True)
    config.seconds("interval", interval)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    id_, watched = _watched(invoice_id)
    last: Invoice | None = None
    while (left := deadline - loop.time()) > 0 or last is None:
        try:
            last, status = await _read(attrs.evolve(caller, timeout=min(caller.timeout, max(left, 0.001))), id_, watched)
        except PayChainError as error:
            if not is_transient(error):
                raise
        else:
            if status in TERMINAL:
                return last
        if loop.time() >= deadline:
            break
        await asyncio.sleep(min(interval, max(0.0, deadline - loop.time())))
    seen = f"it was last seen {last.status}" if last is not None else "it was never seen"
    raise WaitTimeoutError(f"invoice {id_} did not come to its end within {timeout:g} s: {seen}", invoice=last)


async def watch(
    caller: Caller, invoice_ids: Iterable[str | Invoice], interval: float, concurrency: int
) -> AsyncGenerator[Change, None]:
    config.seconds("interval", interval)
    config.at_least(1, "concurrency", concurrency)
    loop = asyncio.get_running_loop()
    watching = dict(map(_watched, invoice_ids))
    while watching:
        due = loop.time() + interval
        ids = iter(list(watching))
        while batch := list(itertools.islice(ids, concurrency)):
            for change in filter(None, await _together(_change(caller, id_, watching[id_]) for id_ in batch)):
                if change.error is not None or change.current in TERMINAL:
                    del watching[change.invoice_id]
                yield change
        if watching:
            await asyncio.sleep(max(0.0, due - loop.time()))


async def _together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do several things at once; the first failure cancels the others and is raised as it is, not in a group."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _change(caller: Caller, id_: str, watched: _Watched) -> Change | None:
    try:
        invoice, status = await _read(caller, id_, watched)
    except NotFoundError as error:
        return Change(invoice_id=id_, previous=watched.status, error=error)
    except PayChainError as error:
        if is_transient(error):
            return None
        raise
    if status == watched.status:
        return None
    previous, watched.status = watched.status, status
    return Change(invoice_id=id_, invoice=invoice, previous=previous, current=status)


async def _read(caller: Caller, id_: str, watched: _Watched) -> tuple[Invoice, InvoiceStatus | str]:
    """Read an invoice, and judge by the server's clock whether it has expired: the read itself is the look after its expiry."""
    invoice = await caller.call(operations.INVOICES_GET, {"invoice_id": id_})
    if invoice.expires_at is None and watched.expires_at is not None:
        invoice = attrs.evolve(invoice, expires_at=watched.expires_at)
    watched.expires_at = invoice.expires_at
    now = answers.server_time(invoice.response.headers) if invoice.response else None
    return invoice, invoice.effective_status(now) if watched.expires_at else invoice.status


def _watched(invoice: str | Invoice) -> tuple[str, _Watched]:
    if isinstance(invoice, Invoice):
        return invoice.id, _Watched(expires_at=invoice.expires_at)
    arguments.path_segment("invoice_id", invoice)
    return invoice, _Watched()
