"""Streams: async iterators that end the work behind them."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Stream(Generic[T_co]):
    """Async iterator that is an async context manager too.

    `async for` suffices for a loop that runs to its end. `async with` also ends the work behind the
    stream if the block is left early, for instance by an exception.
    """

    def __init__(self, items: AsyncGenerator[T_co, None], ready: deque[Any] | None = None) -> None:
        self._items = items
        # Produced, and not yielded by `items` yet.
        self._ready = deque[Any]() if ready is None else ready

    def __aiter__(self) -> AsyncIterator[T_co]:
        return self._items

    async def __anext__(self) -> T_co:
        return await anext(self._items)

    async def aclose(self) -> None:
        """End the work behind the stream, and wait until nothing of it is in progress."""
        await self._items.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
