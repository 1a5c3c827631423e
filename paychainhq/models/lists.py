"""Results with several items: a `Page` of a list, or a `Listing` of all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar, overload

import attrs

from paychainhq._core.model import hidden, wire
from paychainhq.models.base import Model

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Pagination(Model):
    """Position of a page among all pages."""

    page: int
    limit: int
    total: int
    total_pages: int
    has_more: bool


class Place(Protocol):
    """Position of a page in the list that it was fetched from."""

    def items(self, page: Page[T], /) -> AsyncGenerator[T, None]:
        """Yield the items of the page and of all later ones."""
        ...

    def pages(self, page: Page[T], /) -> AsyncGenerator[Page[T], None]:
        """Yield the page and all later ones."""
        ...


@attrs.frozen(kw_only=True)
class Page(Model, Generic[T]):
    """Page of a list; `async for` yields its items and then those of all later pages.

    `len(page)`, `page[0]` and slices are about the items of this page alone.

    Attributes:
        items: The items of this page.
        pagination: The position of the page, or None if the server does not send one (billing
            invoices).
    """

    items: tuple[T, ...] = wire("data", default=attrs.NOTHING)
    pagination: Pagination | None = None
    _place: Place | None = hidden("_place")

    # Without it, `for` would fall back to `page[0]`, `page[1]`, ..., and end with this page.
    __iter__: ClassVar[None] = None

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]

    def __repr__(self) -> str:
        return f"Page({_counted(self.items)}, pagination={self.pagination})"

    def __aiter__(self) -> AsyncIterator[T]:
        return _only(self) if self._place is None else self._place.items(self)

    def __getstate__(self) -> dict[str, Any]:
        names = (field.name for field in attrs.fields(type(self)) if field.name != "_place")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in {"_place": None, **state}.items():
            object.__setattr__(self, name, value)


def _counted(items: tuple[Any, ...]) -> str:
    """Return the number of items and their types in a few words: `20 x Invoice`."""
    names = " | ".join(sorted({type(item).__name__ for item in items}))
    return f"{len(items)} x {names}" if items else "no items"


async def _only(page: Page[T]) -> AsyncIterator[T]:
    for item in page.items:
        yield item
    if page.pagination is not None and page.pagination.has_more:
        raise ValueError(
            "there are later pages, but this page has left its client (it was decoded or unpickled "
            "on its own)"
        )


@attrs.frozen(kw_only=True)
class Listing(Model, Sequence[T], Generic[T]):
    """Complete list: an immutable sequence of the items, with the other fields of the response.

    Attributes:
        items: The items as a tuple.
        count: The number of items according to the server, if it sends one.
        business_id: The business, if the server sends it.
    """

    _bare: ClassVar[tuple[str, type] | None] = ("items", list)

    items: tuple[T, ...] = wire("data", "plans", "paymentMethods", default=attrs.NOTHING)
    count: int | None = None  # type: ignore[assignment]
    business_id: str | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __repr__(self) -> str:
        return f"Listing({_counted(self.items)})"

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]
