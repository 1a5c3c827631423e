"""Streams: async iterators that end what produces them."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Stream(Generic[T_co]):
    """An async iterator that is an async context manager too.

    `async for` over it is enough where the loop runs to its end. `async with` also ends the work
    behind it when the block is left early, by an exception for instance.
    """

    def __init__(self, items: AsyncGenerator[T_co, None], ready: deque[Any] | None = None) -> None:
        self._items = items
        self._ready = deque[Any]() if ready is None else ready  # what `items` has yet to give

    def __aiter__(self) -> AsyncIterator[T_co]:
        return self._items

    async def __anext__(self) -> T_co:
        return await anext(self._items)

    async def aclose(self) -> None:
        """End the work behind it; nothing of it is under way afterwards."""
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
