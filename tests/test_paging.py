"""Lists: one page by `await`, all items by `async for`, page after page by `.pages()`."""

from __future__ import annotations

import asyncio
import gc
import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paychainhq import InvalidArgumentError, NotFoundError, RetryPolicy, ServerError
from paychainhq.emulator import Emulator
from paychainhq.models import Invoice
from paychainhq.typing import InvoiceRequestDict
from tests.support.client import client as make_client
from tests.support.faces import PayChainHQ
from tests.support.often import often
from tests.support.raw_server import RawServer, Recorded, http_response

pytestmark = pytest.mark.usefixtures("face")

Serve = Callable[[dict[str, str]], Any]


def invoice(name: str) -> dict[str, Any]:
    return {"id": name, "status": "pending", "amount": "1"}


def page_of(names: list[str], page: int, *, more: bool) -> dict[str, Any]:
    pagination = {"page": page, "limit": 2, "total": 99, "totalPages": 50, "hasMore": more}
    return {"data": [invoice(name) for name in names], "pagination": pagination}


def query_of(request: Recorded) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}


@asynccontextmanager
async def listing(serve: Serve) -> AsyncIterator[tuple[PayChainHQ, RawServer]]:
    """Run a client of a server whose lists `serve` makes from the query."""

    async def behave(request: Recorded, writer: asyncio.StreamWriter) -> None:
        content = serve(query_of(request))
        writer.write(content if isinstance(content, bytes) else http_response(content))

    async with RawServer(behave) as server, client(server.url) as pay:
        yield pay, server


client = partial(make_client, retry=RetryPolicy(first=0.001))


async def create(pay: PayChainHQ, count: int) -> set[str]:
    requests: list[InvoiceRequestDict] = [
        {"reference": str(n), "amount": "5", "token": "USDC", "chain": "eth"} for n in range(count)
    ]
    return {
        outcome.result.id async for outcome in pay.invoices.create_many(requests) if outcome.result
    }


async def test_awaiting_a_list_returns_its_first_page(paychain_emulator: Emulator) -> None:
    """`await` returns one page, with its place among all pages and its response."""
    async with client(paychain_emulator.url) as pay:
        await create(pay, 5)
        page = await pay.invoices.list(limit=2)
        assert len(page.items) == 2
        assert page.pagination is not None
        assert (page.pagination.page, page.pagination.limit, page.pagination.total) == (1, 2, 6)
        assert page.response is not None
        assert page.response.status == 200


async def test_iterating_yields_every_item_of_every_page_once(paychain_emulator: Emulator) -> None:
    """`async for` goes through all pages."""
    async with client(paychain_emulator.url) as pay:
        created = await create(pay, 25)
        found = [item.id async for item in pay.invoices.list(limit=4)]
        assert len(found) == 26
        assert set(found) == created | {"inv_123"}


async def test_a_page_continues_with_the_later_pages(paychain_emulator: Emulator) -> None:
    """Iterating over a page yields its own items, and then those of all later pages."""
    async with client(paychain_emulator.url) as pay:
        await create(pay, 9)
        everything = [item.id async for item in pay.invoices.list(limit=3)]
        second = await pay.invoices.list(page=2, limit=3)
        assert [item.id async for item in second] == everything[3:]


async def test_a_list_is_resumed_from_a_page_number(paychain_emulator: Emulator) -> None:
    """`page=` is the first page of the iteration, of items and of pages."""
    async with client(paychain_emulator.url) as pay:
        await create(pay, 9)
        numbers = [
            page.pagination.page
            async for page in pay.invoices.list(page=3, limit=3).pages()
            if page.pagination
        ]
        assert numbers == [3, 4]


async def test_filters_apply_to_every_page(paychain_emulator: Emulator) -> None:
    """A filter is sent with each request for a page."""
    async with client(paychain_emulator.url) as pay:
        paid = sorted(await create(pay, 6))[:3]
        for name in paid:
            paychain_emulator.pay(name)
        assert (
            sorted([item.id async for item in pay.invoices.list(status="confirming", limit=1)])
            == paid
        )
        lists = [
            request
            for request in paychain_emulator.requests
            if request.operation == "invoices.list"
        ]
        assert [request.query["status"] for request in lists] == ["confirming"] * 3


