"""Watches of many invoices: sweeps of lists where these need fewer requests than single reads."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from paychainhq import AuthenticationError, Change, InvalidArgumentError, RetryPolicy, WatchState
from paychainhq._jobs import list_sweeps
from paychainhq._jobs.watch_state import Watched
from paychainhq.emulator import Emulator
from tests.support.client import client as make_client
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, Recorded, http_response

pytestmark = pytest.mark.usefixtures("face")

SOON = 0.02
ONCE = RetryPolicy(attempts=1, attempt_timeout=5)


client = partial(make_client, retry=ONCE, timeout=60)


async def create(pay: PayChainHQ, count: int, **more: Any) -> list[str]:
    made: list[Any] = [
        {"amount": "5", "token": "USDC", "chain": "eth", "reference": f"{count}-{n}", **more}
        for n in range(count)
    ]
    return [
        outcome.result.id
        async for outcome in pay.invoices.create_many(made)
        if outcome.result is not None
    ]


def reads_since(emulator: Emulator, since: int) -> Counter[str]:
    """Return the requests: single reads, and pages of each status."""
    requests = [request for request in emulator.requests[since:] if request.method == "GET"]
    return Counter(
        request.query["status"] if request.operation == "invoices.list" else "read"
        for request in requests
    )


async def first_sightings(pay: PayChainHQ, ids: list[str], **options: Any) -> list[Change]:
    """Watch until each invoice was reported once."""
    changes: list[Change] = []
    async for change in pay.invoices.watch(ids, **options):
        changes.append(change)
        if len(changes) == len(ids):
            break
    return changes


# --- number of requests ---


async def test_many_among_many_are_found_in_lists(paychain_emulator: Emulator) -> None:
    """The status of 250 open invoices is read from three pages, without a single read."""
    async with client(paychain_emulator.url) as pay:
        ids = await create(pay, 250)
        since = len(paychain_emulator.requests)
        changes = await first_sightings(pay, ids)
    assert {(change.previous, change.current) for change in changes} == {(None, "pending")}
    assert {change.invoice_id for change in changes} == set(ids)
    assert reads_since(paychain_emulator, since) == {"pending": 3}


async def test_few_among_many_are_read(
    paychain_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five watched among 300 open: once the list is known to be long, each round is five reads."""
    monkeypatch.setattr(list_sweeps, "_LARGEST_PAGE", 10)
    async with client(paychain_emulator.url) as pay:
        ids = (await create(pay, 300))[:5]
        since = len(paychain_emulator.requests)
        watching = pay.invoices.watch(ids, interval=SOON)
        changes = [await anext(watching) for _ in ids]
        counts = reads_since(paychain_emulator, since)
        assert counts["pending"] == 1
        assert counts["read"] <= 5
        since = len(paychain_emulator.requests)
        paychain_emulator.pay(ids[0])
        changes.append(await anext(watching))
        await watching.aclose()
    assert (changes[-1].invoice_id, changes[-1].current) == (ids[0], "confirming")
    assert not reads_since(paychain_emulator, since)["pending"]


async def test_one_is_read(paychain_emulator: Emulator) -> None:
    """A single invoice needs no list."""
    async with client(paychain_emulator.url) as pay:
        await create(pay, 3)
        since = len(paychain_emulator.requests)
        await first_sightings(pay, ["inv_123"])
    assert reads_since(paychain_emulator, since) == {"read": 1}


async def test_without_a_business_each_is_read(paychain_emulator: Emulator) -> None:
    """A list needs a business id; a single read does not."""
    async with client(paychain_emulator.url) as pay:
        ids = await create(pay, 30)
    since = len(paychain_emulator.requests)
    async with client(paychain_emulator.url, business_id=None) as pay:
        await first_sightings(pay, ids)
    assert reads_since(paychain_emulator, since) == {"read": 30}


