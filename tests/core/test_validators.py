"""Invalid arguments are refused by name before anything is sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from paychainhq.codec import from_json
from paychainhq.models import Destination, PayoutLimit
from tests.support.calls import (
    CALLS,
    DESTINATIONS,
    HUGE,
    KEYED,
    LIMITS,
    authorized,
    call,
    documented_response,
    refused_fields,
    short,
)
from tests.support.raw_server import RawServer
from tests.support.samples import BY_NAME

pytestmark = pytest.mark.usefixtures("face")

PAYOUT = CALLS["api_keys.create_payout"]
SETTINGS = "businesses.update_invoice_settings"

Fields = dict[str, Any]


@pytest.mark.parametrize("expires_in", [0, -1, 1.5, True, "30", HUGE], ids=short)
async def test_bad_lifetime(expires_in: Any) -> None:
    """A lifetime is a positive whole number, for invoices (seconds) and for keys (days)."""
    for name in (
        "invoices.create",
        "api_keys.create",
        "api_keys.create_payout",
        "api_keys.create_contract",
    ):
        await refused_fields(name, {"expires_in": expires_in}, "expires_in")


@pytest.mark.parametrize(
    "name", ["api_keys.create", "api_keys.create_payout", "api_keys.create_contract"]
)
async def test_lifetime_of_a_key(name: str) -> None:
    """A key lives for a year at most: 366 days are refused, and 365 are sent."""
    await refused_fields(name, {"expires_in": 366}, "expires_in")
    async with RawServer(documented_response(name)) as server, authorized(server) as pay:
        await call(pay, name, {**CALLS[name], "expires_in": 365})
    assert server.requests[0].json["expiresIn"] == 365


# The operation, the field, and refused values.
BAD_FIELDS: list[tuple[str, Fields, str]] = [
    ("invoices.create", {"underpayment_tolerance_bps": -1}, "underpayment_tolerance_bps"),
    ("invoices.create", {"underpayment_tolerance_bps": 0.5}, "underpayment_tolerance_bps"),
    ("invoices.create", {"underpayment_tolerance_bps": True}, "underpayment_tolerance_bps"),
    ("invoices.create", {"underpayment_tolerance_bps": "50"}, "underpayment_tolerance_bps"),
    (
        "invoices.create",
        {"underpayment_tolerance_max_usd": "-0.01"},
        "underpayment_tolerance_max_usd",
    ),
    ("invoices.create", {"underpayment_tolerance_max_usd": -1}, "underpayment_tolerance_max_usd"),
    ("invoices.create", {"token": ""}, "token"),
    ("invoices.create", {"token": None}, "token"),
    ("invoices.create", {"chain": "  "}, "chain"),
    ("invoices.create", {"network_id": 1}, "network_id"),
    ("invoices.create", {"description": "half \ud83d"}, "description"),
    ("invoices.create", {"metadata": {"price": float("nan")}}, "metadata"),
    ("invoices.create", {"metadata": {"price": float("inf")}}, "metadata"),
    ("invoices.create", {"metadata": {1: "one"}}, "metadata"),
    ("invoices.create", {"metadata": {"nested": {None: 1}}}, "metadata"),
    ("invoices.create", {"metadata": {"amount": Decimal(1)}}, "metadata"),
    ("invoices.create", {"metadata": {"half": "\ud83d"}}, "metadata"),
    ("invoices.create", {"metadata": ["order_1"]}, "metadata"),
    ("invoices.create", {"metadata": "order_1"}, "metadata"),
    ("invoices.update_status", {"status": ""}, "status"),
    ("invoices.list", {"page": 0}, "page"),
    ("invoices.list", {"page": True}, "page"),
    ("invoices.list", {"limit": 0}, "limit"),
    ("invoices.list", {"status": ""}, "status"),
    ("customers.list", {"page": -1}, "page"),
    ("customers.list", {"limit": "20"}, "limit"),
    ("customers.create", {"external_ref": ""}, "external_ref"),
    ("customers.create", {"email": ["a@example.com"]}, "email"),
    ("billing.invoices", {"offset": -1}, "offset"),
    ("billing.pay_invoice", {"tx_hash": ""}, "tx_hash"),
    ("billing.change_subscription", {"plan_code": None}, "plan_code"),
    ("supported_assets.list", {"include_inactive": "false"}, "include_inactive"),
    ("businesses.payment_methods", {"include_inactive": 1}, "include_inactive"),
    ("withdrawals.quote", {"force_sweep_all": "yes"}, "force_sweep_all"),
    (SETTINGS, {"invoice_underpayment_tolerance_bps": -1}, "invoice_underpayment_tolerance_bps"),
    (SETTINGS, {"invoice_underpayment_tolerance_bps": 301}, "invoice_underpayment_tolerance_bps"),
    (SETTINGS, {"invoice_underpayment_tolerance_bps": 1.5}, "invoice_underpayment_tolerance_bps"),
    (
        SETTINGS,
        {"invoice_underpayment_tolerance_max_usd": "100.01"},
        "invoice_underpayment_tolerance_max_usd",
    ),
    (
        SETTINGS,
        {"invoice_underpayment_tolerance_max_usd": "-0.01"},
        "invoice_underpayment_tolerance_max_usd",
    ),
    ("api_keys.create", {"name": ""}, "name"),
    ("api_keys.create", {"permissions": "invoices:*"}, "permissions"),
    ("api_keys.create", {"permissions": [""]}, "permissions[0]"),
    ("api_keys.create", {"permissions": {"invoices:*": True}}, "permissions"),
    ("api_keys.create_contract", {"action_ids": []}, "action_ids"),
    ("api_keys.create_contract", {"action_ids": "7a8a6b0d"}, "action_ids"),
    ("api_keys.create_contract", {"action_ids": [7]}, "action_ids[0]"),
    ("api_keys.create_payout", {"destinations": None}, "destinations"),
    ("api_keys.create_payout", {"destinations": None, "destination_policy": None}, "destinations"),
    ("api_keys.create_payout", {"destinations": None, "destination_policy": "ANY"}, "destinations"),
    ("api_keys.create_payout", {"destinations": []}, "destinations"),
    ("api_keys.create_payout", {"destinations": DESTINATIONS[0]}, "destinations"),
    ("api_keys.create_payout", {"destinations": ["0x5fBD"]}, "destinations[0]"),
    (
        "api_keys.create_payout",
        {"destinations": [DESTINATIONS[0], {"chain": "sol"}]},
        "destinations[1].address",
    ),
    (
        "api_keys.create_payout",
        {"destinations": [{**DESTINATIONS[0], "amount": "1"}]},
        "destinations[0].amount",
    ),
    ("api_keys.create_payout", {"limits": None}, "limits"),
    ("api_keys.create_payout", {"limits": []}, "limits"),
    (
        "api_keys.create_payout",
        {"limits": [{**LIMITS[0], "max_amount": None}]},
        "limits[0].max_amount",
    ),
    (
        "api_keys.create_payout",
        {"limits": [{**LIMITS[0], "max_amount": 1000.0}]},
        "limits[0].max_amount",
    ),
    (
        "api_keys.create_payout",
        {"limits": [{**LIMITS[0], "daily_amount": "0"}]},
        "limits[0].daily_amount",
    ),
    (
        "api_keys.create_payout",
        {"limits": [{**LIMITS[0], "weekly_amount": "9"}]},
        "limits[0].weekly_amount",
    ),
    ("api_keys.create_payout", {"ip_allowlist": "203.0.113.10"}, "ip_allowlist"),
    ("api_keys.create_payout", {"ip_allowlist": ["office"]}, "ip_allowlist[0]"),
    ("api_keys.create_payout", {"ip_allowlist": ["203.0.113.10/33"]}, "ip_allowlist[0]"),
    (
        "api_keys.create_payout",
        {"ip_allowlist": ["203.0.113.10", "2001:db8::/32"]},
        "ip_allowlist[1]",
    ),
    ("api_keys.create_payout", {"ip_allowlist": [3405803786]}, "ip_allowlist[0]"),
]


@pytest.mark.parametrize(
    ("name", "fields", "argument"),
    BAD_FIELDS,
    ids=[f"{name}-{ascii(f)[:60]}" for name, f, _ in BAD_FIELDS],
)
async def test_bad_field(name: str, fields: Fields, argument: str) -> None:
    """An invalid field is refused by name, down to the item of a list."""
    await refused_fields(name, fields, argument)


async def test_settings_at_their_bounds() -> None:
    """The bounds of the settings page are sent."""
    async with RawServer(documented_response(SETTINGS)) as server, authorized(server) as pay:
        await pay.businesses.update_invoice_settings(300, "100.00")
    assert server.requests[0].json == {
        "invoiceUnderpaymentToleranceBps": 300,
        "invoiceUnderpaymentToleranceMaxUsd": "100.00",
    }


async def test_models_of_a_payout_key() -> None:
    """Limits and destinations as models, or as documented mappings, send the same."""
    shown = BY_NAME["api_keys.create_payout"].body
    models = {
        "destinations": [from_json(Destination, item) for item in shown["destinations"]],
        "limits": [from_json(PayoutLimit, item) for item in shown["limits"]],
    }
    wired = {"destinations": shown["destinations"], "limits": shown["limits"]}
    async with (
        RawServer(documented_response("api_keys.create_payout")) as server,
        authorized(server) as pay,
    ):
        await call(pay, "api_keys.create_payout", PAYOUT)
        await call(pay, "api_keys.create_payout", {**PAYOUT, **models})
        await call(pay, "api_keys.create_payout", {**PAYOUT, **wired})
    assert [request.json for request in server.requests] == [shown, shown, shown]


@pytest.mark.parametrize("name", CALLS)
async def test_unknown_argument(name: str) -> None:
    """An unknown argument is Python's TypeError."""
    async with RawServer(documented_response(name)) as server, authorized(server) as pay:
        with pytest.raises(TypeError, match="not_an_argument"):
            await call(pay, name, {**CALLS[name], "not_an_argument": 1})
    assert server.requests == []


@pytest.mark.parametrize("name", [name for name in CALLS if name not in KEYED])
async def test_no_idempotency_key_without_documentation(name: str) -> None:
    """Operations without a documented key accept none: the API-key mutations, and every read."""
    async with RawServer(documented_response(name)) as server, authorized(server) as pay:
        with pytest.raises(TypeError, match="idempotency_key"):
            await call(pay, name, {**CALLS[name], "idempotency_key": "k"})
    assert server.requests == []
