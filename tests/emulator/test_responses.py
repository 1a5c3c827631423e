"""Responses of single operations, beyond their shapes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.emulator.api import API_KEYS, BUSINESS, CUSTOMERS, INVOICES, ORDER, Api

LIMIT = {
    "chain": "eth",
    "networkId": "base-mainnet",
    "token": "USDC",
    "maxAmount": "10",
    "dailyAmount": "50",
}
STANDARD = ["business:read", "customers:*", "invoices:*", "payments:read", "events:read"]


def test_the_business_has_the_time_of_its_change(api: Api) -> None:
    """A change of settings counts as a change of the business."""
    before = api("GET", BUSINESS).json
    api.emulator.advance(60)
    api("PATCH", f"{BUSINESS}/settings/invoices", {"invoiceUnderpaymentToleranceBps": 10}, key="s")
    after = api("GET", BUSINESS).json
    assert after["updatedAt"] > before["updatedAt"]
    assert {**after, "updatedAt": None} == {**before, "updatedAt": None}


@pytest.mark.parametrize(
    ("change", "bps", "cap"),
    [
        ({"invoiceUnderpaymentToleranceBps": 10}, 10, "0.50"),
        ({"invoiceUnderpaymentToleranceMaxUsd": "2.00"}, 50, "2.00"),
        ({"invoiceUnderpaymentToleranceBps": 0, "invoiceUnderpaymentToleranceMaxUsd": "0"}, 0, "0"),
        ({}, 50, "0.50"),
    ],
)
def test_settings_change_by_field(api: Api, change: dict[str, Any], bps: int, cap: str) -> None:
    """Omitted fields are unchanged, zero is a value, and money is returned as written."""
    settings = api("PATCH", f"{BUSINESS}/settings/invoices", change, key="s").json
    assert (
        settings["invoiceUnderpaymentToleranceBps"],
        settings["invoiceUnderpaymentToleranceMaxUsd"],
    ) == (bps, cap)


@pytest.mark.parametrize(
    ("path", "body", "permissions", "prefix"),
    [
        ("api-keys", {}, STANDARD, "biz_live_"),
        (
            "payout-api-keys",
            {"limits": [LIMIT], "destinationPolicy": "any"},
            ["payouts:create", "payouts:read"],
            "biz_live_payout_",
        ),
        (
            "contract-api-keys",
            {"actionIds": ["a", "b"]},
            ["contracts:sign", "contracts:read"],
            "biz_live_contract_",
        ),
    ],
)
def test_a_key_without_a_lifetime_does_not_expire(
    api: Api, path: str, body: dict[str, Any], permissions: list[str], prefix: str
) -> None:
    """Each kind has its permissions and its prefix, and no two keys are the same."""
    first, second = (
        api.dashboard("POST", f"{BUSINESS}/{path}", {"name": "n", **body}).json for _ in range(2)
    )
    assert (first["expiresAt"], first["permissions"], first["name"]) == (None, permissions, "n")
    assert first["apiKey"].startswith(prefix)
    assert first["apiKey"] != second["apiKey"]
    assert "cannot be recovered" in first["warning"]


def test_a_key_with_a_lifetime_expires_after_days(api: Api) -> None:
    """`expiresIn` is days for keys."""
    created = api.dashboard("POST", API_KEYS, {"name": "n", "expiresIn": 365}).json
    assert datetime.fromisoformat(created["expiresAt"]) - datetime.fromisoformat(
        created["createdAt"]
    ) == timedelta(days=365)


def test_a_payout_key_for_any_destination_lists_none(api: Api) -> None:
    """Neither the response nor, under its other name, the list has destinations."""
    created = api.dashboard(
        "POST",
        f"{BUSINESS}/payout-api-keys",
        {"name": "n", "limits": [LIMIT], "destinationPolicy": "any"},
    ).json
    assert (created["policy"]["destinationPolicy"], created["policy"]["destinations"]) == (
        "any",
        [],
    )
    listed = next(key for key in api.dashboard("GET", API_KEYS).json if key["id"] == created["id"])
    assert listed["payoutPolicy"]["allowedDestinations"] == []
    assert "destinations" not in listed["payoutPolicy"]


def test_a_contract_key_keeps_its_actions(api: Api) -> None:
    """The policy contains the requested actions."""
    created = api.dashboard(
        "POST", f"{BUSINESS}/contract-api-keys", {"name": "n", "actionIds": ["b", "a"]}
    ).json
    assert created["policy"]["allowedActionIds"] == ["b", "a"]
    assert created["kind"] == "contract_execution"


def test_a_customer_without_an_email(api: Api) -> None:
    """Two creations with the same reference make two customers with separate addresses."""
    first, second = (api("POST", CUSTOMERS, {"externalRef": "r"}).json for _ in range(2))
    assert first["email"] is None
    assert first["id"] != second["id"]
    assert {a["address"] for a in first["addresses"]}.isdisjoint(
        a["address"] for a in second["addresses"]
    )


def test_an_invoice_without_a_customer_names_none(api: Api) -> None:
    """The field is absent; so is metadata that was not given."""
    created = api("POST", INVOICES, ORDER).json
    assert not {"customerId", "metadata", "description"} & created.keys()


def test_an_invoice_keeps_the_tolerance_as_it_was_written(api: Api) -> None:
    """Texts of money are not rewritten."""
    created = api("POST", INVOICES, {**ORDER, "underpaymentToleranceMaxUsd": "0.500"}).json
    assert created["underpaymentToleranceMaxUsd"] == "0.500"


@pytest.mark.parametrize(
    ("symbol", "decimals", "contract"),
    [("USDC", 6, True), ("ETH", 18, False), ("SOL", 9, False), ("BTC", 8, False)],
)
def test_a_token_has_its_decimals(api: Api, symbol: str, decimals: int, contract: bool) -> None:
    """A chain's own coin has no contract."""
    token = api("GET", f"/api/v1/tokens/{symbol}").json
    assert (token["decimals"], token["contractAddress"] is not None) == (decimals, contract)


def test_a_single_price_has_its_time(api: Api) -> None:
    """The price equals the list's, and its time follows the emulator's clock."""
    listed = {price["symbol"]: price["usd"] for price in api("GET", "/api/v1/prices").json["data"]}
    price = api("GET", "/api/v1/prices/BTC").json
    assert price["usd"] == listed["BTC"]
    api.emulator.advance(3600)
    assert api("GET", "/api/v1/prices/BTC").json["pricedAt"] > price["pricedAt"]


def test_an_annual_change_costs_the_annual_fee(api: Api) -> None:
    """The amount and the raw amount expected on chain are the plan's fee."""
    change = api.dashboard(
        "POST",
        "/api/v1/billing/subscription/change",
        {"planCode": "GROWTH", "billingMode": "prepaid_annual"},
    ).json
    assert change["invoice"]["amountUsd"] == "1069.200000000000"
    assert change["paymentInstructions"]["expectedAmountRaw"] == "1069200000"
    listed = api("GET", "/api/v1/billing/invoices?limit=1").json["data"][0]
    assert (listed["id"], listed["status"], listed["amountUSD"]) == (
        change["invoice"]["id"],
        "pending",
        "1069.20",
    )