async def test_a_change_takes_at_most_two_single_reads(paychain_emulator: Emulator) -> None:
    """20 of 250 are paid at once: each is reported once, with at most 40 reads and no paid list."""
    async with client(paychain_emulator.url) as pay:
        ids = await create(pay, 250)
        reported: Counter[tuple[str, str | None]] = Counter()
        since = 0
        async for change in pay.invoices.watch(ids, interval=SOON):
            reported[change.invoice_id, change.current] += 1
            if len(reported) == len(ids):
                for id_ in ids[::13]:
                    paychain_emulator.pay(id_)
                    paychain_emulator.confirm(id_)
                since = len(paychain_emulator.requests)
            if sum(1 for _, status in reported if status == "paid") == 20:
                break
    assert set(reported.values()) == {1}
    counts = reads_since(paychain_emulator, since)
    assert 20 <= counts["read"] <= 40
    assert "paid" not in counts


async def test_the_list_of_paid_invoices_is_never_read(paychain_emulator: Emulator) -> None:
    """Invoices in a terminal status are read once each, and reported with it."""
    async with client(paychain_emulator.url) as pay:
        ended = await create(pay, 6)
        for id_ in ended:
            paychain_emulator.pay(id_)
            paychain_emulator.confirm(id_)
        since = len(paychain_emulator.requests)
        changes = [change async for change in pay.invoices.watch(ended)]
    assert {(change.previous, change.current) for change in changes} == {(None, "paid")}
    counts = reads_since(paychain_emulator, since)
    assert counts["read"] == 6
    assert set(counts) <= {"read", "pending", "confirming", "partially_paid", "underpaid"}


