"""Lists that come in pages: one page by `await`, all items by `async for`, page after page by `.pages()`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from typing import Any, Generic, TypeVar

from paychainhq.calls import Caller
from paychainhq.models.lists import Page
from paychainhq.operations import Operation

log = logging.getLogger("paychainhq")

T = TypeVar("T")

# How many pages an item that moves while we read may be behind itself.
_REMEMBERED_PAGES = 5


class Pages(Generic[T]):
    """A list that has been asked for and not yet fetched.

    `await` it for one `Page`, iterate over it for every item of every page, or call `pages()` for page after page.
    """

    def __init__(self, caller: Caller, operation: Operation[Page[T]], given: Mapping[str, Any]) -> None:
        operation.prepare(caller.complete(operation, given))
        self._caller = caller
        self._operation = operation
        self._given = dict(given)

    def __await__(self) -> Generator[Any, None, Page[T]]:
        return self._fetch(self._given).__await__()

    def __aiter__(self) -> AsyncIterator[T]:
        return self._items(None)

    def pages(self) -> AsyncGenerator[Page[T], None]:
        """Give page after page, each fetched when it is asked for."""
        return self._pages(None)

    async def _fetch(self, given: dict[str, Any]) -> Page[T]:
        page = await self._caller.call(self._operation, given)
        object.__setattr__(page, "_place", _Place(self, given))
        return page

    def _after(self, page: Page[T], given: dict[str, Any]) -> dict[str, Any] | None:
        """Return the arguments that fetch what comes after a page, or None if it was the last."""
        if "offset" in self._operation.query:
            return {**given, "offset": (given.get("offset") or 0) + len(page.items)} if page.items else None
        if page.pagination is None or not page.pagination.has_more:
            return None
        return {**given, "page": (given.get("page") or 1) + 1}

    async def _pages(self, begun: tuple[Page[T], dict[str, Any]] | None) -> AsyncGenerator[Page[T], None]:
        page, given = begun or (await self._fetch(self._given), self._given)
        yield page
        memory = _Memory[T](self._operation.name)
        while memory.new_items(page) is not None and (following := self._after(page, given)) is not None:
            page, given = await self._fetch(following), following
            if page.items:
                yield page

    async def _items(self, begun: tuple[Page[T], dict[str, Any]] | None) -> AsyncGenerator[T, None]:
        """Give every item once, fetching the next page while the items of this one are taken."""
        page, given = begun or (await self._fetch(self._given), self._given)
        memory = _Memory[T](self._operation.name)
        ahead: asyncio.Task[Page[T]] | None = None
        try:
            while True:
                following = self._after(page, given)
                new = memory.new_items(page)
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
    """A page's way back to its list."""

    def __init__(self, pages: Pages[T], given: dict[str, Any]) -> None:
        self._pages = pages
        self._given = given

    def items(self, page: Page[T]) -> AsyncGenerator[T, None]:
        return self._pages._items((page, self._given))

    def pages(self, page: Page[T]) -> AsyncGenerator[Page[T], None]:
        return self._pages._pages((page, self._given))


class _Memory(Generic[T]):
    """Which items the last few pages held: items move between pages while they are read, and a server may repeat itself."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pages: deque[set[str]] = deque(maxlen=_REMEMBERED_PAGES)
        self._stale = 0

    def new_items(self, page: Page[T]) -> list[T] | None:
        """Return the items that were not on the last pages, or None if nothing new has come for so long that nothing will."""
        ids = [getattr(item, "id", None) for item in page.items]
        new = [item for item, id_ in zip(page.items, ids, strict=True) if not any(id_ in seen for seen in self._pages)]
        self._pages.append({id_ for id_ in ids if id_ is not None})
        self._stale = 0 if new or not page.items else self._stale + 1
        if self._stale < _REMEMBERED_PAGES:
            return new
        log.warning("%s: the server repeats its pages; the list ends here", self._name)
        return None
