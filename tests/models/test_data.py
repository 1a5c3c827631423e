"""Results as data: plain JSON with the names of the API, for `json`, orjson, queues and caches."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs
import orjson
import pytest

from paychainhq import (
    Attempt,
    BadRequestError,
    Failure,
    InvalidArgumentError,
    InvoiceRequest,
    PayChainError,
    ReadFailure,
    StatusChange,
    Success,
)
from paychainhq.codec import decode, from_json
from paychainhq.models import Invoice, Listing, Model, Page, WithdrawalQuote
from tests.support.json_tools import (
    decoded,
    each_sample,
    models_in,
    with_unknown_fields,
)
from tests.support.samples import BY_NAME, SAMPLES, Sample

PLAIN = {str, int, float, bool, type(None), dict, list}


def values_in(data: Any) -> list[Any]:
    inside = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return [data, *(value for item in inside for value in values_in(item))]


@each_sample
@pytest.mark.parametrize("change", [lambda data: data, with_unknown_fields])
def test_a_result_is_the_api_s_json(sample: Sample, change: Callable[[Any], Any]) -> None:
    """`to_dict` is the response, unknown fields included; `to_json` is its text."""
    model = from_json(sample.type, change(sample.response))
    assert model.to_dict() == change(sample.response)
    assert json.loads(model.to_json()) == model.to_dict()
    assert from_json(sample.type, model.to_dict()) == model


@each_sample
def test_a_result_is_plain(sample: Sample) -> None:
    """Every part has a type of JSON, which `json` and orjson write; a new key stays concealed."""
    body = orjson.dumps(sample.response)
    model = decode(sample.type, body)
    data = model.to_dict()
    others = {type(value).__name__ for value in values_in(data) if type(value) not in PLAIN}
    assert others <= ({"Secret"} if "apiKey" in str(sample.response) else set())
    assert json.loads(json.dumps(data)) == orjson.loads(orjson.dumps(data))


@each_sample
def test_every_model_has_the_methods(sample: Sample) -> None:
    """Each model inside a result can be converted on its own, and back."""
    for model in models_in(from_json(sample.type, sample.response)):
        if not isinstance(model, (Page, Listing)):
            assert from_json(type(model), json.loads(model.to_json())) == model


QUOTE = (
    orjson.dumps(BY_NAME["withdrawals.quote"].response)[:-1]
    + b',"fee":0.10,"deep":[{"rate":1.25}],"treasuryBalanceUSD":12345678901234567890.123456789}'
)


def test_the_money_of_a_quote_is_text() -> None:
    """JSON numbers that are money become their exact text; unknown ones stay numbers."""
    quote = decode(WithdrawalQuote, QUOTE)
    assert quote.to_dict()["treasuryBalanceUSD"] == "12345678901234567890.123456789"
    assert quote.to_dict()["fee"] == 0.1
    back = from_json(WithdrawalQuote, json.loads(quote.to_json()))
    assert back == quote
    assert back.treasury_balance_usd == Decimal("12345678901234567890.123456789")


def test_unknown_numbers_can_be_written() -> None:
    """The numbers in `extra` are plain floats, as in any parsed JSON, for `json` and orjson."""
    extra = decode(WithdrawalQuote, QUOTE).extra
    assert extra == {"fee": 0.1, "deep": [{"rate": 1.25}]}
    assert type(extra["fee"]) is type(extra["deep"][0]["rate"]) is float
    assert orjson.loads(orjson.dumps(extra)) == json.loads(json.dumps(extra)) == extra


def test_deep_unknown_fields_can_be_read() -> None:
    """Unknown fields that are nested too deeply to be walked are returned as they are."""
    deep = b"[" * 900 + b"]" * 900
    invoice = decode(
        Invoice, orjson.dumps(decoded("invoices.get").to_dict())[:-1] + b',"n":%b}' % deep
    )
    assert list(invoice.extra) == ["n"]


def test_changed_fields_are_in_the_data() -> None:
    """The values of `attrs.evolve` are written, amounts in full."""
    invoice = decoded("invoices.get")
    amount = attrs.evolve(invoice.amount, display=Decimal("1E-7"), raw=10**30)
    data = attrs.evolve(invoice, description="\ud83d\u00e9", amount=amount).to_dict()
    assert (data["description"], data["amount"]["display"]) == ("\ud83d\u00e9", "0.0000001")
    assert data["amount"]["raw"] == "1" + "0" * 30
    text = attrs.evolve(invoice, description="\ud83d\u00e9").to_json()
    assert text.isascii()
    assert json.loads(text)["description"] == "\ud83d\u00e9"


def test_an_infinite_number_is_null() -> None:
    """JSON has no infinity: `to_json` stays valid JSON."""
    invoice = decode(Invoice, orjson.dumps(decoded("invoices.get").to_dict())[:-1] + b',"n":1e999}')
    assert invoice.extra == {"n": float("inf")}
    assert json.loads(invoice.to_json()) == {**invoice.to_dict(), "n": None}


def test_data_is_a_copy() -> None:
    """A change of the data does not change the model."""
    invoice = decoded("invoices.get")
    invoice.to_dict()["amount"].clear()
    invoice.extra["new"] = 1
    assert invoice.to_dict() == BY_NAME["invoices.get"].response
    assert invoice.extra == {}


# --- outcomes, changes, errors ---

ERROR = BadRequestError(
    'no "such" token\n',
    operation="invoices.create",
    idempotency_key="pc1-1",
    request_id="req_1",
    status=400,
    code="VALIDATION_ERROR",
    details={"secret": "\ud83d"},
    attempts=(
        Attempt(503, None, "yes", 0.25, 7.0),
        Attempt(None, "timed out", "unknown", 0.5, 9.0, {"backoff": 1.75}),
    ),
)
ERROR_DATA = {
    "type": "BadRequestError",
    "message": 'no "such" token\n',
    "operation": "invoices.create",
    "sent": "yes",
    "idempotencyKey": "pc1-1",
    "requestId": "req_1",
    "status": 400,
    "code": "VALIDATION_ERROR",
    "attempts": [
        {
            "status": 503,
            "error": None,
            "sent": "yes",
            "elapsed": 0.25,
            "started": 7.0,
            "waited": {},
        },
        {
            "status": None,
            "error": "timed out",
            "sent": "unknown",
            "elapsed": 0.5,
            "started": 9.0,
            "waited": {"backoff": 1.75},
        },
    ],
}


def test_errors() -> None:
    """An error has its type, its message and its facts, and no field that it does not have."""
    assert ERROR.to_dict() == ERROR_DATA
    assert json.loads(ERROR.to_json()) == ERROR_DATA
    assert InvalidArgumentError("bad", argument="x").to_dict() == {
        "type": "InvalidArgumentError",
        "message": "bad",
        "sent": "no",
    }
    assert PayChainError("bad").to_dict()["sent"] == "unknown"


@pytest.mark.parametrize(
    "request_",
    [
        InvoiceRequest(amount="1", token="USDC", chain="eth", reference="r"),
        {"amount": "1", "token": "USDC", "chain": "eth", "reference": "r"},
    ],
)
def test_outcomes(request_: Any) -> None:
    """An outcome has its reference, `ok`, and the result or the error."""
    invoice = decoded("invoices.create")
    good: Success[Any, Invoice] = Success(request_, invoice)
    assert good.to_dict() == {"reference": "r", "ok": True, "result": invoice.to_dict()}
    bad: Failure[Any] = Failure(request_, ERROR)
    assert bad.to_dict() == {"reference": "r", "ok": False, "error": ERROR_DATA}
    for outcome in (good, bad):
        assert json.loads(outcome.to_json()) == outcome.to_dict()
    assert Failure({}, ERROR).to_dict()["reference"] is None


def test_changes() -> None:
    """A change has its invoice or its error, and the statuses as text."""
    invoice = decoded("invoices.get")
    change = StatusChange(invoice_id="i", invoice=invoice, current=invoice.status)
    assert change.to_dict() == {
        "invoiceId": "i",
        "invoice": invoice.to_dict(),
        "previous": None,
        "current": "paid",
    }
    assert type(change.to_dict()["current"]) is str
    failed = ReadFailure(invoice_id="i", previous=invoice.status, error=ERROR)
    assert failed.to_dict() == {"invoiceId": "i", "previous": "paid", "error": ERROR_DATA}
    for one in (change, failed):
        assert json.loads(one.to_json()) == one.to_dict()


# --- hashes ---


def test_every_model_has_a_hash() -> None:
    """Equal models have equal hashes, also with free-form fields, and models fit into sets."""
    for sample in SAMPLES:
        pair = [from_json(sample.type, sample.response) for _ in range(2)]
        for one, other in zip(*map(models_in, pair), strict=True):
            assert one == other
            assert hash(one) == hash(other)
            assert len({one, other}) == 1
    invoice = attrs.evolve(decoded("invoices.get"), metadata={"order": [1]})
    assert hash(invoice) == hash(attrs.evolve(invoice, metadata={"order": [2]}))
    assert len({invoice, attrs.evolve(invoice, metadata={"order": [2]})}) == 2


def test_only_free_form_fields_take_no_part_in_the_hash() -> None:
    """Every other public field is part of it."""
    left_out = {
        (cls.__name__, field.name)
        for sample in SAMPLES
        for cls in {type(model) for model in models_in(from_json(sample.type, sample.response))}
        for field in attrs.fields(cls)
        if not field.name.startswith("_") and field.hash is False
    }
    assert left_out == {
        ("Invoice", "metadata"),
        ("ContractOperation", "inputs"),
        ("ContractOperation", "outputs"),
    }
    assert issubclass(Invoice, Model)
