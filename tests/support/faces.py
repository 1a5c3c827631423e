"""Faces: one test body for the async and the blocking clients.

`PayChainHQ` and `Gateway` here are async clients, or blocking ones behind the same `await`s.

A module with `pytestmark = pytest.mark.usefixtures("face")` that imports its client from here has
each of its tests run twice. A test that inspects the event loop itself, or makes no client, is
marked `async_only` with the reason.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Self, cast

import paychainhq
import paychainhq.gateway
import paychainhq_sync
import paychainhq_sync.gateway
import paychainhq_sync.models

FACES = ("async", "sync")
current = "async"
_END: Any = object()

if TYPE_CHECKING:
    from paychainhq import PayChainHQ as PayChainHQ
    from paychainhq.gateway import Gateway as Gateway
else:

    class Gateway:
        """Factory of gateway clients of the current face."""

        def __new__(cls, **settings: Any) -> Any:
            return (
                paychainhq.gateway.Gateway(**settings)
                if current == "async"
                else _Client(paychainhq_sync.gateway.Gateway(**settings))
            )

        @staticmethod
        def from_env(**settings: Any) -> Any:
            package = paychainhq.gateway if current == "async" else paychainhq_sync.gateway
            made = package.Gateway.from_env(**settings)
            return made if current == "async" else _Client(made)

    class PayChainHQ:
        """Factory of clients of the current face."""

        def __new__(cls, **settings: Any) -> Any:
            return (
                paychainhq.PayChainHQ(**settings)
                if current == "async"
                else _Client(paychainhq_sync.PayChainHQ(**settings))
            )

        @staticmethod
        def from_env(**settings: Any) -> Any:
            package = paychainhq if current == "async" else paychainhq_sync
            made = package.PayChainHQ.from_env(**settings)
            return made if current == "async" else _Client(made)


class _Client:
    """Blocking client whose calls run in a worker thread."""

    def __init__(self, blocking: Any) -> None:
        self._blocking = blocking

    def __repr__(self) -> str:
        return repr(self._blocking)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await asyncio.to_thread(self._blocking.close)

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(self._blocking.request, *args, **kwargs)

    def with_options(self, **options: Any) -> _Client:
        return _Client(self._blocking.with_options(**options))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._blocking, name)
        return value if name.startswith("_") or inspect.ismethod(value) else _Resource(value)


class _Resource:
    def __init__(self, blocking: Any) -> None:
        self._blocking = blocking

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._blocking, name)
        returns = str(inspect.signature(method).return_annotation)

        def call(*args: Any, **kwargs: Any) -> Any:
            if returns.startswith("Page["):
                return _List(lambda: method(*args, **kwargs))
            if returns.startswith("Stream["):
                return _Stream(method(*args, **kwargs))
            return asyncio.to_thread(method, *args, **kwargs)

        return call


class _List:
    """List that has not been fetched yet, as in the async face."""

    def __init__(self, fetch: Callable[[], paychainhq_sync.models.Page[Any]]) -> None:
        self._fetch = fetch

    def __await__(self) -> Generator[Any, None, _Page]:
        return self._first().__await__()

    async def _first(self) -> _Page:
        return cast(_Page, _Page.of(await asyncio.to_thread(self._fetch)))

    async def __aiter__(self) -> AsyncGenerator[Any, None]:
        async for item in await self._first():
            yield item

    async def pages(self) -> AsyncGenerator[Any, None]:
        first = await self._first()
        async for page in _stepwise(first.pages()):
            yield page


class _Stream:
    """Blocking stream, iterated over in worker threads."""

    def __init__(self, blocking: Any) -> None:
        self._blocking = blocking
        self._items = _stepwise(iter(blocking))

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._items

    async def __anext__(self) -> Any:
        return await anext(self._items)

    async def aclose(self) -> None:
        await self._items.aclose()
        await asyncio.to_thread(self._blocking.close)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._blocking.__enter__)
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self._items.aclose()
        await asyncio.to_thread(self._blocking.__exit__, *problem)


class _Page(paychainhq_sync.models.Page[Any]):
    """Blocking page, with iteration in worker threads."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[Any]:
        return _stepwise(iter(self))


async def _stepwise(items: Iterator[Any]) -> AsyncGenerator[Any, None]:
    try:
        while (item := await asyncio.to_thread(next, items, _END)) is not _END:
            yield item
    finally:
        await asyncio.to_thread(items.close)  # type: ignore[attr-defined]
