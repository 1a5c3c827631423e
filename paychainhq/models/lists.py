"""Answers that hold several: a `Page` of many, or a `Listing` of all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, ClassVar, Generic, TypeVar, overload

import attrs

from paychainhq.models.base import Model, hidden, wire

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Pagination(Model):
    """Where a page stands among all pages."""

    page: int
    limit: int
    total: int
    total_pages: int
    has_more: bool


@attrs.frozen(kw_only=True)
class Page(Model, Generic[T]):
    """One page of a list; `async for` gives its items and then those of all later pages.

    Attributes:

        items: The items of this page.
        pagination: Where it stands, or None where the server does not say (billing invoices).
    """

    items: tuple[T, ...] = wire("data", default=attrs.NOTHING)
    pagination: Pagination | None = None
    _follow: Callable[[Page[T]], AsyncIterator[T]] | None = hidden("_follow")

    def __aiter__(self) -> AsyncIterator[T]:
        if self._follow is None:
            return _only(self)
        return self._follow(self)

    def __getstate__(self) -> dict[str, Any]:
        names = (field.name for field in attrs.fields(type(self)) if field.name != "_follow")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in {"_follow": None, **state}.items():
            object.__setattr__(self, name, value)


async def _only(page: Page[T]) -> AsyncIterator[T]:
    for item in page.items:
        yield item
    if page.pagination is not None and page.pagination.has_more:
        raise ValueError("there are later pages, but this page has left its client (it was decoded or unpickled on its own)")


@attrs.frozen(kw_only=True)
class Listing(Model, Sequence[T], Generic[T]):
    """All of a kind: an immutable sequence of them, with the other fields of the answer.

    Attributes:

        items: The items as a tuple.
        count: How many the server says there are, where it says so.
        business_id: Whose they are, where the server says so.
    """

    _bare: ClassVar[tuple[str, type] | None] = ("items", list)

    items: tuple[T, ...] = wire("data", "plans", "paymentMethods", default=attrs.NOTHING)
    count: int | None = None  # type: ignore[assignment]
    business_id: str | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]
