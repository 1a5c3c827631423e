"""Iteration in a blocking thread over what the background loop produces."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
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
_HUNGRY: Any = object()
# How much of the caller's iterable is read at a time: items, and seconds.
_HANDFUL = 64
_READING = 0.005


class Stream(Generic[T]):
    """Iterator over the items of an async generator that runs on the background loop.

    `for` over it is enough where the loop runs to its end. `with`, or `close()`, also ends the work
    behind it when the block is left early. A stream that is abandoned is ended by the background
    loop once it is collected: asyncio closes the async generator then, and no thread waits.
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
        """End the stream, and wait until nothing is under way for it any more.

        Raises:
            ValueError: An item is being waited for at the same time.
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
                "this stream is in use already, by another thread or under this signal handler"
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
    """Read a lazy iterable in the caller's thread; anything else is left for the checks of the
    arguments.
    """
    if isinstance(items, Iterable) and not isinstance(
        items, (str, bytes, Sequence, Mapping, set, frozenset)
    ):
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
        return Stream(cast("AsyncGenerator[T, None]", super().__aiter__()))

    def pages(self) -> Stream[Page[T]]:
        """Give this page and then the later ones, each fetched when it is asked for."""
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
    """Source of a job's requests on the loop: the job waits here until the caller's thread has read
    some more.
    """

    def __init__(self) -> None:
        self._items: deque[R] = deque()
        self._failure: Exception | None = None
        self._ended = False
        self._filled = asyncio.Event()
        self.hungry = asyncio.Event()

    def fill(self, items: list[R], ended: bool, failure: Exception | None) -> None:
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


class _Job(Stream[T], Generic[T, R]):
    """Outcomes of a job whose requests are read, and whose progress is reported, in the caller's
    thread.
    """

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
        if (
            cast(Any, self._items).ag_frame is None
        ):  # its loop ended with the last client, and closed it
            if self._ready:
                return cast(T, self._ready.popleft())
            raise ConfigurationError("the client was closed under this job")
        while True:
            found = complete(self._either()).result()
            if (failure := self._report()) is not None:
                if found is _END:
                    raise failure
                # The job raises it, once the requests in flight have their outcomes.
                self._progress, self._source, self._read = None, iter(()), ([], True, failure)
            if found is not _HUNGRY:
                return found
            if self._read is None:
                self._read = _handful(self._source)

    def _report(self) -> Exception | None:
        """Report the progress to the caller, and return the exception that its callback raised."""
        try:
            while self._progress is not None and self._reports:
                self._progress(self._reports.popleft())
        except Exception as error:  # noqa: BLE001 (the caller's own)
            return error
        return None

    async def _either(self) -> T:
        """Wait for the next outcome, or until the job needs more requests."""
        if self._read is not None:
            self._feed.fill(*self._read)
            self._read = None
        if not self._waiting:
            self._waiting.append(asyncio.create_task(_next(self._items)))
        hungry = asyncio.create_task(self._feed.hungry.wait())
        try:
            await asyncio.wait([self._waiting[0], hungry], return_when=asyncio.FIRST_COMPLETED)
        finally:
            hungry.cancel()
        return self._waiting.pop().result() if self._waiting[0].done() else cast(T, _HUNGRY)

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
    """Return the outcomes of a job whose requests are read, and whose progress is reported, in the
    caller's thread.
    """
    feed: _Feed[R] = _Feed()
    reports: deque[Progress] = deque()
    outcomes = begin(feed, None if progress is None else reports.append)
    return _Job(outcomes, feed, iter(requests), reports, progress)


def _handful(source: Iterator[R]) -> tuple[list[R], bool, Exception | None]:
    """Read a few requests, or as many as come at once: a slow source is not waited for with some in
    hand.
    """
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
