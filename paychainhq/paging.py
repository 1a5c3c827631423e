"""Paged lists: one page by `await`, all items by `async for`, page after page by `.pages()`."""

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

# So many of the last ids are remembered: an item that moves on, or is read again, is given once.
_REMEMBERED = 10_000
# A list ends after so many pages in a row that bring nothing new.
_STALE_PAGES = 5


class Pages(Generic[T]):
    """A list that has not been fetched yet.

    `await` it for one `Page`, iterate over it for every item of every page, or call `pages()` for
    page after page.
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
        """Give page after page, each fetched when it is asked for.

        A page is given as it is, so that an item which moves may be on two of them. Where items
        leave the list, earlier pages are read again, and given if they hold anything new.
        """
        return self._pages(None)

    async def _fetch(self, given: dict[str, Any]) -> Page[T]:
        page = await self._caller.call(self._operation, given)
        object.__setattr__(page, "_place", _Place(self, given))
        return page

    def _after(
        self, page: Page[T], given: dict[str, Any], cursor: _Cursor
    ) -> dict[str, Any] | None:
        """Return the arguments that fetch what comes after a page, or None if it was the last."""
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
        """Give every item once, fetching the next page while the items of this one are taken."""
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
    """The way through numbered pages of a list that may shrink meanwhile.

    Each item that leaves the list may have moved all later ones forward by one place, to a page
    that was read before. So the place up to which everything has been read goes back by as many as
    the total has lost, and reading goes on from there. A page that was read behind a gap is
    remembered: once the gap is closed, reading goes on after it.

    Attributes:
        gap: Whether the next page is read to close a gap.
    """

    def __init__(self) -> None:
        self.gap = False
        self._first: int | None = None  # the place where reading began
        self._total = 0
        self._read = 0  # everything before this place has been read
        self._apart = (0, 0)  # what has been read behind the gap

    def after(self, number: int, pagination: Pagination) -> int | None:
        """Record that a page has been read, and return the number of the page to read next, or None
        at the end.
        """
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
    """The ids of the last items: items move between pages while they are read, and a server may
    repeat itself.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._ids: dict[str, None] = {}
        self._pages = 0
        self._stale = 0
        self._again = 0
        self._most_again = 0

    def new_items(self, page: Page[T], *, again: bool = False) -> list[T] | None:
        """Return the items that are new, or None if nothing new has come for so long that nothing
        will.

        Args:
            page: The page that was read.
            again: Whether it was read to close a gap, so that it need not bring anything new.
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
        log.warning("%s: the server repeats its pages; the list ends here", self._name)
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
