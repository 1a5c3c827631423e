"""Responses of the gateway, as values or as errors that name the wrong fields."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from paychainhq import (
    APIError,
    AuthenticationError,
    BadRequestError,
    DecodeError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)
from paychainhq.codec import from_json, to_json
from paychainhq.gateway import Application, Checkout, Payment, PaymentStatus, Refund
from tests.gateway.samples import (
    APPLICATION,
    BY_NAME,
    CHECKOUT,
    INVALID,
    LISTED,
    NOTICE,
    PAYMENT,
    PAYMENT_ID,
    REFUND,
    client,
    sample_call,
)
from tests.support.raw_server import RawServer, http_response

pytestmark = pytest.mark.usefixtures("face")
no_client = pytest.mark.async_only("it makes no client")


async def failed(
    status: int, data: Any, operation: str = "payments.create", **headers: str
) -> APIError:
    """Return the error of a call with this response."""
    async with (
        RawServer(http_response(data, status, headers)) as server,
        client(server.url, retry=None) as gateway,
    ):
        with pytest.raises(APIError) as caught:
            await sample_call(gateway, operation)
    return caught.value


# --- errors ---


async def test_invalid_fields() -> None:
    """The error of a 422 has the wrong fields and their problems, also in its text.

    It survives pickling.
    """
    error = await failed(422, INVALID)
    assert type(error) is BadRequestError
    assert error.fields == {
        "amount": ("The amount field is required.",),
        "currencyCode": ("The selected currency code is invalid.",),
        "clientId": ("The client id field is required.",),
    }
    assert (error.status, error.sent, error.idempotency_key, error.message) == (
        422,
        "yes",
        None,
        "The given data was invalid.",
    )
    assert "The selected currency code is invalid." in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (again.fields, str(again)) == (error.fields, str(error))


@pytest.mark.parametrize(
    ("errors", "fields"),
    [
        (None, {}),
        ([], {}),
        ("amount", {}),
        (
            {"amount": "text", "name": ["short", 5, "odd"], "url": [], "x": [5]},
            {"name": ("short", "odd")},
        ),
    ],
)
async def test_undocumented_fields(errors: Any, fields: Any) -> None:
    """Entries that do not map fields to texts are dropped, and the error is otherwise the same."""
    error = await failed(422, {"message": "no", "errors": errors})
    assert (type(error), error.fields, error.message) == (BadRequestError, fields, "no")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (429, RateLimitError),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
    ],
)
async def test_the_status_determines_the_error(status: int, kind: type[APIError]) -> None:
    """Without error codes, the status determines the class, and `message` has the reason."""
    error = await failed(status, {"message": "Insufficient permissions"})
    assert type(error) is kind
    assert (error.message, error.code, error.fields) == ("Insufficient permissions", None, {})
    assert (
        await failed(status, b"<html>")
    ).message == f"the server responded with {status} without a message"


async def test_retry_after_of_a_429() -> None:
    """The error has the value of `Retry-After`."""
    error = await failed(429, {"message": "Too Many Attempts."}, **{"Retry-After": "7"})
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 7


@no_client
def test_other_errors_have_no_fields() -> None:
    """The attribute always exists, and cannot be changed for all errors."""
    assert APIError("no").fields == {}
    with pytest.raises(TypeError):
        APIError.fields["x"] = ()  # type: ignore[index]


# --- undocumented responses ---


@pytest.mark.parametrize(
    ("operation", "data", "path"),
    [
        ("payments.create", {"checkoutUrl": "https://x/y"}, "$.data"),
        ("payments.create", {"data": {}}, "$.data.checkoutUrl"),
        ("payments.create", {"data": None}, "$.data"),
        ("payments.create", [], "$"),
        (
            "payments.get",
            {"data": {**PAYMENT, "amount": {**PAYMENT["amount"], "amount": 1.5}}},
            "$.data.amount.amount",
        ),
        (
            "payments.get",
            {"data": {**PAYMENT, "amount": {**PAYMENT["amount"], "value": None}}},
            "$.data.amount.value",
        ),
        ("payments.get", {"data": {**PAYMENT, "receivedAmount": "100"}}, "$.data.receivedAmount"),
        ("payments.get", {"data": {**PAYMENT, "date": "yesterday"}}, "$.data.date"),
        ("payments.get", {"data": {"id": PAYMENT_ID}}, "$.data.status"),
        ("applications.list", {"data": [LISTED, {**LISTED, "id": 5}]}, "$.data[1].id"),
        (
            "applications.get",
            {"data": {**APPLICATION, "currencyWhitelist": "BTC"}},
            "$.data.currencyWhitelist",
        ),
        ("refunds.create", {"data": {**REFUND, "refundAmount": 100}}, "$.data.refundAmount"),
    ],
)
async def test_undocumented_responses_are_reported_with_their_path(
    operation: str, data: Any, path: str
) -> None:
    """The error keeps the whole undocumented response, so that a created object is not lost."""
    async with RawServer(http_response(data)) as server, client(server.url) as gateway:
        with pytest.raises(DecodeError) as caught:
            await sample_call(gateway, operation)
    assert (caught.value.path, caught.value.data, caught.value.sent, caught.value.status) == (
        path,
        data,
        "yes",
        200,
    )
    assert len(server.requests) == 1


@pytest.mark.parametrize("sample", BY_NAME)
async def test_a_response_that_is_not_json(sample: str) -> None:
    """The error of any operation keeps the raw response."""
    async with RawServer(http_response(b"<html>")) as server, client(server.url) as gateway:
        with pytest.raises(DecodeError) as caught:
            await sample_call(gateway, sample)
    assert caught.value.body == b"<html>"


async def test_numbers_in_untyped_responses() -> None:
    """Instructions may contain amounts as numbers: these keep their text."""
    body = b'{"data": {"amount": 0.10000000000000000000001, "count": 3}}'
    async with RawServer(http_response(body)) as server, client(server.url) as gateway:
        found = await sample_call(gateway, "payments.instructions")
    assert found == json.loads(body)
    assert found["data"]["amount"].text == "0.10000000000000000000001"


# --- values ---


@no_client
@pytest.mark.parametrize(
    ("type_", "data"),
    [
        (Checkout, CHECKOUT),
        (Payment, PAYMENT),
        (Payment, NOTICE),
        (Application, APPLICATION),
        (Application, LISTED),
        (Refund, REFUND),
        (
            Payment,
            {
                **PAYMENT,
                "foundAt": None,
                "confirmedAt": None,
                "receivedAmount": None,
                "refund": True,
                "new": {"x": [1]},
            },
        ),
    ],
)
def test_values_are_lossless(type_: type[Any], data: Any) -> None:
    """A decoded value encodes to its source, unknown fields and nulls included."""
    assert to_json(from_json(type_, data)) == data
    assert from_json(type_, data) == pickle.loads(pickle.dumps(from_json(type_, data)))


@no_client
def test_fields_are_typed() -> None:
    """Minor units are an int, the major unit a Decimal with the same text, times aware."""
    payment = from_json(Payment, NOTICE)
    assert payment.status is PaymentStatus.RECEIVED
    assert payment.amount is not None
    assert (payment.amount.amount, payment.amount.value, payment.amount.formatted) == (
        10000,
        Decimal(100),
        "$100.00",
    )
    assert payment.confirmed_at == datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
    application = from_json(Application, LISTED)
    assert application.currency_whitelist == ("BTC", "ETH", "USDT")
    assert application.extra == {"paymentAppImage": None}


@no_client
@pytest.mark.parametrize(
    ("status", "paid", "decided"),
    [
        ("OPEN", False, False),
        ("FOUND", False, False),
        ("UNDERPAID", False, False),
        ("RECEIVED", True, True),
        ("CONFIRMED", True, True),
        ("CANCELLED", False, True),
        ("ERROR", False, True),
        ("REFUND", False, True),
        ("received", False, False),
        ("EXPIRED", False, False),
    ],
)
def test_paid_statuses(status: str, paid: bool, decided: bool) -> None:
    """`RECEIVED` and `CONFIRMED` are paid; an unknown status is kept, and is not terminal."""
    payment = from_json(Payment, {"id": "x", "status": status})
    assert (payment.is_paid, payment.is_decided, payment.status) == (paid, decided, status)


@no_client
@pytest.mark.parametrize(
    ("url", "payment_id"),
    [
        (CHECKOUT["checkoutUrl"], PAYMENT_ID),
        (f"https://yourdomain.com/checkout/{PAYMENT_ID}", PAYMENT_ID),
        (f"https://yourdomain.com/a/b/checkout/{PAYMENT_ID}/?redirectUrl=https://x/y", PAYMENT_ID),
        (f"https://yourdomain.com/checkout/{PAYMENT_ID}#/top", PAYMENT_ID),
        ("https://yourdomain.com/checkout/not-a-uuid?expires=1", "not-a-uuid"),
    ],
)
def test_payment_id_of_a_checkout(url: str, payment_id: str) -> None:
    """The id is the last segment of the path, in any format."""
    assert Checkout(checkout_url=url).payment_id == payment_id


@no_client
@pytest.mark.parametrize("url", ["", "nothing", "?a/b", "https://[", "https://x/?y"])
def test_checkout_without_a_payment_id(url: str) -> None:
    """The error says that the payment has been created, and keeps the link."""
    with pytest.raises(DecodeError) as caught:
        _ = Checkout(checkout_url=url).payment_id
    assert (caught.value.sent, caught.value.data) == ("yes", {"checkoutUrl": url})
