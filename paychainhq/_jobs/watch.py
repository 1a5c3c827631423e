"""Following invoices to their end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from contextlib import aclosing, suppress
from datetime import datetime

import attrs

from paychainhq import operations
from paychainhq._caller import Caller
from paychainhq._core import validators
from paychainhq._http import responses
from paychainhq._http.transient import is_transient
from paychainhq._jobs.list_sweeps import Row, Sweeps, together
from paychainhq._jobs.polling import poll
from paychainhq._jobs.streams import Stream
from paychainhq._jobs.watch_state import Change, Watched, WatchState
from paychainhq.codec import from_json
from paychainhq.errors import DecodeError, NotFoundError, PayChainError, WaitTimeoutError
from paychainhq.models.invoices import TERMINAL, Invoice, InvoiceStatus
from paychainhq.models.lists import Page

# A pending invoice that does not change is asked for less and less often, down to one time in so
# many intervals.
_GROWTH = 1.25
_LONGEST_INTERVAL = 12
# Who is due within this part of the interval is served along with the others.
_ALONG = 0.1
# Seconds: the server's `Date` is no finer.
_TICK = 1.0


async def wait(
    caller: Caller, invoice_id: str | Invoice, timeout: float, interval: float
) -> Invoice:
    id_, watched = _watched(invoice_id)

    async def look(caller: Caller) -> tuple[Invoice, bool]:
        invoice = await _read(caller, id_)
        invoice, status = _judged(invoice, watched, _server_time(invoice))
        return invoice, status in TERMINAL

    invoice, ended = await poll(caller, look, timeout, interval)
    if invoice is not None and ended:
        return invoice
    seen = f"it was last seen {invoice.status}" if invoice is not None else "it was never seen"
    raise WaitTimeoutError(
        f"invoice {id_} did not come to its end within {timeout:g} s: {seen}", invoice=invoice
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
    looks = _Looks(caller, watching, interval, concurrency)
    listener = None if seen is None else asyncio.create_task(looks.listen(seen))
    try:
        while watching:
            async with aclosing(looks.look()) as batches:
                async for changes in batches:
                    for change in changes:
                        _tell(watching, change)
                        yield change
            await looks.rest()
    finally:
        if listener is not None:
            listener.cancel()
            await asyncio.wait([listener])


def _tell(watching: dict[str, Watched], change: Change) -> None:
    """A change counts as told from now on, and what has ended is not watched any more."""
    if change.error is not None or change.current in TERMINAL:
        del watching[change.invoice_id]
    else:
        watching[change.invoice_id].told = change.current


class _Looks:
    """Looks at invoices when they are due: by sweeps of the lists, or by single reads, whichever is
    fewer requests.

    All that is learned is learned in order: requests that tell of the same invoice are never under
    way at the same time.
    """

    def __init__(
        self, caller: Caller, watching: dict[str, Watched], interval: float, concurrency: int
    ) -> None:
        self._caller = caller
        self._watching = watching
        self._interval = interval
        self._concurrency = concurrency
        self._sweeps = Sweeps(caller, concurrency)
        self._number = 0
        self._seen: set[str] = set()
        self._failure: Exception | None = None
        self._failed = False
        self._wake = asyncio.Event()
        self._now = asyncio.get_running_loop().time

    # --- when ---

    async def listen(self, seen: AsyncIterable[str | Invoice]) -> None:
        """Note the ids that something else has seen change; a failure of it ends the watch."""
        try:
            async for invoice in seen:
                self._seen.add(invoice.id if isinstance(invoice, Invoice) else invoice)
                self._wake.set()
        except Exception as error:  # noqa: BLE001 (the caller's own, raised by `rest`)
            self._failure = error
            self._wake.set()

    async def rest(self) -> None:
        """Wait until somebody is due, or was seen; after a failure, one interval."""
        if self._watching:
            next_due = min(watched.due for watched in self._watching.values())
            if self._failed:
                next_due = max(next_due, self._now() + self._interval)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_due):
                    await self._wake.wait()
        self._wake.clear()
        self._failed = False
        if self._failure is not None:
            raise self._failure

    def _schedule(
        self, watched: Watched, status: str, now: datetime | None, at: float, *, changed: bool
    ) -> None:
        """Set when to look again, counted from `at`: less often at what stays pending, and right
        after it expires.
        """
        grown = min(watched.interval * _GROWTH, self._interval * _LONGEST_INTERVAL)
        watched.interval = (
            self._interval
            if changed or status != InvoiceStatus.PENDING
            else max(grown, self._interval)
        )
        wait = watched.interval
        if watched.expires_at is not None and now is not None and status == InvoiceStatus.PENDING:
            left = (watched.expires_at - now).total_seconds()
            wait = min(wait, max(left, min(_TICK, self._interval)))
        watched.due = at + wait

    # --- looking ---

    async def look(self) -> AsyncGenerator[list[Change], None]:
        """Look at all that are due, and give what has changed, as it is found."""
        self._number += 1
        self._take_seen()
        until = self._now() + self._interval * _ALONG
        due: Counter[str | None] = Counter(
            watched.told for watched in self._watching.values() if watched.due <= until
        )
        unseen = due.pop(None, 0)
        statuses = {
            status
            for status, reads in due.items()
            if status is not None and self._sweeps.pay([status], reads)
        }
        if unseen and self._sweeps.pay(_OPEN, unseen):
            statuses |= set(_OPEN)
        for status in sorted(statuses, key=_by_progress):
            async with aclosing(self._sweep(status, due[status] + unseen)) as batches:
                async for changes in batches:
                    yield changes
        reads = [
            id_
            for id_, watched in self._watching.items()
            if watched.look != self._number and watched.due <= until
        ]
        async with aclosing(self._read_all(reads)) as batches:
            async for changes in batches:
                yield changes

    def _take_seen(self) -> list[str]:
        """Whoever was seen is due at once."""
        seen, self._seen = [id_ for id_ in self._seen if id_ in self._watching], set()
        for id_ in seen:
            self._watching[id_].due = 0.0
        return seen

    async def _sweep(self, status: str, reads: int) -> AsyncGenerator[list[Change], None]:
        """Look at the list of a status. Whoever should be in it and is not has left it, and is due
        at once.
        """
        try:
            async with aclosing(self._sweeps.pages(status, reads)) as batches:
                async for pages in batches:
                    changes = {
                        change.invoice_id: change
                        for page in pages
                        for change in self._on_page(page)
                    }
                    yield list(changes.values())
                    if self._seen:
                        async with aclosing(self._read_all(self._take_seen())) as more:
                            async for seen in more:
                                yield seen
        except DecodeError:
            self._sweeps.avoid(status)
            return
        except PayChainError as error:
            if not is_transient(error):
                raise
            self._failed = True
            return
        if self._sweeps.is_complete:
            for watched in self._watching.values():
                if watched.told == status and watched.look != self._number:
                    watched.due = 0.0

    def _on_page(self, page: Page[Row]) -> Iterable[Change]:
        now = None if page.response is None else responses.server_time(page.response.headers)
        at = self._now()
        for row in page.items:
            id_ = row.get("id") if isinstance(row, dict) else None
            watched = self._watching.get(id_) if isinstance(id_, str) else None
            if watched is None:
                continue
            told, expires_at = watched.told, watched.expires_at
            if (
                row.get("status") == told
                and told is not None
                and now is not None
                and expires_at is not None
                and now < expires_at
            ):
                watched.look = self._number
                self._schedule(watched, told, now, at, changed=False)
                continue
            try:
                invoice, status = _judged(from_json(Invoice, row), watched, now)
            except DecodeError:
                watched.due = 0.0  # a read of its own shows whether the invoice can be decoded
                continue
            if status != invoice.status:
                watched.due = (
                    0.0  # it has expired by the server's clock: a look of its own makes sure
                )
                continue
            watched.look = self._number
            self._schedule(watched, status, now, at, changed=status != watched.told)
            if status != watched.told:
                yield Change(
                    invoice_id=invoice.id, invoice=invoice, previous=watched.told, current=status
                )

    async def _read_all(self, ids: Sequence[str]) -> AsyncGenerator[list[Change], None]:
        for start in range(0, len(ids), self._concurrency):
            batch = [id_ for id_ in ids[start : start + self._concurrency] if id_ in self._watching]
            if self._failed:  # the server or the network is away: not to be asked for each
                return
            if batch:
                yield [
                    change
                    for change in await together(self._change(id_) for id_ in batch)
                    if change is not None
                ]

    async def _change(self, id_: str) -> Change | None:
        """Look at one invoice."""
        watched = self._watching[id_]
        watched.look = self._number
        try:
            invoice = await _read(self._caller, id_)
        except (NotFoundError, DecodeError) as error:
            return Change(invoice_id=id_, previous=watched.told, error=error)
        except PayChainError as error:
            if not is_transient(error):
                raise
            self._failed = True
            return None
        now = _server_time(invoice)
        invoice, status = _judged(invoice, watched, now)
        self._schedule(watched, status, now, self._now(), changed=status != watched.told)
        if status == watched.told:
            return None
        return Change(invoice_id=id_, invoice=invoice, previous=watched.told, current=status)


_OPEN = tuple(status for status in InvoiceStatus if status not in TERMINAL)


def _by_progress(status: str) -> int:
    """In the order of an invoice's life: who moves on while its list is read is met in the next
    one.
    """
    return _OPEN.index(InvoiceStatus(status)) if status in _OPEN else len(_OPEN)


async def _read(caller: Caller, id_: str) -> Invoice:
    return await caller.call(operations.INVOICES_GET, {"invoice_id": id_})


def _server_time(invoice: Invoice) -> datetime | None:
    return responses.server_time(invoice.response.headers) if invoice.response else None


def _judged(
    invoice: Invoice, watched: Watched, now: datetime | None
) -> tuple[Invoice, InvoiceStatus | str]:
    """Judge an invoice by the server's clock. `expires_at` is kept from where it was seen: a single
    read does not give it.
    """
    if invoice.expires_at is None and watched.expires_at is not None:
        invoice = attrs.evolve(invoice, expires_at=watched.expires_at)
    watched.expires_at = invoice.expires_at
    return invoice, invoice.effective_status(now) if watched.expires_at else invoice.status


def _watched(invoice: str | Invoice) -> tuple[str, Watched]:
    if isinstance(invoice, Invoice):
        return invoice.id, Watched(expires_at=invoice.expires_at)
    validators.path_segment("invoice_id", invoice)
    return invoice, Watched()
