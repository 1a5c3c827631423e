"""Refused requests: routes, bodies, fields; and the envelope of every error."""

from __future__ import annotations

from typing import Any

import pytest

from paychainhq.emulator import API_KEY, Emulator
from tests.emulator.api import API_KEYS, BUSINESS, CUSTOMERS, INVOICES, ORDER, Api

LIMIT = {
    "chain": "eth",
    "networkId": "base-mainnet",
    "token": "USDC",
    "maxAmount": "10",
    "dailyAmount": "50",
}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/api/v1/nothing"),
        ("GET", "/api/v2/prices"),
        ("GET", "/api/v1/prices/"),
        ("GET", "/api/v1/prices/USDC/more"),
        ("POST", "/api/v1/prices"),
        ("HEAD", "/api/v1/prices"),
        ("OPTIONS", INVOICES),
        ("GET", "/api/v1/prices/NONE"),
        ("GET", "/api/v1/tokens/NONE"),
        ("GET", "/api/v1/tokens/networks/none"),
        ("GET", f"{CUSTOMERS}/cus_unknown"),
        ("GET", "/api/v1/invoices/inv_unknown"),
        ("GET", "/api/v1/businesses/invoices/inv_unknown"),
        ("GET", "/api/v1/businesses/lookup/bill_unknown"),
        ("GET", f"{BUSINESS}/invoices%2Finv_123"),
    ],
)
def test_an_unknown_route_or_id_is_not_found(api: Api, method: str, path: str) -> None:
    """Unknown routes, methods and ids are 404, with a request id."""
    response = api(method, path)
    assert response.status == 404
    assert response.headers["x-request-id"].startswith("req_")
    assert method == "HEAD" or response.code == "NOT_FOUND"


def test_a_billing_invoice_that_does_not_exist_is_not_found(api: Api) -> None:
    """The id is checked before any payment."""
    body = {"chain": "eth", "networkId": "base-mainnet", "txHash": "0x1"}
    assert api("POST", "/api/v1/billing/invoices/bill_inv_0/pay", body, key="k").status == 404


def test_a_literal_segment_precedes_an_id(api: Api) -> None:
    """`lookup`, `invoices` and `networks` are not ids."""
    for path in (
        "/api/v1/businesses/lookup/biz_123",
        "/api/v1/businesses/invoices/inv_123",
        "/api/v1/tokens/networks/sol-mainnet",
    ):
        assert api("GET", path).status == 200
    operations = [request.operation for request in api.emulator.requests]
    assert operations == ["businesses.lookup", "invoices.get", "tokens.list_by_network"]


@pytest.mark.parametrize("path", ["/api/v1/prices", BUSINESS, "/api/v1/nothing"])
def test_every_response_has_its_own_request_id(api: Api, path: str) -> None:
    """Every response has the header; an error has the same id in its envelope."""
    responses = [api("GET", path, headers={}) for _ in range(2)]
    assert len({response.headers["x-request-id"] for response in responses}) == 2
    for response in responses:
        assert (
            response.status == 200
            or response.json["error"]["requestId"] == response.headers["x-request-id"]
        )


def test_an_error_has_the_documented_envelope(api: Api) -> None:
    """The envelope has code, message, details and request id, and no other field."""
    error = api("POST", INVOICES, {}).json
    assert error.keys() == {"error"}
    assert error["error"].keys() == {"code", "message", "details", "requestId"}


def test_no_response_has_cors_headers(api: Api) -> None:
    """Browsers must not call the API."""
    response = api("GET", "/api/v1/prices", headers={"Origin": "http://localhost:3000"})
    assert not [name for name in response.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b"\xff",
        b'{"amount": NaN}',
        b"[" * 100_000,
        b'{"amount": ' + b"9" * 5000 + b"}",
        b" " * 2_000_000,
    ],
    ids=["cut", "word", "no utf-8", "NaN", "deep", "long number", "two megabytes"],
)
def test_a_broken_body_is_refused(api: Api, body: bytes) -> None:
    """A body that is not JSON is a 400, and creates nothing."""
    response = api("POST", INVOICES, body)
    assert (response.status, response.code, response.fields) == (400, "VALIDATION_ERROR", ["body"])
    assert api.count() == 1


