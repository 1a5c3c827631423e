"""Lists that shrink while they are read: each remaining item is yielded once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paychainhq.emulator import Emulator
from paychainhq.models.lists import Pagination
from paychainhq.paging import _Cursor
from tests.support.faces import PayChainHQ
from tests.support.often import often
from tests.support.raw_server import RawServer, Recorded, http_response
from tests.test_paging import client, create, invoice, query_of

pytestmark = pytest.mark.usefixtures("face")


class Listed:
    """A server's list: its present names, newest first, and every request for a page."""

    def __init__(self, size: int, limit: int) -> None:
        self.names = [f"old{number}" for number in range(size)]
        self.limit = limit
        self.requested: list[int] = []
        self.before: Callable[[], object] = lambda: None  # runs before a page is read

    async def behave(self, request: Recorded, writer: asyncio.StreamWriter) -> None:
        self.before()
        number = int(query_of(request).get("page", "1"))
        self.requested.append(number)
        begin, total, limit = (number - 1) * self.limit, len(self.names), self.limit
        pages = -(-total // limit)
        pagination = {
            "page": number,
            "limit": limit,
            "total": total,
            "totalPages": pages,
            "hasMore": number < pages,
        }
        data = [invoice(name) for name in self.names[begin : begin + limit]]
        writer.write(http_response({"data": data, "pagination": pagination}))


@asynccontextmanager
async def reading(listed: Listed) -> AsyncIterator[PayChainHQ]:
    async with RawServer(listed.behave) as server, client(server.url) as pay:
        yield pay


@pytest.mark.parametrize("limit", [None, 7, 100])
async def test_every_open_invoice_is_cancelled(
    paychain_emulator: Emulator, limit: int | None
) -> None:
    """Each invoice leaves the list as soon as it is yielded: none is left at the end."""
    async with client(paychain_emulator.url) as pay:
        await create(pay, 230)
        cancelled = []
        async for item in pay.invoices.list(status="pending", limit=limit):
            await pay.invoices.cancel(item.id)
            cancelled.append(item.id)
        assert (len(cancelled), len(set(cancelled))) == (231, 231)
        left = await pay.invoices.list(status="pending")
        assert left.pagination is not None
        assert left.pagination.total == 0


@pytest.mark.parametrize("way", ["pages", "a page"])
async def test_every_open_invoice_is_cancelled_in_other_ways(
    paychain_emulator: Emulator, way: str
) -> None:
    """All are cancelled by pages, too, and from a page that was fetched by itself."""
    async with client(paychain_emulator.url) as pay:
        await create(pay, 80)
        cancelled = []
        if way == "pages":
            async for page in pay.invoices.list(status="pending", limit=10).pages():
                for item in page.items:
                    await pay.invoices.cancel(item.id)
                    cancelled.append(item.id)
        else:
            async for item in await pay.invoices.list(status="pending", limit=10):
                await pay.invoices.cancel(item.id)
                cancelled.append(item.id)
        assert len(set(cancelled)) == 81


async def test_payers_pay_while_the_list_is_read(paychain_emulator: Emulator) -> None:
    """Invoices that stay pending are yielded once, while every second one is paid."""
    async with client(paychain_emulator.url) as pay:
        created = sorted(await create(pay, 150))
        paid, stay, found = created[::2], set(created[1::2]), []
        async for item in pay.invoices.list(status="pending", limit=20):
            found.append(item.id)
            if paid:
                await asyncio.to_thread(paychain_emulator.pay, paid.pop())
        assert len(found) == len(set(found))
        assert stay <= set(found)


@pytest.mark.parametrize("left", [1, 3, 10, 35, 96])
async def test_many_leave_at_once(left: int) -> None:
    """All remaining items are yielded after any number of items has left from the front."""
    listed = Listed(100, 5)
    async with reading(listed) as pay:

        def leave() -> None:
            if len(listed.requested) == 5:
                del listed.names[:left]

        listed.before = leave
        found = [item.id async for item in pay.invoices.list()]
    assert len(found) == len(set(found))
    assert set(found) >= {f"old{number}" for number in range(left, 100)}


async def test_a_list_that_keeps_its_length_is_read_once() -> None:
    """Without departures each page is read once, in order."""
    listed = Listed(30, 4)
    async with reading(listed) as pay:
        assert [item.id async for item in pay.invoices.list()] == listed.names
    assert listed.requested == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_reading_never_goes_back_before_its_first_page() -> None:
    """A list that starts at its third page goes back to that page at most."""
    listed = Listed(60, 5)
    async with reading(listed) as pay:
        listed.before = lambda: listed.names.pop(0) if len(listed.requested) > 1 else None
        found = [item.id async for item in pay.invoices.list(page=3)]
    assert min(listed.requested) == 3
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "totals", [lambda n: 99 - n, lambda n: 99 * (n % 2), lambda n: 99 * (n % 3 == 0), lambda n: -n]
)
async def test_a_server_whose_totals_mean_nothing_does_not_loop_for_ever(
    totals: Callable[[int], int],
) -> None:
    """Repeated pages end the list also if the total claims that items have left."""
    requested = 0

    async def behave(request: Recorded, writer: asyncio.StreamWriter) -> None:
        nonlocal requested
        requested += 1
        pagination = {
            "page": 1,
            "limit": 2,
            "total": totals(requested),
            "totalPages": 50,
            "hasMore": True,
        }
        writer.write(
            http_response({"data": [invoice("a"), invoice("b")], "pagination": pagination})
        )

    async with RawServer(behave) as server, client(server.url) as pay:
        assert [item.id async for item in pay.invoices.list()] == ["a", "b"]
    assert requested < 30


