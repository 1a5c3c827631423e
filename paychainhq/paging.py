"""Paged lists: `await` one page, `async for` over all items, `.pages()` for all pages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from typing import Any, Generic, TypeVar

from paychainhq._caller import Caller
from paychainhq._core.operation import Operation
from paychainhq.models.lists import Page, Pagination

log = logging.getLogger("paychainhq")

T = TypeVar("T")

# The number of remembered ids: an item that moves, or is read again, is yielded once.
_REMEMBERED = 10_000
# The number of consecutive pages without a new item after which the list ends.
_STALE_PAGES = 5


class Pages(Generic[T]):
    """List before its first request.

    `await` it for one `Page`, iterate over it for the items of all pages, or call `pages()` for the
    pages.
    """

    def __init__(
        self, caller: Caller, operation: Operation[Page[T]], given: Mapping[str, Any]
    ) -> None:
        operation.prepare(caller.complete(operation, given))
        self._caller = caller
        self._operation = operation
        self._given = dict(given)

    def __await__(self) -> Generator[Any, None, Page[T]]:
        return self._fetch(self._given).__await__()

    def __aiter__(self) -> AsyncIterator[T]:
        return self._items(None)

    def pages(self) -> AsyncGenerator[Page[T], None]:
        """Yield the pages, each fetched on demand.

        Pages are unchanged, so that an item that moves may be on two of them. If items leave the
        list, earlier pages are read again, and yielded if they have a new item.
        """
        return self._pages(None)

    async def _fetch(self, given: dict[str, Any]) -> Page[T]:
        page = await self._caller.call(self._operation, given)
        object.__setattr__(page, "_place", _Place(self, given))
        return page

    def _after(
        self, page: Page[T], given: dict[str, Any], cursor: _Cursor
    ) -> dict[str, Any] | None:
        """Return the arguments of the request after a page, or None after the last one."""
        if "offset" in self._operation.query:
            return (
                {**given, "offset": (given.get("offset") or 0) + len(page.items)}
                if page.items
                else None
            )
        if page.pagination is None:
            return None
        number = cursor.after(given.get("page") or 1, page.pagination)
        return None if number is None else {**given, "page": number}

    async def _pages(
        self, begun: tuple[Page[T], dict[str, Any]] | None
    ) -> AsyncGenerator[Page[T], None]:
        page, given = begun or (await self._fetch(self._given), self._given)
        yield page
        cursor, memory = _Cursor(), _Memory[T](self._operation.name)
        memory.new_items(page)
        while (following := self._after(page, given, cursor)) is not None:
            page, given = await self._fetch(following), following
            new = memory.new_items(page, again=cursor.gap)
            if new is None:
                return
            if new:
                yield page

    async def _items(self, begun: tuple[Page[T], dict[str, Any]] | None) -> AsyncGenerator[T, None]:
        """Yield every item once; the next page is fetched while this one's items are consumed."""
        page, given = begun or (await self._fetch(self._given), self._given)
        cursor, memory = _Cursor(), _Memory[T](self._operation.name)
        ahead: asyncio.Task[Page[T]] | None = None
        try:
            while True:
                new = memory.new_items(page, again=cursor.gap)
                following = self._after(page, given, cursor)
                if new is None:
                    return
                for index, item in enumerate(new):
                    if index == 1 and following is not None:
                        ahead = self._caller.transport.spawn(self._fetch(following))
                    yield item
                if following is None:
                    return
                page = await (ahead or self._fetch(following))
                ahead, given = None, following
        finally:
            if ahead is not None:
                ahead.cancel()


class _Place(Generic[T]):
    """Link from a page to its list."""

    def __init__(self, pages: Pages[T], given: dict[str, Any]) -> None:
        self._pages = pages
        self._given = given

    def items(self, page: Page[T]) -> AsyncGenerator[T, None]:
        return self._pages._items((page, self._given))

    def pages(self, page: Page[T]) -> AsyncGenerator[Page[T], None]:
        return self._pages._pages((page, self._given))


class _Cursor:
    """Position in the numbered pages of a list that may shrink between requests.

    Each item that leaves the list may have moved all later ones forward by one place, to a page
    that was already read. So the position up to which all items are read moves back by the decrease
    of the total, and reading continues from there. The range of a page that was read after the gap
    is remembered: once the gap is closed, reading continues after it.

    Attributes:
        gap: Whether the next page is read to close a gap.
    """

    def __init__(self) -> None:
        self.gap = False
        self._first: int | None = None  # the position of the first item read
        self._total = 0
        self._read = 0  # all items before this position have been read
        self._apart = (0, 0)  # the range that was read after the gap

    def after(self, number: int, pagination: Pagination) -> int | None:
        """Record a read page, and return the number of the next page, or None at the end."""
        limit = max(1, pagination.limit)
        begin, end = (number - 1) * limit, number * limit
        if self._first is None:
            self._first = self._read = begin
            self._total = pagination.total
        gained = pagination.total - self._total
        self._total = pagination.total
        self._read = max(self._first, self._read + min(0, gained))
        start, stop = self._apart[0] + max(0, gained), self._apart[1] + min(0, gained)
        if begin > self._read:
            joined = self.gap and begin <= start <= end
            self._apart = (begin, max(stop, end)) if joined else (begin, end)
            self.gap = True
        else:
            self._read = max(self._read, end)
            self._apart = start, stop
            if self.gap and self._read >= start:
                self._read = max(self._read, stop)
                self.gap = False
        return self._read // limit + 1 if self.gap or pagination.has_more else None


class _Memory(Generic[T]):
    """Memory of the last ids, which detects items on two pages, and repeated pages."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ids: dict[str, None] = {}
        self._pages = 0
        self._stale = 0
        self._again = 0
        self._most_again = 0

    def new_items(self, page: Page[T], *, again: bool = False) -> list[T] | None:
        """Return the new items of a page, or None after too many pages without a new item.

        Args:
            page: The page.
            again: Whether it was read to close a gap, where a page without a new item is expected.
        """
        self._pages += 1
        new = self._unknown(page)
        if new:
            self._stale, self._again, self._most_again = 0, 0, 2 * self._pages
        elif again:
            self._again += 1
        elif page.items:
            self._stale += 1
        if self._stale < _STALE_PAGES and self._again <= self._most_again:
            return new
        log.warning(
            "%s: the list ends early, because the server repeats its pages",
            self._name,
            extra={"paychainhq": {"operation": self._name}},
        )
        return None

    def _unknown(self, page: Page[T]) -> list[T]:
        new: list[T] = []
        for item in page.items:
            id_ = getattr(item, "id", None)
            if id_ is None:
                new.append(item)
                continue
            if id_ in self._ids:
                del self._ids[id_]
            else:
                new.append(item)
            self._ids[id_] = None
        while len(self._ids) > _REMEMBERED:
            del self._ids[next(iter(self._ids))]
        return new
