"""Sweeps: what the list of one status says of many invoices, for the price of a few requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable
from typing import Any, TypeVar, cast

import attrs

from paychainhq._caller import Caller
from paychainhq._core.operation import Operation
from paychainhq.models.lists import Page
from paychainhq.operations import INVOICES_LIST

T = TypeVar("T")

Row = dict[str, Any]
"""An invoice as the list has it: most have not changed, and need not become models."""

_LIST: Operation[Page[Row]] = cast(Any, attrs.evolve(INVOICES_LIST, response=lambda: Page[Any]))

# Assumption: no document gives the largest page; a server that grants less says so, and its pages
# are taken as they come.
_LARGEST_PAGE = 100
# How fast it is forgotten that there were many pages: now and then one is read to see.
_FORGETTING = 0.9
_MANY = 1e6


class Sweeps:
    """Reads the lists of the statuses that are open, where that is cheaper than reading each
    invoice.
    """

    def __init__(self, caller: Caller, concurrency: int) -> None:
        self._caller = caller
        self._concurrency = concurrency
        self._pages: dict[str, float] = {}
        self.is_complete = False

    def pay(self, statuses: Iterable[str], reads: int) -> bool:
        """Whether to sweep these statuses rather than make so many single reads, as far as it is
        known how long they are.
        """
        if self._caller.business_id is None:  # a single read needs none, a list does
            return False
        known = {status: self._pages.get(status, 1.0) for status in statuses}
        if sum(known.values()) < reads:
            return True
        self._pages.update(
            (status, pages * _FORGETTING)
            for status, pages in known.items()
            if status in self._pages
        )
        return False

    def avoid(self, status: str) -> None:
        """Sweep a status less often, since one of its pages could not be decoded."""
        self._pages[status] = _MANY

    async def pages(self, status: str, reads: int) -> AsyncGenerator[list[Page[Row]], None]:
        """Give the pages of a status, several at a time; afterwards `is_complete` says whether that
        were all.

        It stops after the first one if that shows that so many single reads are cheaper than the
        others.
        """
        self.is_complete = False
        first = await self._page(status, 1)
        yield [first]
        pagination, number = first.pagination, 1
        total = pagination.total_pages if pagination is not None else 1
        self._pages[status] = float(max(total, 1))
        if total - 1 > reads:
            return
        last = first
        while _goes_on(last):
            # All that there should be; where the list has grown meanwhile, one after the other.
            upto = max(min(total, number + self._concurrency), number + 1)
            batch = await together(self._page(status, page) for page in range(number + 1, upto + 1))
            number = upto
            if batch[-1].items == last.items:
                break  # a server that repeats itself
            last = batch[-1]
            yield batch
        self.is_complete = True

    async def _page(self, status: str, page: int) -> Page[Row]:
        return await self._caller.call(
            _LIST, {"status": status, "page": page, "limit": _LARGEST_PAGE}
        )


def _goes_on(page: Page[Row]) -> bool:
    return bool(page.items) and page.pagination is not None and page.pagination.has_more


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do several things at once; the first failure cancels the others and is raised as it is, not
    in a group.
    """
    tasks = [asyncio.create_task(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
