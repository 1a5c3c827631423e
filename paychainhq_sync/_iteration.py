"""Iteration in a blocking thread over the items of the background loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from operator import length_hint
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from paychainhq._jobs.requests import Progress
from paychainhq._jobs.streams import Stream as AsyncStream
from paychainhq.errors import ConfigurationError
from paychainhq.models.lists import Page as AsyncPage
from paychainhq.models.lists import T
from paychainhq.paging import Pages
from paychainhq_sync._engine import complete, dispose

R = TypeVar("R")

_END: Any = object()
_NEEDS_REQUESTS: Any = object()
# The limits of one read of the caller's iterable: items and seconds.
_CHUNK = 64
_CHUNK_SECONDS = 0.005


class Stream(Generic[T]):
    """Iterator over the items of an async generator that runs on the background loop.

    `for` suffices for a loop that runs to its end. `with`, or `close()`, also ends the work behind
    the stream if the block is left early. The background loop ends an abandoned stream once it is
    garbage-collected: asyncio closes the async generator then, and no thread waits.
    """

    def __init__(self, items: AsyncGenerator[T, None]) -> None:
        self._items = items
        self._begun = False
        self._ended = False
        self._running = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        self._refuse_second_user()
        self._running = True
        try:
            if not self._ended:
                self._begun = True
                item = self._step()
                if item is not _END:
                    return item
                self._ended = True
        except BaseException:
            self._end()
            raise
        finally:
            self._running = False
        raise StopIteration

    def close(self) -> None:
        """End the stream, and wait until nothing of it is in progress.

        Raises:
            ValueError: The stream is in use, by another thread or an interrupted call.
        """
        self._refuse_second_user()
        self._running = True
        try:
            self._end()
        finally:
            self._running = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _refuse_second_user(self) -> None:
        if self._running:
            raise ValueError(
                "this stream is already in use, by another thread or by code that a signal handler "
                "has interrupted"
            )

    def _end(self) -> None:
        begun, ended = self._begun, self._ended
        self._ended = True
        if begun and not ended:
            dispose(self._stop())

    def _step(self) -> T:
        """Return the next item, or `_END`."""
        return complete(_next(self._items)).result()

    async def _stop(self) -> None:
        await self._items.aclose()


async def _next(items: AsyncGenerator[T, None]) -> T:
    return cast(T, await anext(items, _END))


def iterate(items: AsyncStream[T]) -> Stream[T]:
    """Return a stream of the items of an async one."""
    return Stream(items._items)


def here(items: Any) -> Any:
    """Return the list of a lazy iterable, read in this thread, and any other value unchanged."""
    if isinstance(items, Iterable) and not isinstance(
        items, (str, bytes, Sequence, Mapping, set, frozenset)
    ):
        return list(items)
    return items


# --- pages ---


class Page(AsyncPage[T]):
    """Page of a list; `for` yields its items and then those of all later pages.

    `len(page)`, `page[0]` and slices are about the items of this page alone.

    Attributes:
        items: The items of this page.
        pagination: The position of the page, or None if the server does not send one (billing
            invoices).
    """

    __slots__ = ()

    @classmethod
    def of(cls, page: AsyncPage[T]) -> Page[T]:
        made = cls.__new__(cls)
        made.__setstate__(page.__getstate__() | {"_place": page._place})
        return made

    def __iter__(self) -> Iterator[T]:  # type: ignore[override] # pyright: ignore[reportIncompatibleVariableOverride] (None in the async page)
        return Stream(cast("AsyncGenerator[T, None]", super().__aiter__()))

    def pages(self) -> Stream[Page[T]]:
        """Yield this page and then the later ones, each fetched on demand."""
        return Stream(self._pages())

    async def _pages(self) -> AsyncGenerator[Page[T], None]:
        if self._place is None:
            yield self
            return
        async with aclosing(self._place.pages(self)) as pages:
            async for page in pages:
                yield Page.of(page)


async def first(pages: Pages[T]) -> AsyncPage[T]:
    """Fetch the first page of a list."""
    return await pages


# --- jobs ---


class _Feed(Generic[R]):
    """Source of a job's requests on the loop, filled by the caller's thread.

    Attributes:
        is_empty: Event of a job that waits for more requests.
    """

    def __init__(self, requests: Iterable[R]) -> None:
        self._total = length_hint(requests, -1)
        self._items: deque[R] = deque()
        self._failure: Exception | None = None
        self._ended = False
        self._filled = asyncio.Event()
        self.is_empty = asyncio.Event()

    def fill(self, items: list[R], ended: bool, failure: Exception | None) -> None:
        self._items.extend(items)
        self._ended, self._failure = ended, failure
        self.is_empty.clear()
        self._filled.set()

    def __length_hint__(self) -> int:
        return NotImplemented if self._total < 0 else self._total

    def __aiter__(self) -> _Feed[R]:
        return self

    async def __anext__(self) -> R:
        while not self._items:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            self._filled.clear()
            self.is_empty.set()
            await self._filled.wait()
        return self._items.popleft()


class _Job(Stream[T], Generic[T, R]):
    """Outcomes of a job that reads its requests and reports its progress in the caller's thread."""

    def __init__(
        self,
        outcomes: AsyncStream[T],
        feed: _Feed[R],
        source: Iterator[R],
        reports: deque[Progress],
        progress: Callable[[Progress], None] | None,
    ) -> None:
        super().__init__(outcomes._items)
        self._ready = outcomes._ready
        self._feed = feed
        self._source = source
        self._reports = reports
        self._progress = progress
        self._waiting: list[asyncio.Task[T]] = []
        self._read: tuple[list[R], bool, Exception | None] | None = None

    def _step(self) -> T:
        if cast(Any, self._items).ag_frame is None:  # closed with its loop by the last client
            if self._ready:
                return cast(T, self._ready.popleft())
            raise ConfigurationError("the client was closed during this job")
        while True:
            item = complete(self._outcome_or_need()).result()
            if (failure := self._report()) is not None:
                if item is _END:
                    raise failure
                # The job raises it after the outcomes of the requests in progress.
                self._progress, self._source, self._read = None, iter(()), ([], True, failure)
            if item is not _NEEDS_REQUESTS:
                return item
            if self._read is None:
                self._read = _read_chunk(self._source)

    def _report(self) -> Exception | None:
        """Report the progress to the caller, and return the exception that its callback raised."""
        try:
            while self._progress is not None and self._reports:
                self._progress(self._reports.popleft())
        except Exception as error:  # noqa: BLE001 (the caller's)
            return error
        return None

    async def _outcome_or_need(self) -> T:
        """Return the next outcome, or `_NEEDS_REQUESTS`."""
        if self._read is not None:
            self._feed.fill(*self._read)
            self._read = None
        if not self._waiting:
            self._waiting.append(asyncio.create_task(_next(self._items)))
        need = asyncio.create_task(self._feed.is_empty.wait())
        try:
            await asyncio.wait([self._waiting[0], need], return_when=asyncio.FIRST_COMPLETED)
        finally:
            need.cancel()
        return self._waiting.pop().result() if self._waiting[0].done() else cast(T, _NEEDS_REQUESTS)

    async def _stop(self) -> None:
        for task in self._waiting:
            task.cancel()
            await asyncio.wait([task])
        await super()._stop()


def run_job(
    begin: Callable[[Any, Any], AsyncStream[T]],
    requests: Iterable[R],
    progress: Callable[[Progress], None] | None,
) -> Stream[T]:
    """Return the outcomes of a job.

    Args:
        begin: A function of the requests and the callback that starts the job.
        requests: The requests, read in the caller's thread.
        progress: The callback, called in the caller's thread, or None.
    """
    feed = _Feed(requests)
    reports: deque[Progress] = deque()
    outcomes = begin(feed, None if progress is None else reports.append)
    return _Job(outcomes, feed, iter(requests), reports, progress)


def _read_chunk(source: Iterator[R]) -> tuple[list[R], bool, Exception | None]:
    """Return up to 64 requests, whether the source has ended, and its exception or None.

    A slow source yields fewer, so that requests at hand do not wait for it.
    """
    items: list[R] = []
    until = time.monotonic() + _CHUNK_SECONDS
    try:
        for item in source:
            items.append(item)
            if len(items) == _CHUNK or time.monotonic() > until:
                return items, False, None
    except Exception as error:  # noqa: BLE001 (the caller's: raised after the requests in progress)
        return items, True, error
    return items, True, None