async def test_billing_invoices_end_with_an_empty_page() -> None:
    """The next offset of billing follows from the items read; an empty page is the end."""
    names = ["a", "b", "c", "d", "e"]

    def serve(query: dict[str, str]) -> Any:
        offset = int(query.get("offset", "0"))
        return {
            "data": [
                {"id": name, "status": "open", "amountUSD": "1.00"}
                for name in names[offset : offset + 2]
            ]
        }

    async with listing(serve) as (pay, server):
        assert [item.id async for item in pay.billing.invoices(limit=2)] == names
        assert [query_of(request).get("offset") for request in server.requests] == [
            None,
            "2",
            "4",
            "5",
        ]
        assert (await pay.billing.invoices()).pagination is None
        assert [
            len(page.items) async for page in pay.billing.invoices(limit=2, offset=1).pages()
        ] == [2, 2]


async def test_the_next_page_is_fetched_when_the_second_item_is_taken() -> None:
    """Nothing is fetched ahead for the first item; the second one starts the next page."""
    second_requested = asyncio.Event()

    def serve(query: dict[str, str]) -> Any:
        if query.get("page") == "2":
            second_requested.set()
        return (
            page_of(["a", "b", "c"], 1, more=True)
            if "page" not in query
            else page_of(["d"], 2, more=False)
        )

    async with listing(serve) as (pay, server):
        items = aiter(pay.invoices.list())
        assert (await anext(items)).id == "a"
        await asyncio.sleep(0)
        assert len(server.requests) == 1
        assert (await anext(items)).id == "b"
        await second_requested.wait()
        assert [item.id async for item in items] == ["c", "d"]


async def test_a_failed_prefetch_is_raised_only_at_its_page() -> None:
    """All items of a page precede the error of the next; a break leaves no unretrieved error."""

    def serve(query: dict[str, str]) -> Any:
        return (
            page_of(["a", "b", "c"], 1, more=True)
            if "page" not in query
            else http_response({}, 500)
        )

    async with listing(serve) as (pay, _):
        pay = pay.with_options(retry=None)
        taken = []
        with pytest.raises(ServerError):
            async for item in pay.invoices.list():
                taken.append(item.id)
        assert taken == ["a", "b", "c"]
        async for item in pay.invoices.list():
            if item.id == "b":
                break
        gc.collect()


async def test_closing_an_iterator_or_the_client_cancels_the_prefetch() -> None:
    """A prefetch that nobody will read is not waited for."""
    hanging = asyncio.Event()

    async def behave(request: Recorded, writer: asyncio.StreamWriter) -> None:
        if "page" in query_of(request):
            hanging.set()
            await asyncio.Event().wait()
        writer.write(http_response(page_of(["a", "b", "c"], 1, more=True)))

    async with RawServer(behave) as server:
        for closing in ("iterator", "client"):
            async with client(server.url) as pay:
                items = pay.invoices.list().__aiter__()
                await anext(items)
                await anext(items)
                await hanging.wait()
                if closing == "iterator":
                    await items.aclose()  # type: ignore[attr-defined]
            hanging.clear()
        await asyncio.sleep(0)
        assert not [task for task in asyncio.all_tasks() if "_fetch" in repr(task)]


async def test_an_item_that_moved_to_a_later_page_is_yielded_once() -> None:
    """New invoices move old ones to later pages during the iteration."""

    def serve(query: dict[str, str]) -> Any:
        pages = {"1": ["a", "b", "c"], "2": ["b", "c", "d"], "3": ["c", "e"]}
        number = query.get("page", "1")
        return page_of(pages[number], int(number), more=number != "3")

    async with listing(serve) as (pay, _):
        assert [item.id async for item in pay.invoices.list()] == ["a", "b", "c", "d", "e"]


