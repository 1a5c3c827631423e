"""`wait` and `watch`: invoices are followed to a terminal status, by the server's clock."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from paychainhq import (
    AuthenticationError,
    Change,
    ConfigurationError,
    DecodeError,
    InvalidArgumentError,
    NotFoundError,
    RetryPolicy,
    WaitTimeoutError,
)
from paychainhq.emulator import Emulator
from paychainhq.models import Invoice
from tests.support.client import client as make_client
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, Recorded, http_response

pytestmark = pytest.mark.usefixtures("face")

FAST = RetryPolicy(attempts=1, first=0.001, attempt_timeout=30)
SOON = 0.005


client = partial(make_client, retry=FAST)


async def create(pay: PayChainHQ, **more: Any) -> Invoice:
    return await pay.invoices.create("100", "USDC", "eth", network_id="base-mainnet", **more)


async def test_wait_returns_the_settled_invoice(paychain_emulator: Emulator) -> None:
    """`wait` returns the settled invoice, with the amount that was really paid."""
    async with client(paychain_emulator.url) as pay:
        invoice = await create(pay)
        waiting = asyncio.create_task(pay.invoices.wait(invoice.id, interval=SOON))
        paychain_emulator.pay(invoice.id)
        paychain_emulator.confirm(invoice.id)
        settled = await waiting
        assert settled.is_settled
        assert settled.paid_amount is not None
        assert settled.paid_amount.display == 100


@pytest.mark.parametrize(
    ("amount", "status"),
    [
        ("100", "paid"),
        ("99.60", "paid"),
        ("130", "overpaid"),
        ("40", "partially_paid"),
        (None, "pending"),
    ],
)
async def test_watch_reports_the_changes_of_a_payment(
    paychain_emulator: Emulator, amount: str | None, status: str
) -> None:
    """The first change has no previous status; then each change follows, until the terminal one."""
    async with client(paychain_emulator.url) as pay:
        invoice = await create(
            pay, underpayment_tolerance_bps=50, underpayment_tolerance_max_usd="0.50"
        )
        seen: list[tuple[Any, Any]] = []
        async for change in pay.invoices.watch([invoice], interval=SOON):
            assert change.invoice is not None
            assert change.invoice_id == invoice.id
            seen.append((change.previous, change.current))
            if change.current == "pending" and amount is not None:
                paychain_emulator.pay(invoice.id, amount=amount)
            elif change.current == "confirming":
                paychain_emulator.confirm(invoice.id)
            elif change.current in ("pending", "partially_paid"):
                paychain_emulator.advance(25 * 3600)
    expected: list[tuple[Any, Any]] = [(None, "pending")]
    for current in ([] if amount is None else ["confirming", status]) + (
        [] if status in ("paid", "overpaid") else ["expired"]
    ):
        expected.append((expected[-1][1], current))
    assert seen == expected


async def test_watch_follows_many_and_ends_when_all_have_ended(paychain_emulator: Emulator) -> None:
    """Each invoice is reported once for each status, independent of the others."""
    async with client(paychain_emulator.url) as pay:
        invoices = [await create(pay) for _ in range(12)]
        changes: list[Change] = []
        async for change in pay.invoices.watch(
            [invoice.id for invoice in invoices], interval=SOON, concurrency=5
        ):
            changes.append(change)
            if change.current == "pending":
                paychain_emulator.pay(change.invoice_id)
                paychain_emulator.confirm(change.invoice_id)
    assert len(changes) == 24
    for invoice in invoices:
        assert [change.current for change in changes if change.invoice_id == invoice.id] == [
            "pending",
            "paid",
        ]


async def test_an_id_that_does_not_exist_is_a_change_with_an_error(
    paychain_emulator: Emulator,
) -> None:
    """The unknown id is reported once, and the other invoices are not affected."""
    async with client(paychain_emulator.url) as pay:
        paychain_emulator.pay("inv_123")
        paychain_emulator.confirm("inv_123")
        changes = {
            change.invoice_id: change
            async for change in pay.invoices.watch(["inv_none", "inv_123"], interval=SOON)
        }
        assert isinstance(changes["inv_none"].error, NotFoundError)
        assert changes["inv_none"].invoice is None
        assert changes["inv_123"].current == "paid"
        assert changes["inv_123"].previous is None
        with pytest.raises(NotFoundError):
            await pay.invoices.wait("inv_none", interval=SOON)


async def test_expiry_is_judged_by_the_servers_clock(paychain_emulator: Emulator) -> None:
    """A pending invoice is expired as soon as the server's own time is past `expires_at`."""
    async with client(paychain_emulator.url) as pay:
        invoice = await create(pay, expires_in=60)
        # An hour passes at the server and none here; the raw status still lags behind.
        paychain_emulator.advance(61)
        raw = await pay.invoices.get(invoice.id)
        assert raw.status == "pending"
        ended = await pay.invoices.wait(invoice, interval=SOON)
        assert ended.status == "pending"
        assert ended.expires_at == invoice.expires_at
        [change] = [change async for change in pay.invoices.watch([invoice], interval=SOON)]
        assert (change.previous, change.current) == (None, "expired")


