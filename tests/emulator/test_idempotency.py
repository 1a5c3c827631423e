"""Idempotency keys: replay, mismatch, requests in progress, and scope."""

from __future__ import annotations

import threading

import pytest

from paychainhq.emulator import API_KEY, TEST_API_KEY
from tests.emulator.api import (
    API_KEYS,
    BUSINESS,
    CUSTOMERS,
    INVOICES,
    ORDER,
    Api,
    ApiResponse,
    until_received,
)

PAY = "/api/v1/billing/invoices/bill_inv_123/pay"
TRANSACTION = {"chain": "eth", "networkId": "base-mainnet", "txHash": "0x1"}


def test_a_repeat_gets_the_stored_response(api: Api) -> None:
    """The same key and body return the same response under a new request id.

    There is no second effect.
    """
    first, second = (api("POST", INVOICES, ORDER, key="k1") for _ in range(2))
    assert (second.status, second.body) == (first.status, first.body)
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert api.count() == 2


def test_the_stored_response_is_the_first_one(api: Api) -> None:
    """A replay shows the invoice as created, regardless of later changes."""
    first = api("POST", INVOICES, ORDER, key="k1")
    api("DELETE", f"{INVOICES}/{first.json['id']}")
    assert api("POST", INVOICES, ORDER, key="k1").body == first.body


def test_the_order_of_fields_does_not_count(api: Api) -> None:
    """Two bodies with the same fields are equal."""
    first = api("POST", INVOICES, ORDER, key="k1")
    assert api("POST", INVOICES, dict(reversed(list(ORDER.items()))), key="k1").body == first.body


def test_another_body_under_the_same_key_is_refused(api: Api) -> None:
    """The response is 409 IDEMPOTENCY_KEY_MISMATCH, and nothing is created."""
    api("POST", INVOICES, ORDER, key="k1")
    response = api("POST", INVOICES, {**ORDER, "amount": "151"}, key="k1")
    assert (response.status, response.code) == (409, "IDEMPOTENCY_KEY_MISMATCH")
    assert api.count() == 2


def test_requests_without_a_key_are_separate(api: Api) -> None:
    """No other property identifies a repeat."""
    assert api.create() != api.create()


def test_a_key_belongs_to_credential_method_and_path(api: Api) -> None:
    """The documents use one key for six operations: none of them is a replay of another."""
    other = api.create()
    assert api("POST", INVOICES, ORDER, key="k1").status == 200
    assert api("POST", CUSTOMERS, {"externalRef": "r"}, key="k1").json["externalRef"] == "r"
    assert api("DELETE", f"{INVOICES}/{other}", key="k1").json == {"count": 1}
    assert api("DELETE", f"{INVOICES}/inv_123", key="k1").json == {"count": 1}
    theirs = api("POST", INVOICES, {**ORDER, "amount": "7"}, {"x-api-key": TEST_API_KEY}, key="k1")
    assert theirs.json["amount"]["display"] == "7"


def test_a_refused_request_leaves_its_key_free(api: Api) -> None:
    """Only successes are stored: a corrected request may use the key."""
    assert api("POST", INVOICES, {**ORDER, "token": "DOGE"}, key="k1").status == 400
    assert api("POST", INVOICES, ORDER, key="k1").status == 200


def test_a_replay_needs_a_credential(api: Api) -> None:
    """A stored response requires the same credential as its request."""
    api("POST", INVOICES, ORDER, key="k1")
    assert api("POST", INVOICES, ORDER, {}, key="k1").status == 401


def test_a_repeat_of_a_cancellation_is_a_replay(api: Api) -> None:
    """With a key, a repeated cancellation returns 1 again; without one it returns 0."""
    counts = [
        api("DELETE", f"{INVOICES}/inv_123", key=key).json["count"] for key in ("k1", "k1", None)
    ]
    assert counts == [1, 1, 0]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", PAY, TRANSACTION),
        ("PATCH", f"{BUSINESS}/settings/invoices", {"invoiceUnderpaymentToleranceBps": 1}),
    ],
    ids=["billing.pay_invoice", "businesses.update_invoice_settings"],
)
def test_a_required_key_must_be_there(api: Api, method: str, path: str, body: object) -> None:
    """The two operations that require a key are refused without one."""
    response = api(method, path, body)
    assert (response.status, response.code, response.fields) == (
        400,
        "VALIDATION_ERROR",
        ["Idempotency-Key"],
    )
    assert api(method, path, body, key="k1").status == 200


def test_a_key_is_ignored_by_operations_without_one(api: Api) -> None:
    """Two creations of an API key make two keys, with or without an idempotency key."""
    first, second = (
        api.dashboard("POST", API_KEYS, {"name": "n"}, key="k1").json["id"] for _ in range(2)
    )
    assert first != second


def test_a_key_that_is_being_handled_is_in_progress(api: Api) -> None:
    """The same key gets 409 until the first response is sent; other keys and paths do not."""
    api.emulator.fault("invoices.create", "slow:600")
    responses: list[ApiResponse] = []
    waiting = threading.Thread(
        target=lambda: responses.append(api("POST", INVOICES, ORDER, key="k1"))
    )
    waiting.start()
    until_received(api.emulator, 1)
    repeat = api("POST", INVOICES, ORDER, key="k1")
    assert (repeat.status, repeat.code) == (409, "IDEMPOTENCY_REQUEST_IN_PROGRESS")
    assert (
        api("POST", INVOICES, {**ORDER, "amount": "9"}, key="k1").code
        == "IDEMPOTENCY_REQUEST_IN_PROGRESS"
    )
    assert api("POST", INVOICES, ORDER, key="k2").status == 200
    assert api("POST", INVOICES, ORDER, {"x-api-key": TEST_API_KEY}, key="k1").status == 200
    assert api("POST", INVOICES, ORDER, {"x-api-key": API_KEY}).status == 200
    # Stopping sends the response to the first request, which was handled.
    api.emulator.__exit__(None, None, None)
    waiting.join()
    assert [response.status for response in responses] == [200]


def test_a_key_replays_after_a_slow_response(api: Api) -> None:
    """Once the slow response is sent, the same key returns it again."""
    api.emulator.fault("invoices.create", "slow:0")
    first, second = (api("POST", INVOICES, ORDER, key="k1") for _ in range(2))
    assert second.body == first.body


def test_a_billing_payment_is_known_by_its_transaction(api: Api) -> None:
    """The same transaction is a replay with any key, and a conflict on another invoice."""
    assert api("POST", PAY, TRANSACTION, key="k1").json == {
        "ok": True,
        "status": "paid",
        "replayed": False,
    }
    assert api("POST", PAY, TRANSACTION, key="k2").json == {
        "ok": True,
        "status": "paid",
        "replayed": True,
    }
    change = api.dashboard(
        "POST", "/api/v1/billing/subscription/change", {"planCode": "SCALE"}
    ).json
    response = api(
        "POST", f"/api/v1/billing/invoices/{change['invoice']['id']}/pay", TRANSACTION, key="k3"
    )
    assert (response.status, response.code) == (409, "BILLING_PAYMENT_REPLAY_CONFLICT")
    response = api("POST", PAY, {**TRANSACTION, "txHash": "0x2"}, key="k4")
    assert (response.status, response.code) == (409, "CONFLICT")