@pytest.mark.parametrize("body", [None, b"[]", b"null", b'"text"', b"1"])
def test_a_body_must_be_an_object(api: Api, body: bytes | None) -> None:
    """Other JSON values cannot hold the fields."""
    assert api("POST", INVOICES, body).fields == ["body"]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"amount": None}, ["amount"]),
        ({"amount": None, "token": None, "chain": None}, ["amount", "token", "chain"]),
        ({"amount": 1.5}, ["amount"]),
        ({"amount": "0"}, ["amount"]),
        ({"amount": "-1"}, ["amount"]),
        ({"amount": "1e3"}, ["amount"]),
        ({"amount": "1.0000001"}, ["amount"]),
        ({"amount": True}, ["amount"]),
        ({"token": 5}, ["token"]),
        ({"token": "DOGE"}, ["token"]),
        ({"chain": "doge"}, ["chain"]),
        ({"chain": "sol", "token": "ETH"}, ["chain"]),
        ({"networkId": "sol-mainnet"}, ["networkId"]),
        ({"networkId": "base-sepolia"}, ["networkId"]),
        ({"networkId": "none"}, ["networkId"]),
        ({"expiresIn": 0}, ["expiresIn"]),
        ({"expiresIn": "60"}, ["expiresIn"]),
        ({"expiresIn": 1.5}, ["expiresIn"]),
        ({"underpaymentToleranceBps": -1}, ["underpaymentToleranceBps"]),
        (
            {"underpaymentToleranceMaxUsd": "-0.5", "expiresIn": -1},
            ["expiresIn", "underpaymentToleranceMaxUsd"],
        ),
        ({"metadata": [1]}, ["metadata"]),
        ({"description": "\ud800"}, ["description"]),
    ],
)
def test_an_invoice_is_checked_field_by_field(
    api: Api, changes: dict[str, Any], fields: list[str]
) -> None:
    """The details name all wrong fields at once, and nothing is created."""
    response = api("POST", INVOICES, {**ORDER, **changes})
    assert (response.status, response.code, response.fields) == (400, "VALIDATION_ERROR", fields)
    assert api.count() == 1


def test_an_invoice_for_an_unknown_customer_is_refused(api: Api) -> None:
    """The customer must exist."""
    assert api("POST", INVOICES, {**ORDER, "customerId": "cus_unknown"}).status == 404
    assert api.count() == 1


def test_unknown_fields_are_ignored(api: Api) -> None:
    """Bodies and queries may have unknown fields; null stands for an omitted field."""
    assert (
        api("POST", f"{INVOICES}?x=1", {**ORDER, "zzNew": {"a": 1}, "customerId": None}).status
        == 200
    )


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        (API_KEYS, {}, ["name"]),
        (API_KEYS, {"name": "x", "expiresIn": 366}, ["expiresIn"]),
        (API_KEYS, {"name": "x", "permissions": "invoices:*"}, ["permissions"]),
        (f"{BUSINESS}/contract-api-keys", {"name": "x", "actionIds": []}, ["actionIds"]),
        (
            f"{BUSINESS}/payout-api-keys",
            {"name": "x", "destinationPolicy": "any", "limits": []},
            ["limits"],
        ),
        (
            f"{BUSINESS}/payout-api-keys",
            {"name": "x", "destinationPolicy": "any", "limits": [LIMIT], "ipAllowlist": ["::1"]},
            ["ipAllowlist[0]"],
        ),
    ],
)
def test_a_key_is_checked_field_by_field(
    api: Api, path: str, body: object, fields: list[str]
) -> None:
    """The details name the wrong fields of a key."""
    response = api.dashboard("POST", path, body)
    assert (response.status, response.fields) == (400, fields)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", ["amount", "token", "chain"]),
        ("?amount=x&token=USDC&chain=eth", ["amount"]),
        ("?amount=1&token=DOGE&chain=eth", ["token"]),
        ("?amount=1&token=USDC&chain=eth&forceSweepAll=1", ["forceSweepAll"]),
    ],
)
def test_a_quote_is_checked_field_by_field(api: Api, query: str, fields: list[str]) -> None:
    """The details name the wrong fields of a query."""
    assert api("GET", f"{BUSINESS}/withdrawals/quote{query}").fields == fields


def test_a_credential_is_checked_before_the_body(api: Api) -> None:
    """Without a valid credential, the response does not reveal errors of the request."""
    assert api("POST", INVOICES, b"{", headers={}).status == 401


def test_received_requests_are_recorded(emulator: Emulator) -> None:
    """The log has all parts and statuses of the requests; credentials are masked in texts."""
    api = Api(emulator)
    api("POST", f"{INVOICES}?a=b", ORDER, key="k1")
    api("GET", "/api/v1/nothing", headers={})
    first, second = emulator.requests
    assert (first.method, first.path, dict(first.query)) == ("POST", INVOICES, {"a": "b"})
    assert (first.operation, first.status, first.body) == ("invoices.create", 200, ORDER)
    assert (first.headers["Idempotency-Key"], first.headers["X-API-Key"]) == ("k1", API_KEY)
    assert API_KEY not in repr(first)
    assert (second.operation, second.status, second.body) == (None, 404, None)
    api.dashboard("GET", API_KEYS)
    assert "emulator-dashboard-session" not in repr(emulator.requests[-1])


def test_the_oldest_records_are_dropped(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    """The emulator keeps the latest requests only."""
    monkeypatch.setattr("paychainhq.emulator.request_log._KEPT", 2)
    for symbol in ("ETH", "SOL", "BTC"):
        api("GET", f"/api/v1/prices/{symbol}")
    assert [request.path[-3:] for request in api.emulator.requests] == ["SOL", "BTC"]


def test_a_broken_body_is_recorded_as_none(api: Api) -> None:
    """The parsed body is None if it cannot be parsed."""
    api("POST", INVOICES, b"{")
    assert api.emulator.requests[0].body is None
    assert api.emulator.requests[0].status == 400
