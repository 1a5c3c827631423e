"""Iterating from a blocking thread over what the background loop produces."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from paychainhq.errors import ConfigurationError
from paychainhq.jobs import Progress
from paychainhq.models.lists import Page as AsyncPage
from paychainhq.models.lists import T
from paychainhq.paging import Pages
from paychainhq.streams import Stream as AsyncStream
from paychainhq.streams import T_co
from paychainhq_sync._engine import complete, dispose

R = TypeVar("R")

_END: Any = object()
_HUNGRY: Any = object()
# How much of the caller's iterable is read at a time: items, and seconds.
_HANDFUL = 64
_READING = 0.005


class Stream(Generic[T_co]):
    """An iterator that is a context manager too.

    `for` over it is enough where the loop runs to its end. `with` also ends the work behind it when the block is left early, by an
    exception for instance.
    """

    def __init__(self, items: Generator[T_co, None, None]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[T_co]:
        return self._items

    def __next__(self) -> T_co:
        return next(self._items)

    def close(self) -> None:
        """End the work behind it; nothing of it is under way afterwards."""
        self._items.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def iterate(items: AsyncGenerator[T, None] | AsyncStream[T]) -> Generator[T, None, None]:
    """Give the items of an async iterator; closing this closes that."""
    generator = items._items if isinstance(items, AsyncStream) else items
    try:
        while (item := complete(_next(generator)).result()) is not _END:
            yield item
    finally:
        dispose(_close(generator))


async def _close(items: AsyncGenerator[Any, None]) -> None:
    # The garbage collector, where it finds both generators at once, may have had the loop begin to close this one.
    if not getattr(items, "ag_running", False):
        await items.aclose()


async def _next(items: AsyncGenerator[T, None]) -> T:
    return cast(T, await anext(items, _END))


def here(items: Any) -> Any:
    """Read a lazy iterable in the caller's thread; anything else is left for the checks of the arguments."""
    if isinstance(items, Iterable) and not isinstance(items, (str, bytes, Sequence, Mapping, set, frozenset)):
        return list(items)
    return items


# --- pages ---


class Page(AsyncPage[T]):
    """One page of a list; `for` gives its items and then those of all later pages.

    Attributes:

        items: The items of this page.
        pagination: Where it stands, or None where the server does not say (billing invoices).
    """

    __slots__ = ()

    @classmethod
    def of(cls, page: AsyncPage[T]) -> Page[T]:
        made = cls.__new__(cls)
        made.__setstate__(page.__getstate__() | {"_place": page._place})
        return made

    def __iter__(self) -> Iterator[T]:
        return iterate(cast("AsyncGenerator[T, None]", super().__aiter__()))

    def pages(self) -> Generator[Page[T], None, None]:
        """Give this page and then the later ones, each fetched when it is asked for."""
        if self._place is None:
            yield self
            return
        for page in iterate(self._place.pages(self)):
            yield Page.of(page)


async def first(pages: Pages[T]) -> AsyncPage[T]:
    """Fetch the first page of a list."""
    return await pages


# --- jobs ---


class _Feed(Generic[R]):
    """The caller's requests as the job sees them: it waits here until the caller's thread has read some more."""

    def __init__(self) -> None:
        self._items: deque[R] = deque()
        self._failure: Exception | None = None
        self._ended = False
        self._filled = asyncio.Event()
        self.hungry = asyncio.Event()

    def fill(self, items: list[R], ended: bool, failure: Exception | None) -> None:
        if failure is not None and not items:
            self._items.clear()
        self._items.extend(items)
        self._ended, self._failure = ended, failure
        self.hungry.clear()
        self._filled.set()

    def __aiter__(self) -> _Feed[R]:
        return self

    async def __anext__(self) -> R:
        while not self._items:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            self._filled.clear()
            self.hungry.set()
            await self._filled.wait()
        return self._items.popleft()


def run_job(
    begin: Callable[[Any, Any], AsyncStream[T]], requests: Iterable[R], progress: Callable[[Progress], None] | None
) -> Stream[T]:
    """Give the outcomes of a job whose requests are read, and whose progress is told, in the caller's thread."""
    feed: _Feed[R] = _Feed()
    reports: deque[Progress] = deque()
    outcomes = begin(feed, None if progress is None else reports.append)
    return Stream(_outcomes(feed, outcomes, iter(requests), reports, progress))


def _outcomes(
    feed: _Feed[R],
    stream: AsyncStream[T],
    source: Iterator[R],
    reports: deque[Progress],
    progress: Callable[[Progress], None] | None,
) -> Generator[T, None, None]:
    waiting: list[asyncio.Task[T]] = []
    read: tuple[list[R], bool, Exception | None] | None = None
    outcomes = stream._items
    try:
        while (found := complete(_either(feed, outcomes, waiting, read)).result()) is not _END:
            read = None
            if found is _HUNGRY:
                read = _handful(source)
            else:
                yield found
                if cast(Any, outcomes).ag_frame is None:  # its loop has ended with the last client, and closed it
                    yield from stream._ready
                    raise ConfigurationError("the client was closed under this job")
            if progress is not None:
                try:
                    _tell(reports, progress)
                except Exception as error:  # noqa: BLE001 (the caller's own: raised by the job, once what is under way is done)
                    progress, source, read = None, iter(()), ([], True, error)
        if progress is not None:
            _tell(reports, progress)
    finally:
        dispose(_stop(outcomes, waiting))


def _tell(reports: deque[Progress], progress: Callable[[Progress], None]) -> None:
    while reports:
        progress(reports.popleft())


async def _either(
    feed: _Feed[R],
    outcomes: AsyncGenerator[T, None],
    waiting: list[asyncio.Task[T]],
    read: tuple[list[R], bool, Exception | None] | None,
) -> T:
    """Wait for the next outcome, or until the job needs more requests."""
    if read is not None:
        feed.fill(*read)
    if not waiting:
        waiting.append(asyncio.create_task(_next(outcomes)))
    hungry = asyncio.create_task(feed.hungry.wait())
    try:
        await asyncio.wait([waiting[0], hungry], return_when=asyncio.FIRST_COMPLETED)
    finally:
        hungry.cancel()
    return waiting.pop().result() if waiting[0].done() else cast(T, _HUNGRY)


async def _stop(outcomes: AsyncGenerator[Any, None], waiting: list[asyncio.Task[Any]]) -> None:
    for task in waiting:
        task.cancel()
        await asyncio.wait([task])
    await _close(outcomes)


def _handful(source: Iterator[R]) -> tuple[list[R], bool, Exception | None]:
    """Read a few requests, or as many as come at once: a slow source is not waited for with some in hand."""
    items: list[R] = []
    until = time.monotonic() + _READING
    try:
        for item in source:
            items.append(item)
            if len(items) == _HANDFUL or time.monotonic() > until:
                return items, False, None
    except Exception as error:  # noqa: BLE001 (the caller's own: raised once what is under way is done)
        return items, True, error
    return items, True, None