async def test_a_wrong_local_clock_expires_nothing() -> None:
    """An invoice is open by the clock of the server, also if it is expired by the local clock."""
    invoice = {
        "id": "inv_1",
        "status": "pending",
        "amount": "1",
        "expiresAt": "2020-01-01T00:10:00.000Z",
    }
    early = http_response(invoice, headers={"Date": "Wed, 01 Jan 2020 00:00:00 GMT"})
    late = http_response(invoice, headers={"Date": "Wed, 01 Jan 2020 00:10:01 GMT"})
    async with RawServer(early, early, late) as server, client(server.url) as pay:
        changes = [
            (change.current, len(server.requests))
            async for change in pay.invoices.watch(["inv_1"], interval=SOON)
        ]
    assert changes == [("pending", 1), ("expired", 3)]


async def test_wait_ends_in_time_with_the_invoice_as_last_read(
    paychain_emulator: Emulator,
) -> None:
    """`WaitTimeoutError` has the invoice."""
    async with client(paychain_emulator.url) as pay:
        with pytest.raises(WaitTimeoutError) as caught:
            await pay.invoices.wait("inv_123", timeout=2, interval=0.1)
        assert caught.value.invoice is not None
        assert caught.value.invoice.status == "pending"
        assert "pending" in str(caught.value)


async def test_wait_survives_transient_failures_only(paychain_emulator: Emulator) -> None:
    """Transient failures of server and network are waited out; a wrong key is raised."""
    async with client(paychain_emulator.url) as pay:
        paychain_emulator.pay("inv_123")
        paychain_emulator.confirm("inv_123")
        for kind in ("503", "drop", "429", "reset"):
            paychain_emulator.fault("invoices.get", kind)
        assert (await pay.invoices.wait("inv_123", interval=SOON)).status == "paid"
        paychain_emulator.fault("invoices.get", "503", times=2)
        assert [
            change.current async for change in pay.invoices.watch(["inv_123"], interval=SOON)
        ] == ["paid"]
    async with client(paychain_emulator.url, api_key="pk_wrong") as pay:
        with pytest.raises(AuthenticationError):
            await pay.invoices.wait("inv_123")
        with pytest.raises(AuthenticationError):
            [change async for change in pay.invoices.watch(["inv_123"])]


async def test_wait_on_an_unreachable_server_ends_in_time() -> None:
    """The timeout holds even if no read ever succeeds."""
    async with client("http://127.0.0.1:1") as pay:
        with pytest.raises(WaitTimeoutError) as caught:
            await pay.invoices.wait("inv_1", timeout=0.05, interval=SOON)
        assert caught.value.invoice is None


