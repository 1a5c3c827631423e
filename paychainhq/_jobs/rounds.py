"""Rounds of a watch: sweeps of the lists, or single reads of due invoices."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from paychainhq import operations
from paychainhq._caller import Caller
from paychainhq._core.event_loop import running_loop
from paychainhq._http import responses
from paychainhq._http.transient import is_transient
from paychainhq._jobs.list_sweeps import Row, Sweeps, gather_all
from paychainhq._jobs.scopes import Scope
from paychainhq._jobs.watch_state import Change, ReadFailure, StatusChange, Watched
from paychainhq.codec import from_json
from paychainhq.errors import DecodeError, NotFoundError, PayChainError
from paychainhq.models.invoices import TERMINAL, Invoice, InvoiceStatus
from paychainhq.models.lists import Page

if TYPE_CHECKING:
    from paychainhq.telemetry.facts import RoundEnd

# The interval of a pending invoice without changes grows by this factor, up to this multiple.
_GROWTH = 1.25
_LONGEST_INTERVAL = 12
# Invoices that are due within this fraction of the interval belong to the same round.
_EARLY_SHARE = 0.1
# The resolution of the server's `Date` in seconds.
_DATE_RESOLUTION = 1.0
_OPEN = tuple(status for status in InvoiceStatus if status not in TERMINAL)


class Rounds:
    """Rounds of a watch: sweeps of the lists or single reads of due invoices, the fewer requests.

    Two requests that may return the same invoice are never in progress at the same time, so that
    its changes are observed in order.
    """

    def __init__(
        self, caller: Caller, watching: dict[str, Watched], interval: float, concurrency: int
    ) -> None:
        self._caller = caller
        self._watching = watching
        self._interval = interval
        self._concurrency = concurrency
        self._sweeps = Sweeps(caller, concurrency)
        self._round = 0
        self._seen: set[str] = set()
        self._failure: Exception | None = None
        self._failed = False
        self._wake = asyncio.Event()
        self._now = running_loop().time
        self._counters = caller.transport.counters
        telemetry = caller.transport.telemetry
        hook = None if telemetry is None else telemetry.round
        self._scope = Scope(hook, "invoices.watch", self._end)
        self._watched = self._changes = 0
        self._behind = 0.0
        self._lags: list[float] = []

    # --- schedule ---

    async def listen(self, seen: AsyncIterable[str | Invoice]) -> None:
        """Collect the ids that `seen` yields. Its failure ends the watch."""
        try:
            async for invoice in seen:
                self._seen.add(invoice.id if isinstance(invoice, Invoice) else invoice)
                self._wake.set()
        except Exception as error:  # noqa: BLE001 (the caller's: `sleep` raises it)
            self._failure = error
            self._wake.set()

    async def sleep(self) -> None:
        """Wait until an invoice is due or seen; at least one interval after a failure."""
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
        """Set the time of the next read, counted from `at`.

        A pending invoice without changes is read less and less often, and right after its expiry.
        """
        if changed and watched.read and watched.last_reported is not None:
            self._lags.append(at - watched.read)
        watched.read = at
        grown = min(watched.interval * _GROWTH, self._interval * _LONGEST_INTERVAL)
        watched.interval = (
            self._interval
            if changed or status != InvoiceStatus.PENDING
            else max(grown, self._interval)
        )
        wait = watched.interval
        if watched.expires_at is not None and now is not None and status == InvoiceStatus.PENDING:
            left = (watched.expires_at - now).total_seconds()
            wait = min(wait, max(left, min(_DATE_RESOLUTION, self._interval)))
        watched.due = at + wait

    # --- reads ---

    async def run(self) -> AsyncGenerator[list[Change], None]:
        """Run one round over all due invoices, and yield their changes in batches."""
        now = self._now()
        first_due = min((state.due for state in self._watching.values() if state.due), default=now)
        self._behind = max(0.0, now - first_due)
        self._watched, self._changes, self._lags = len(self._watching), 0, []
        with self._scope:
            async with aclosing(self._run()) as batches:
                async for changes in batches:
                    self._changes += len(changes)
                    self._counters.changes += len(changes)
                    yield changes
        self._counters.rounds += 1

    def _end(self, **facts: Any) -> RoundEnd:
        from paychainhq.telemetry.facts import RoundEnd

        return RoundEnd(
            watched=self._watched,
            changes=self._changes,
            behind=self._behind,
            lags=tuple(self._lags),
            **facts,
        )

    def figures(self) -> tuple[int, float]:
        """Return the number of watched invoices, and the seconds by which the round was late."""
        return len(self._watching), self._behind

    async def _run(self) -> AsyncGenerator[list[Change], None]:
        self._round += 1
        self._schedule_seen()
        until = self._now() + self._interval * _EARLY_SHARE
        due: Counter[str | None] = Counter(
            watched.last_reported for watched in self._watching.values() if watched.due <= until
        )
        unseen = due.pop(None, 0)
        statuses = {
            status
            for status, reads in due.items()
            if status is not None and self._sweeps.are_cheaper([status], reads)
        }
        if unseen and self._sweeps.are_cheaper(_OPEN, unseen):
            statuses |= set(_OPEN)
        for status in sorted(statuses, key=_by_progress):
            async with aclosing(self._sweep(status, due[status] + unseen)) as batches:
                async for changes in batches:
                    yield changes
        reads = [
            id_
            for id_, watched in self._watching.items()
            if watched.last_round != self._round and watched.due <= until
        ]
        async with aclosing(self._read_all(reads)) as batches:
            async for changes in batches:
                yield changes

    def _schedule_seen(self) -> list[str]:
        """Make the seen invoices due at once, and return their ids."""
        seen, self._seen = [id_ for id_ in self._seen if id_ in self._watching], set()
        for id_ in seen:
            self._watching[id_].due = 0.0
        return seen

    async def _sweep(self, status: str, reads: int) -> AsyncGenerator[list[Change], None]:
        """Sweep the list of a status.

        An invoice that a complete sweep does not find has changed its status, and is due at once.
        """
        try:
            async with aclosing(self._sweeps.pages(status, reads, self._scope)) as batches:
                async for pages in batches:
                    changes = {
                        change.invoice_id: change
                        for page in pages
                        for change in self._on_page(page)
                    }
                    yield list(changes.values())
                    if self._seen:
                        async with aclosing(self._read_all(self._schedule_seen())) as more:
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
                if watched.last_reported == status and watched.last_round != self._round:
                    watched.due = 0.0

    def _on_page(self, page: Page[Row]) -> Iterable[Change]:
        now = None if page.response is None else responses.server_time(page.response.headers)
        at = self._now()
        for row in page.items:
            id_ = row.get("id") if isinstance(row, dict) else None
            watched = self._watching.get(id_) if isinstance(id_, str) else None
            if watched is None:
                continue
            reported, expires_at = watched.last_reported, watched.expires_at
            if (
                row.get("status") == reported
                and reported is not None
                and now is not None
                and expires_at is not None
                and now < expires_at
            ):
                watched.last_round = self._round
                self._schedule(watched, reported, now, at, changed=False)
                continue
            try:
                invoice, status = _effective(from_json(Invoice, row), watched, now)
            except DecodeError:
                watched.due = 0.0  # a single read may return a body that can be decoded
                continue
            if status != invoice.status:
                watched.due = 0.0  # expired by the server's clock: a single read confirms it
                continue
            watched.last_round = self._round
            self._schedule(watched, status, now, at, changed=status != watched.last_reported)
            if status != watched.last_reported:
                yield StatusChange(
                    invoice_id=invoice.id,
                    invoice=invoice,
                    previous=watched.last_reported,
                    current=status,
                )

    async def _read_all(self, ids: Sequence[str]) -> AsyncGenerator[list[Change], None]:
        for start in range(0, len(ids), self._concurrency):
            batch = [id_ for id_ in ids[start : start + self._concurrency] if id_ in self._watching]
            if self._failed:  # an outage: further reads would fail too
                return
            if batch:
                yield [
                    change
                    for change in await gather_all(map(self._change, batch), self._scope)
                    if change is not None
                ]

    async def _change(self, id_: str) -> Change | None:
        """Read one invoice, and return its change or None."""
        watched = self._watching[id_]
        watched.last_round = self._round
        try:
            invoice, status, now = await read_invoice(self._caller, id_, watched)
        except (NotFoundError, DecodeError) as error:
            return ReadFailure(invoice_id=id_, previous=watched.last_reported, error=error)
        except PayChainError as error:
            if not is_transient(error):
                raise
            self._failed = True
            return None
        changed = status != watched.last_reported
        self._schedule(watched, status, now, self._now(), changed=changed)
        if not changed:
            return None
        return StatusChange(
            invoice_id=id_, invoice=invoice, previous=watched.last_reported, current=status
        )


def _by_progress(status: str) -> int:
    """Return the sort key of a status in the order of an invoice's life.

    In this order, an invoice that changes its status during a sweep is in the next list.
    """
    return _OPEN.index(InvoiceStatus(status)) if status in _OPEN else len(_OPEN)


async def read_invoice(
    caller: Caller, id_: str, watched: Watched
) -> tuple[Invoice, InvoiceStatus | str, datetime | None]:
    """Return an invoice, its status by the server's clock, and that clock's time."""
    invoice = await caller.call(operations.INVOICES_GET, {"invoice_id": id_})
    now = responses.server_time(invoice.response.headers) if invoice.response else None
    return *_effective(invoice, watched, now), now


def _effective(
    invoice: Invoice, watched: Watched, now: datetime | None
) -> tuple[Invoice, InvoiceStatus | str]:
    """Return an invoice with its known `expires_at`, and its status by the server's clock.

    A single read does not return `expires_at`, so an earlier value is kept.
    """
    if invoice.expires_at is None and watched.expires_at is not None:
        invoice = attrs.evolve(invoice, expires_at=watched.expires_at)
    watched.expires_at = invoice.expires_at
    return invoice, invoice.effective_status(now) if watched.expires_at else invoice.status
