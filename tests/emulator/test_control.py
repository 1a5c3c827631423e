"""Control requests below `/_emulator/`, with which other processes operate the emulator."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.api import API_KEYS, INVOICES, ORDER, Api


def control(api: Api, name: str, body: object = None, method: str = "POST") -> Any:
    return api(method, f"/_emulator/{name}", body, headers={})


def test_an_invoice_is_paid_and_confirmed(api: Api) -> None:
    """A payment has the given amount, or by default the remaining one."""
    assert control(api, "pay", {"invoiceId": "inv_123", "amount": "149"}).json == {
        "invoiceId": "inv_123",
        "status": "confirming",
    }
    assert control(api, "confirm", {"invoiceId": "inv_123"}).json == {
        "invoiceId": "inv_123",
        "status": "partially_paid",
    }
    assert control(api, "pay", {"invoiceId": "inv_123"}).json["status"] == "confirming"
    assert control(api, "confirm", {"invoiceId": "inv_123"}).json["status"] == "paid"


def test_a_payment_may_name_its_token(api: Api) -> None:
    """The field `token` works like the method's argument."""
    assert (
        control(api, "pay", {"invoiceId": "inv_123", "amount": "1", "token": "ETH"}).json["status"]
        == "pending"
    )


def test_the_clock_is_set_forward(api: Api) -> None:
    """The next read uses the new time."""
    invoice_id = api.create(expiresIn=60)
    assert control(api, "advance", {"seconds": 90.5}).json == {"ok": True}
    assert api.invoice(invoice_id)["status"] == "expired"


def test_a_fault_is_planned(api: Api) -> None:
    """The fault applies to an operation, and never to a control request."""
    assert control(api, "fault", {"operation": "*", "kind": "503", "times": 2}).json == {"ok": True}
    assert control(api, "requests", method="GET").json == {"data": []}
    assert [api("GET", INVOICES).status for _ in range(3)] == [503, 503, 200]


def test_the_requests_are_listed_without_credentials(api: Api) -> None:
    """The list has requests and statuses; keys and sessions are masked."""
    api("POST", f"{INVOICES}?a=b", ORDER)
    api.dashboard("GET", API_KEYS)
    first, second = control(api, "requests", method="GET").json["data"]
    assert (first["method"], first["path"], first["query"], first["body"]) == (
        "POST",
        INVOICES,
        {"a": "b"},
        dict(ORDER),
    )
    assert (first["operation"], first["status"]) == ("invoices.create", 200)
    assert {name.lower(): value for name, value in first["headers"].items()}["x-api-key"] == "***"
    assert "emulator-dashboard-session" not in str(second)


def test_control_requests_are_not_recorded(api: Api) -> None:
    """The log contains the requests of the client under test only."""
    control(api, "advance", {"seconds": 1})
    assert api.emulator.requests == ()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("pay", None),
        ("pay", {"invoiceId": 5}),
        ("pay", {"invoiceId": "inv_123", "amount": 1.5}),
        ("pay", {"invoiceId": "inv_123", "amount": "1.0000001"}),
        ("pay", {"invoiceId": "inv_123", "token": ""}),
        ("confirm", {}),
        ("advance", {}),
        ("advance", {"seconds": "5"}),
        ("advance", {"seconds": -5}),
        ("fault", {}),
        ("fault", {"operation": "*", "kind": "explode"}),
        ("fault", b"{"),
    ],
)
def test_invalid_control_is_refused(api: Api, name: str, body: object) -> None:
    """The response is a 400 in the envelope."""
    response = control(api, name, body)
    assert (response.status, response.code) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("method", "name", "body"),
    [
        ("POST", "pay", {"invoiceId": "inv_unknown"}),
        ("POST", "confirm", {"invoiceId": "inv_unknown"}),
        ("POST", "explode", {}),
        ("GET", "pay", None),
    ],
)
def test_unknown_invoice_or_control_is_not_found(
    api: Api, method: str, name: str, body: object
) -> None:
    """The response is a 404 in both cases."""
    response = control(api, name, body, method)
    assert (response.status, response.code) == (404, "NOT_FOUND")
