"""Intake of a job: reads the requests one at a time, on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from operator import length_hint
from typing import Any, Generic, TypeVar

R = TypeVar("R")

ENDED: Any = object()
"""Result of `Intake.read` without a further request."""
NOT_YET: Any = object()
"""Result of `Intake.read` without a request in time."""


class Intake(Generic[R]):
    """Requests of a job, read by any free worker.

    Attributes:
        ended: Whether there is no further request.
        failure: The first exception that ended it, or None.
        total: The number of requests, or None if the iterable has no length.
    """

    def __init__(self, requests: Iterable[R] | AsyncIterable[R]) -> None:
        self.total = None if (hint := length_hint(requests, -1)) < 0 else hint
        self._next: Callable[[], R] | None = None
        if isinstance(requests, AsyncIterable):
            self._later = aiter(requests)
        else:
            self._next = iter(requests).__next__
        self._lock = asyncio.Lock()
        self._reading: asyncio.Task[R] | None = None
        self.ended = False
        self.failure: BaseException | None = None

    async def read(self, seconds: float | None = None) -> R:
        """Return the next request, `ENDED`, or `NOT_YET`.

        Args:
            seconds: The longest wait in seconds, or None for no limit. A slower read continues,
                and the next call returns its request.
        """
        request: R = ENDED
        try:
            if self.ended:
                return request
            request = self._next() if self._next is not None else await self._read_later(seconds)
        except StopIteration:
            pass
        except Exception as error:  # noqa: BLE001 (the caller's: raised after the requests in progress)
            self.end(error)
        if request is ENDED:
            self.ended = True
        return request

    async def _read_later(self, seconds: float | None) -> R:
        if seconds is None and self._reading is None:
            async with self._lock:
                if self._reading is None:
                    return await self._anext()
        try:
            async with asyncio.timeout(seconds):
                await self._lock.acquire()
        except TimeoutError:
            return NOT_YET  # type: ignore[no-any-return]
        try:
            if self._reading is None:
                self._reading = asyncio.create_task(self._anext())
            await asyncio.wait([self._reading], timeout=seconds)
            if not self._reading.done():
                return NOT_YET  # type: ignore[no-any-return]
            reading, self._reading = self._reading, None
            return reading.result()
        finally:
            self._lock.release()

    async def _anext(self) -> R:
        return ENDED if self.ended else await anext(self._later, ENDED)

    def end(self, failure: BaseException) -> None:
        """Stop reading. The first failure is kept."""
        self.ended = True
        self.failure = self.failure or failure

    async def close(self) -> None:
        """Cancel a read in progress."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