async def test_an_item_from_far_back_is_not_yielded_again() -> None:
    """Half of 3,000 items leave at once: the memory covers more than the pages read again."""
    listed = Listed(3000, 50)
    async with reading(listed) as pay:

        def leave() -> None:
            if len(listed.requested) == 50:
                del listed.names[:1500]

        listed.before = leave
        found = [item.id async for item in pay.invoices.list()]
    assert len(found) == len(set(found)) == 3000


# --- the sequence of pages in general ---

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["leave", "arrive", "nothing", "leave", "take"]), st.integers(0, 200)
    ),
    max_size=60,
)


@pytest.mark.async_only("makes no client")
@settings(max_examples=often(200), deadline=None)
@given(size=st.integers(0, 60), limit=st.integers(1, 12), events=EVENTS)
def test_any_departures(size: int, limit: int, events: list[tuple[str, int]]) -> None:
    """Items leave anywhere between any two pages: the others are yielded, and the list ends.

    New items come in front only between two departures; as many arrivals as departures between the
    same two pages hide each other.
    """
    names = [f"old{number}" for number in range(size)]
    cursor, found, arrived, steps = _Cursor(), set[str](), 0, 0
    left = list(events)
    number: int | None = 1
    while number is not None:
        begin, pages = (number - 1) * limit, -(-len(names) // limit)
        found |= set(names[begin : begin + limit])
        place = Pagination(
            page=number, limit=limit, total=len(names), total_pages=pages, has_more=number < pages
        )
        number = cursor.after(number, place)
        steps += 1
        assert steps < 5 * (size + len(events) + 10)
        if not left:
            continue
        kind, at = left.pop()
        if kind == "leave" and names:
            del names[at % len(names)]
        elif kind == "take":  # yielded items leave
            names = [name for name in names if name not in found or (int(name[3:]) + at) % 2]
        elif kind == "arrive":
            names.insert(0, f"new{arrived}")
            arrived += 1
    assert {name for name in names if name.startswith("old")} <= found


@pytest.mark.async_only("runs loops of its own")
@settings(max_examples=often(30), deadline=None)
@given(
    size=st.integers(0, 40),
    limit=st.integers(1, 9),
    choices=st.lists(st.integers(0, 3), min_size=40, max_size=40),
)
def test_items_that_are_cancelled_while_they_are_yielded(
    size: int, limit: int, choices: list[int]
) -> None:
    """Items leave when yielded, some unread ones with them: the rest is yielded once."""
    listed = Listed(size, limit)
    gone: set[str] = set()

    async def run() -> list[str]:
        found = []
        async with reading(listed) as pay:
            async for item in pay.invoices.list():
                found.append(item.id)
                choice = choices[len(found) % 40]
                if choice and item.id in listed.names:
                    listed.names.remove(item.id)
                if choice == 2 and listed.names:
                    gone.add(
                        listed.names.pop(choices[len(found) % 7])
                        if len(listed.names) > 3
                        else listed.names.pop()
                    )
        return found

    found = asyncio.run(run())
    assert len(found) == len(set(found))
    assert set(found) | gone == {f"old{number}" for number in range(size)}
