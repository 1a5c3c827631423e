"""Pages and listings as values: length, items, and short reprs."""

from __future__ import annotations

from typing import Any

import pytest

from paychainhq import models
from paychainhq.codec import from_json
from paychainhq_sync import models as sync_models
from tests.support.samples import BY_NAME

PAGE = BY_NAME["invoices.list"].response
MANY = {**PAGE, "data": [{**PAGE["data"][0], "id": f"inv_{n}"} for n in range(5)]}
each_face = pytest.mark.parametrize(
    "page_type", [models.Page, sync_models.Page], ids=["async", "sync"]
)


@each_face
def test_items(page_type: Any) -> None:
    """The length, an index and a slice are about the items of the page."""
    page = from_json(page_type[models.Invoice], MANY)
    assert len(page) == 5
    assert (page[0], page[-1], page[1:3]) == (page.items[0], page.items[-1], page.items[1:3])
    assert list(reversed(page)) == list(reversed(page.items))
    with pytest.raises(IndexError):
        page[5]


@each_face
def test_reprs(page_type: Any) -> None:
    """The repr has one line, whatever the number of items."""
    page = from_json(page_type[models.Invoice], MANY)
    assert repr(page).startswith("Page(5 x Invoice, pagination=Pagination(page=1, ")
    assert len(repr(page)) < 200
    empty = from_json(page_type[models.Invoice], {**MANY, "data": []})
    assert repr(empty).startswith("Page(no items, ")
    listing = from_json(models.Listing[models.Token], BY_NAME["tokens.list"].response)
    assert repr(listing) == f"Listing({len(listing)} x Token)"


def test_a_page_of_the_async_face_needs_async_for() -> None:
    """`for` over such a page is an error: it would silently end with the page."""
    page = from_json(models.Page[models.Invoice], MANY)
    with pytest.raises(TypeError, match="not iterable"):
        iter(page)
    with pytest.raises(TypeError):
        assert page[0] in page  # type: ignore[operator]