async def test_bad_ids_and_settings_are_refused_before_anything_is_sent() -> None:
    """Invalid arguments raise at once."""
    async with RawServer(http_response({})) as server, client(server.url) as pay:
        for bad in ("", "../x", "a/b"):
            with pytest.raises(InvalidArgumentError):
                await pay.invoices.wait(bad)
            with pytest.raises(InvalidArgumentError):
                [change async for change in pay.invoices.watch([bad])]
        with pytest.raises(ConfigurationError):
            await pay.invoices.wait("inv_1", interval=0)
        assert server.requests == []


async def test_watching_nothing_ends_at_once(paychain_emulator: Emulator) -> None:
    """No invoices mean no changes and no requests."""
    async with client(paychain_emulator.url) as pay:
        assert [change async for change in pay.invoices.watch([])] == []
    assert paychain_emulator.requests == ()


BROKEN: list[dict[str, Any]] = [
    {"amount": {"display": "1e"}},
    {"status": 7},
    {"expiresAt": "tomorrow"},
]


@pytest.mark.parametrize("broken", BROKEN, ids=str)
@pytest.mark.parametrize("business_id", [None, "biz_123"])
async def test_an_invoice_that_cannot_be_decoded_is_a_change_with_an_error(
    broken: dict[str, Any], business_id: str | None
) -> None:
    """The error is reported once, from a single read or a row of a list; the others go on."""
    reads = 0

    def invoice(id_: str, status: str) -> dict[str, Any]:
        return {"id": id_, "status": status, "amount": "1"} | (broken if id_ == "inv_3" else {})

    async def behave(request: Recorded, writer: asyncio.StreamWriter) -> None:
        nonlocal reads
        reads += 1
        path = request.target.partition("?")[0]
        status = "pending" if reads < 12 else "paid"
        if path.endswith("/invoices"):
            rows = (
                [invoice(f"inv_{n}", "pending") for n in range(8)]
                if f"status={status}" in request.target
                else []
            )
            strange: list[Any] = [{"id": []}, {"id": {}}, {"id": None}, [], None, "inv_1"]
            writer.write(
                http_response(
                    {
                        "data": [*strange, *rows],
                        "pagination": {"page": 1, "totalPages": 1, "hasMore": False},
                    }
                )
            )
        else:
            writer.write(http_response(invoice(path.rpartition("/")[2], status)))

    async with RawServer(behave) as server, client(server.url, business_id=business_id) as pay:
        changes = [
            change
            async for change in pay.invoices.watch([f"inv_{n}" for n in range(8)], interval=SOON)
        ]
    [failed] = [change for change in changes if change.error is not None]
    assert failed.invoice_id == "inv_3"
    assert isinstance(failed.error, DecodeError)
    ends = {change.invoice_id for change in changes if change.current == "paid"}
    assert ends == {f"inv_{n}" for n in range(8)} - {"inv_3"}


async def test_a_page_that_cannot_be_decoded_is_replaced_by_single_reads() -> None:
    """A malformed list does not end the watch."""

    async def behave(request: Recorded, writer: asyncio.StreamWriter) -> None:
        path = request.target.partition("?")[0]
        data: Any = (
            {"data": 7}
            if path.endswith("/invoices")
            else {"id": path.rpartition("/")[2], "status": "paid", "amount": "1"}
        )
        writer.write(http_response(data))

    async with RawServer(behave) as server, client(server.url) as pay:
        changes = [
            change.current
            async for change in pay.invoices.watch([f"inv_{n}" for n in range(20)], interval=SOON)
        ]
    assert changes == ["paid"] * 20


@pytest.mark.parametrize("status", ["paid", "expired", "cancelled"])
async def test_a_wait_without_time_reads_once(status: str) -> None:
    """`timeout=0` reads at most once, and returns a terminal invoice also from a slow server."""
    given = {"id": "inv_1", "status": status, "amount": "1"}

    async def slow(_: Recorded, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.write(http_response(given))

    async with RawServer(slow) as server, client(server.url) as pay:
        assert (await pay.invoices.wait("inv_1", timeout=0)).status == status
        given["status"] = "pending"
        with pytest.raises(WaitTimeoutError) as caught:
            await pay.invoices.wait("inv_1", timeout=0)
        assert caught.value.invoice is not None
        assert len(server.requests) == 2