async def test_a_server_that_repeats_its_pages_does_not_loop_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The list ends with a warning when pages have nothing new, by items and by pages."""
    async with listing(lambda _: page_of(["a", "b"], 1, more=True)) as (pay, _):
        assert [item.id async for item in pay.invoices.list()] == ["a", "b"]
        assert "repeats its pages" in caplog.text
        assert len([page async for page in pay.invoices.list().pages()]) < 10


async def test_pages_of_known_items_do_not_end_the_list_early() -> None:
    """A page of new invoices in front moves all items by a page: the page after it is new."""

    def serve(query: dict[str, str]) -> Any:
        pages = {"1": ["a", "b"], "2": ["a", "b"], "3": ["c", "d"]}
        number = query.get("page", "1")
        return page_of(pages[number], int(number), more=number != "3")

    async with listing(serve) as (pay, _):
        assert [item.id async for item in pay.invoices.list()] == ["a", "b", "c", "d"]


@pytest.mark.async_only("a list is refused before it is awaited")
async def test_bad_arguments_are_refused_before_anything_is_sent() -> None:
    """An invalid argument of a list is refused at once, without an `await`."""
    async with listing(lambda _: page_of([], 1, more=False)) as (pay, server):
        for bad in ({"page": 0}, {"limit": -1}, {"page": 1.5}, {"status": ""}, {"limit": True}):
            with pytest.raises(InvalidArgumentError):
                pay.invoices.list(**bad)
        assert server.requests == []


async def test_a_page_without_its_client_is_reported_as_incomplete() -> None:
    """A page from a pickle has no client: it yields its own items, then raises."""
    async with listing(lambda _: page_of(["a", "b"], 1, more=True)) as (pay, _):
        page = pickle.loads(pickle.dumps(await pay.invoices.list()))
        items: list[Invoice] = []
        with pytest.raises(ValueError, match="later pages"):
            async for item in page:
                items.append(item)
        assert [item.id for item in items] == ["a", "b"]


async def test_an_error_of_a_list_names_its_operation(paychain_emulator: Emulator) -> None:
    """The error for the list of another business names the operation."""
    async with client(paychain_emulator.url) as pay:
        with pytest.raises(NotFoundError) as caught:
            await pay.customers.list(business_id="biz_other")
        assert caught.value.operation == "customers.list"


@pytest.mark.async_only("runs loops of its own")
@settings(max_examples=often(60), deadline=None)
@given(
    pages=st.lists(st.integers(0, 4), min_size=1, max_size=8),
    inserted=st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_a_list_that_grows_between_pages(pages: list[int], inserted: list[int]) -> None:
    """With any items inserted in front, each item of the start is yielded exactly once."""
    items = [f"old{n}" for n in range(sum(pages))]
    start = list(items)

    def serve(query: dict[str, str]) -> Any:
        number = int(query.get("page", "1"))
        # New items come in front, at most as many as the remembered pages hold.
        if number > 1:
            for n in range(inserted[number % 8]):
                items.insert(0, f"new{number}.{n}")
        begin = (number - 1) * 4
        return page_of(items[begin : begin + 4], number, more=begin + 4 < len(items))

    async def run() -> list[str]:
        async with listing(serve) as (pay, _):
            return [item.id async for item in pay.invoices.list()]

    found = asyncio.run(run())
    assert len(found) == len(set(found))
    assert [name for name in found if name.startswith("old")] == start


@pytest.mark.async_only("runs loops of its own")
@settings(max_examples=often(80), deadline=None)
@given(
    size=st.integers(0, 30),
    changes=st.lists(
        st.tuples(st.sampled_from(["insert", "remove", "move on"]), st.integers(0, 40)), max_size=12
    ),
)
def test_a_list_that_changes_between_pages(size: int, changes: list[tuple[str, int]]) -> None:
    """With any changes between pages, the list ends and yields each item once, and no other."""
    items = [f"old{n}" for n in range(size)]
    ever = set(items)
    left = list(changes)

    def serve(query: dict[str, str]) -> Any:
        number = int(query.get("page", "1"))
        if number > 1 and left:
            kind, at = left.pop(0)
            if kind == "insert":
                items.insert(at % (len(items) + 1), f"new{len(ever)}")
                ever.add(f"new{len(ever)}")
            elif items:
                item = items.pop(at % len(items))
                if (
                    kind == "move on"
                ):  # by a page: items that move further may be outside the memory of the last pages
                    items.insert(at % (len(items) + 1) + 3, item)
        begin = (number - 1) * 3
        return page_of(items[begin : begin + 3], number, more=begin + 3 < len(items))

    async def run() -> list[str]:
        async with listing(serve) as (pay, _):
            return [item.id async for item in pay.invoices.list()]

    found = asyncio.run(run())
    assert len(found) == len(set(found))
    assert set(found) <= ever
    if not changes:
        assert found == items