async def test_pages_are_as_large_as_the_server_grants() -> None:
    """A server that returns 7 rows a page is read to the end, and no page twice."""
    ids = [f"inv_{n}" for n in range(50)]

    async def small_pages(request: Recorded, writer: asyncio.StreamWriter) -> None:
        query = dict(part.split("=") for part in request.target.partition("?")[2].split("&"))
        number = int(query["page"])
        wanted = ids if query["status"] == "pending" else []
        page = {
            "page": number,
            "limit": 7,
            "total": len(wanted),
            "totalPages": -(-len(wanted) // 7),
            "hasMore": number * 7 < len(wanted),
        }
        rows = [
            {"id": id_, "status": "pending", "amount": "1"}
            for id_ in wanted[(number - 1) * 7 : number * 7]
        ]
        writer.write(http_response({"data": rows, "pagination": page}))

    async with RawServer(small_pages) as server, client(server.url) as pay:
        changes = await first_sightings(pay, ids)
    assert {change.invoice_id for change in changes} == set(ids)
    assert (
        Counter(request.target.partition("?")[2].split("&")[0] for request in server.requests)[
            "status=pending"
        ]
        == 8
    )


async def test_a_server_that_repeats_a_page_does_not_hold_the_watch(
    paychain_emulator: Emulator,
) -> None:
    """Lists that always claim to have more end; invoices not seen in them are read."""
    row = {"id": "inv_0", "status": "pending", "amount": "1"}
    page = {
        "data": [row],
        "pagination": {"page": 1, "limit": 1, "total": 9, "totalPages": 9, "hasMore": True},
    }

    async def stuck(request: Recorded, writer: asyncio.StreamWriter) -> None:
        id_ = request.target.rpartition("/")[2]
        writer.write(
            http_response(
                page if "status=" in request.target else {**row, "id": id_, "status": "paid"}
            )
        )

    ids = [f"inv_{n}" for n in range(12)]
    async with RawServer(stuck) as server, client(server.url) as pay:
        changes = await first_sightings(pay, ids)
    assert {change.invoice_id: change.current for change in changes} == {
        "inv_0": "pending",
        **dict.fromkeys(ids[1:], "paid"),
    }


@pytest.mark.async_only("measures the memory of this process")
async def test_a_watched_invoice_takes_less_than_a_kibibyte() -> None:
    """Watching 100,000 invoices keeps a status and a few times for each, not their models."""
    tracemalloc.start()
    try:
        state = WatchState.from_token(
            json.dumps(
                {
                    "watching": [
                        [f"inv_{n}", "pending", "2026-11-21T12:00:00+00:00"] for n in range(100_000)
                    ]
                }
            )
        )
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / 100_000 < 1024
    assert all(isinstance(watched, Watched) for watched in state._watched.values())


# --- correctness ---


async def test_an_expired_invoice_is_read_by_itself(paychain_emulator: Emulator) -> None:
    """An invoice past its end that a list shows as pending is read by itself, then reported."""
    async with client(paychain_emulator.url) as pay:
        ids = await create(pay, 20, expires_in=60)
        others = await create(pay, 21)
        reported: dict[str, list[str | None]] = {}
        since = 0
        async for change in pay.invoices.watch([*ids, *others], interval=SOON):
            reported.setdefault(change.invoice_id, []).append(change.current)
            if len(reported) == 41 and not since:
                paychain_emulator.advance(61)
                since = len(paychain_emulator.requests)
            if sum("expired" in statuses for statuses in reported.values()) == 20:
                break
    assert all(reported[id_] == ["pending", "expired"] for id_ in ids)
    assert all(reported[id_] == ["pending"] for id_ in others)
    assert reads_since(paychain_emulator, since)["read"] == 20


async def test_an_outage_in_a_sweep_is_waited_out(paychain_emulator: Emulator) -> None:
    """Pages that fail prove nothing about their invoices: no change is invented or repeated."""
    async with client(paychain_emulator.url) as pay:
        ids = await create(pay, 130)
        reported: Counter[tuple[str, str | None]] = Counter()
        async for change in pay.invoices.watch(ids, interval=SOON):
            reported[change.invoice_id, change.current] += 1
            if len(reported) == 130:
                for kind in ("503", "drop", "truncate"):
                    paychain_emulator.fault("invoices.list", kind, times=2)
                paychain_emulator.pay(ids[77])
            if change.current == "confirming":
                break
    assert set(reported.values()) == {1}
    assert len(reported) == 131


async def test_a_wrong_key_ends_the_watch_in_a_sweep(paychain_emulator: Emulator) -> None:
    """A failure that is not transient is raised."""
    async with client(paychain_emulator.url, api_key="pk_wrong") as pay:
        with pytest.raises(AuthenticationError):
            await first_sightings(pay, [f"inv_{n}" for n in range(30)])


async def test_a_mixed_crowd_is_reported_to_the_end(paychain_emulator: Emulator) -> None:
    """Each status of many changing invoices is reported once, in order, up to the terminal one."""
    async with client(paychain_emulator.url) as pay:
        ids = await create(pay, 120)
        reported: dict[str, list[str | None]] = {}
        async for change in pay.invoices.watch([*ids, "inv_nobody"], interval=SOON):
            reported.setdefault(change.invoice_id, []).append(change.current)
            if change.current == "pending":
                paychain_emulator.pay(change.invoice_id)
            elif change.current == "confirming":
                paychain_emulator.confirm(change.invoice_id)
    assert reported.pop("inv_nobody") == [None]
    assert set(reported) == set(ids)
    assert all(
        statuses[-1] == "paid" and statuses == sorted(set(statuses), key=statuses.index)
        for statuses in reported.values()
    )


# --- feed, stop, resume ---


async def test_an_invoice_named_by_the_feed_is_read_at_once(
    paychain_emulator: Emulator,
) -> None:
    """An id from a webhook is read before the next round; ids that are not watched are ignored."""
    paid = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def webhooks() -> AsyncIterator[str]:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(paid.wait(), loop))
        yield "inv_of_somebody_else"
        yield "inv_123"

    async with client(paychain_emulator.url) as pay:
        currents = []
        async for change in pay.invoices.watch(["inv_123"], interval=3600, seen=webhooks()):
            currents.append(change.current)
            if change.current == "pending":
                paychain_emulator.pay("inv_123")
                paychain_emulator.confirm("inv_123")
                paid.set()
    assert currents == ["pending", "paid"]


