"""Sweeps: many invoices by pages of the list of a status, instead of single reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable
from typing import Any, TypeVar, cast

import attrs

from paychainhq._caller import Caller
from paychainhq._core.operation import Operation
from paychainhq._jobs.scopes import Scope
from paychainhq.models.lists import Page
from paychainhq.operations import INVOICES_LIST

T = TypeVar("T")

Row = dict[str, Any]
"""Invoice as the list returns it. Most have not changed, and need not become models."""

_LIST: Operation[Page[Row]] = cast(Any, attrs.evolve(INVOICES_LIST, response=lambda: Page[Any]))

# Assumption: no document gives the largest page size. A server that grants less returns the size in
# its pagination.
_LARGEST_PAGE = 100
# Decay of the remembered page count, so that the list is probed again occasionally.
_PAGE_COUNT_DECAY = 0.9
_MANY_PAGES = 1e6


class Sweeps:
    """Reader of the lists of open statuses, if that takes fewer requests than single reads.

    Attributes:
        is_complete: Whether the last sweep read all pages.
    """

    def __init__(self, caller: Caller, concurrency: int) -> None:
        self._caller = caller
        self._concurrency = concurrency
        self._pages: dict[str, float] = {}
        self.is_complete = False

    def are_cheaper(self, statuses: Iterable[str], reads: int) -> bool:
        """Return whether sweeps of these statuses take fewer requests than `reads` single reads.

        The estimate is the page count of the last sweep, or one page before the first.
        """
        if self._caller.business_id is None:  # a single read needs none, a list does
            return False
        known = {status: self._pages.get(status, 1.0) for status in statuses}
        if sum(known.values()) < reads:
            return True
        self._pages.update(
            (status, pages * _PAGE_COUNT_DECAY)
            for status, pages in known.items()
            if status in self._pages
        )
        return False

    def avoid(self, status: str) -> None:
        """Sweep a status less often, after a page that could not be decoded."""
        self._pages[status] = _MANY_PAGES

    async def pages(
        self, status: str, reads: int, scope: Scope[Any]
    ) -> AsyncGenerator[list[Page[Row]], None]:
        """Yield the pages of a status in batches, and set `is_complete`.

        The sweep ends after the first page if the others would take more requests than `reads`
        single reads.
        """
        self.is_complete = False
        [first] = await gather_all([self._page(status, 1)], scope)
        yield [first]
        pagination, number = first.pagination, 1
        total = pagination.total_pages if pagination is not None else 1
        self._pages[status] = float(max(total, 1))
        if total - 1 > reads:
            return
        last = first
        while _has_more(last):
            # Concurrently up to the first page count; later pages of a growing list one by one.
            last_number = max(min(total, number + self._concurrency), number + 1)
            numbers = range(number + 1, last_number + 1)
            batch = await gather_all((self._page(status, page) for page in numbers), scope)
            number = last_number
            if batch[-1].items == last.items:
                break  # the server repeats a page
            last = batch[-1]
            yield batch
        self.is_complete = True

    async def _page(self, status: str, page: int) -> Page[Row]:
        return await self._caller.call(
            _LIST, {"status": status, "page": page, "limit": _LARGEST_PAGE}
        )


def _has_more(page: Page[Row]) -> bool:
    return bool(page.items) and page.pagination is not None and page.pagination.has_more


async def gather_all(coroutines: Iterable[Coroutine[Any, Any, T]], scope: Scope[Any]) -> list[T]:
    """Run coroutines concurrently in the context of a scope, and return their results.

    The first failure cancels the others, and is raised without an exception group.
    """
    tasks = [asyncio.create_task(coroutine, context=scope.context()) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
