"""Sequences of requests as a careful client sends them, by plain HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paychainhq.emulator import API_KEY, Emulator
from tests.emulator.api import BUSINESS, CUSTOMERS, INVOICES, ORDER, Api

# Silence is excluded: it would last as long as the client's timeout.
KINDS = [
    "429:0",
    "503",
    "in_progress",
    "drop",
    "reset",
    "truncate",
    "bad_json",
    "html",
    "empty",
    "slow:0",
]


async def insist(session: aiohttp.ClientSession, url: str, key: str, amount: str = "150") -> Any:
    """Repeat a request for one invoice with one key until its response can be read."""
    while True:
        try:
            body = {**ORDER, "amount": amount}
            async with session.post(
                url + INVOICES, json=body, headers={"x-api-key": API_KEY, "Idempotency-Key": key}
            ) as response:
                data = json.loads(await response.read())
        except (aiohttp.ClientError, ValueError):
            continue
        if response.status == 200:
            return data
        assert response.status in (409, 429, 503), data


@pytest.mark.parametrize("kind", KINDS)
async def test_repeats_with_the_same_key_make_one_invoice(emulator: Emulator, kind: str) -> None:
    """A fault occurs three times, before or after the creation of the invoice."""
    emulator.fault("invoices.create", kind, times=3)
    async with aiohttp.ClientSession() as session:
        invoice = await insist(session, emulator.url, "k")
    assert Api(emulator).count() == 2
    assert invoice["id"] in Api(emulator)("GET", INVOICES).body.decode()
    assert {
        request.headers["Idempotency-Key"]
        for request in emulator.requests
        if request.method == "POST"
    } == {"k"}


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kinds=st.lists(st.sampled_from(KINDS), max_size=6))
def test_any_sequence_of_faults_ends_with_one_invoice_each(kinds: list[str]) -> None:
    """Each of several concurrent keys has one invoice after faults of any kind and order."""

    async def story() -> None:
        async with Emulator() as emulator, aiohttp.ClientSession() as session:
            for kind in kinds:
                emulator.fault("invoices.create", kind)
            made = await asyncio.gather(
                *(insist(session, emulator.url, f"k{i}", str(i + 1)) for i in range(3))
            )
            assert len({invoice["id"] for invoice in made}) == 3
            assert [invoice["amount"]["display"] for invoice in made] == ["1", "2", "3"]
            assert Api(emulator).count() == 4

    asyncio.run(story())


async def test_a_hundred_orders_reach_their_terminal_statuses(emulator: Emulator) -> None:
    """Each invoice ends with the status of its payment."""
    payments: dict[str, tuple[str | None, str]] = {
        "exact": (None, "paid"),
        "cent-short": ("149.99", "paid"),
        "too-little": ("1", "expired"),
        "too-much": ("151", "overpaid"),
        "nothing": ("", "expired"),
    }
    api = Api(emulator)
    async with aiohttp.ClientSession() as session:
        made = await asyncio.gather(
            *(insist(session, emulator.url, f"{name}-{i}") for name in payments for i in range(20))
        )
    names = [name for name in payments for _ in range(20)]
    for invoice, name in zip(made, names, strict=True):
        amount, _ = payments[name]
        if amount != "":
            emulator.pay(invoice["id"], amount)
            emulator.confirm(invoice["id"])
    emulator.advance(86_400 + 30)
    ends = {
        row["id"]: row["status"]
        for page in (1, 2)
        for row in api("GET", f"{INVOICES}?limit=100&page={page}").json["data"]
    }
    assert [ends[invoice["id"]] for invoice in made] == [payments[name][1] for name in names]
    assert api("GET", f"{BUSINESS}/balances/total").json == {
        "openInvoiceCount": 0,
        "inFlightWithdrawalCount": 0,
        "nextOpenInvoiceExpiryAt": None,
    }
    # Sum of the settled invoices: 20 each of 150, 149.99 and 151; and the opening balance.
    assert api("GET", f"{BUSINESS}/balances").json["data"][0]["available"] == "9169.55"


def test_a_key_is_rotated_without_a_gap(api: Api) -> None:
    """The new key works before the old one is revoked, and replays are separate for each key."""
    old = api.dashboard("POST", f"{BUSINESS}/api-keys", {"name": "old"}).json
    first = api("POST", INVOICES, ORDER, {"x-api-key": old["apiKey"]}, key="k")
    new = api.dashboard("POST", f"{BUSINESS}/api-keys", {"name": "new"}).json
    assert new["apiKey"] != old["apiKey"]
    api.dashboard("DELETE", f"{BUSINESS}/api-keys/{old['id']}")
    assert api("POST", INVOICES, ORDER, {"x-api-key": old["apiKey"]}, key="k").status == 401
    second = api("POST", INVOICES, ORDER, {"x-api-key": new["apiKey"]}, key="k")
    assert second.json["id"] != first.json["id"]
    names = {key["name"] for key in api.dashboard("GET", f"{BUSINESS}/api-keys").json}
    assert ("new" in names, "old" in names) == (True, False)


def test_a_customer_with_several_invoices(api: Api) -> None:
    """The filter by customer finds the invoices, which share an address and settle one by one."""
    customer = api("POST", CUSTOMERS, {"externalRef": "r1", "email": "a@example.com"}).json
    assert api("GET", f"{CUSTOMERS}/{customer['id']}").json == customer
    first, second = (api.create(customerId=customer["id"], amount=amount) for amount in ("1", "2"))
    assert api.invoice(first)["depositAddress"] == api.invoice(second)["depositAddress"]
    api.emulator.pay(second)
    api.emulator.confirm(second)
    rows = api("GET", f"{INVOICES}?customerId={customer['id']}").json["data"]
    assert [(row["id"], row["status"]) for row in rows] == [(second, "paid"), (first, "pending")]


def test_a_customer_without_an_address_of_its_chain_family(api: Api) -> None:
    """Customers have no permanent bitcoin address: each invoice has its own."""
    invoices = [
        api.invoice(api.create(customerId="cus_123", token="BTC", chain="btc", amount="0.1"))
        for _ in range(2)
    ]
    assert len({invoice["depositAddress"] for invoice in invoices}) == 2
    assert all(invoice["depositAddress"].startswith("bc1q") for invoice in invoices)


async def test_controls_over_http_and_by_method_share_the_state(emulator: Emulator) -> None:
    """Controls over HTTP and by method change the same state."""
    async with aiohttp.ClientSession() as session:
        invoice = await insist(session, emulator.url, "k")
        async with session.post(
            f"{emulator.url}/_emulator/pay", json={"invoiceId": invoice["id"]}
        ) as response:
            assert (await response.json())["status"] == "confirming"
        assert emulator.confirm(invoice["id"]) == "paid"
        async with session.get(f"{emulator.url}/_emulator/requests") as response:
            seen = (await response.json())["data"]
    assert [record["requestId"] for record in seen] == [
        request.request_id for request in emulator.requests
    ]
    assert json.dumps(seen).count(API_KEY) == 0