async def test_a_failure_of_the_feed_ends_the_watch(paychain_emulator: Emulator) -> None:
    """The caller's exception is raised; the end of the feed alone does not end the watch."""

    async def fails() -> AsyncIterator[str]:
        yield "inv_123"
        raise LookupError("the queue is gone")

    async def ends() -> AsyncIterator[str]:
        yield "inv_123"

    async with client(paychain_emulator.url) as pay:
        with pytest.raises(LookupError, match="queue"):
            async for _ in pay.invoices.watch(["inv_123"], interval=3600, seen=fails()):
                pass
        changes = []
        async for change in pay.invoices.watch(["inv_123"], interval=SOON, seen=ends()):
            changes.append(change.current)
            if change.current == "pending":
                paychain_emulator.pay("inv_123")
                paychain_emulator.confirm("inv_123")
    assert changes[-1] == "paid"


@pytest.mark.async_only("counts the tasks of the event loop")
async def test_a_watch_that_is_left_leaves_nothing(paychain_emulator: Emulator) -> None:
    """A watch that is left in the middle of a sweep, with a feed, leaves no task behind."""

    async def never() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""

    async with client(paychain_emulator.url) as pay:
        ids = await create(pay, 250)
        before = asyncio.all_tasks()
        for stop in (1, 120, 250):
            watching = pay.invoices.watch(ids, seen=never())
            for _ in range(stop):
                await anext(watching)
            await watching.aclose()
            assert asyncio.all_tasks() == before


async def test_a_watch_resumes_from_a_token(paychain_emulator: Emulator) -> None:
    """Changes in between are reported once, with the last reported status as the previous one."""
    async with client(paychain_emulator.url) as pay:
        ids = await create(pay, 20, expires_in=600)
        state = WatchState()
        async for change in pay.invoices.watch(ids, interval=SOON, state=state):
            if change.invoice_id == ids[0] and change.current == "pending":
                paychain_emulator.pay(ids[0])
                paychain_emulator.confirm(ids[0])
            elif change.current == "paid":
                break
        token = state.token()
        paychain_emulator.pay(ids[1])
        second = WatchState.from_token(token)
        changes = []
        async for change in pay.invoices.watch([], interval=SOON, state=second):
            changes.append((change.invoice_id, change.previous, change.current))
            paychain_emulator.advance(601)
            if len(changes) == 19:
                break
    assert changes[0] == (ids[1], "pending", "confirming")
    assert {change[1:] for change in changes[1:]} == {("pending", "expired")}
    assert len({change[0] for change in changes}) == 19


async def test_a_change_counts_as_reported_once_it_is_yielded(paychain_emulator: Emulator) -> None:
    """A token taken after the third change of a batch includes three."""
    async with client(paychain_emulator.url) as pay:
        ids = await create(pay, 30)
        state = WatchState()
        taken: list[Change] = []
        async for change in pay.invoices.watch(ids, state=state):
            taken.append(change)
            if len(taken) == 3:
                break
        reported = {
            id_ for id_, status, _ in json.loads(state.token())["watching"] if status is not None
        }
        assert reported == {change.invoice_id for change in taken}
        rest = []
        async for change in pay.invoices.watch(ids, state=WatchState.from_token(state.token())):
            rest.append(change.invoice_id)
            if len(rest) == 27:
                break
    assert {*rest, *reported} == set(ids)
    assert len(rest) + len(reported) == 30


@pytest.mark.async_only("makes no client")
@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"watching": 5}',
        '{"watching": [["inv_1"]]}',
        '{"watching": [["inv_1", 5, null]]}',
        '{"watching": [["../x", null, null]]}',
        '{"watching": [["inv_1", "pending", "soon"]]}',
        '{"watching": [["inv_1", "pending", "2026-01-01T00:00:00"]]}',
        '{"watching": [[5, null, null]]}',
    ],
)
def test_an_invalid_token_is_refused(token: str) -> None:
    """Any other value is refused as a token, and no id in a token can alter a path."""
    with pytest.raises(InvalidArgumentError) as caught:
        WatchState.from_token(token)
    assert caught.value.argument == "token"
