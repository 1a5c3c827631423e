"""Models in pydantic and FastAPI: fields, parameters, results and their schema."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import attrs
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError

from paychainhq.codec import decode, from_json
from paychainhq.models import Amount, Customer, Invoice, Listing, Page, WithdrawalQuote
from paychainhq_sync.models import Page as SyncPage
from tests.support.json_tools import decoded, each_sample, replaced, with_unknown_fields
from tests.support.samples import BY_NAME, Sample


class Order(BaseModel):
    """User's own model with models of the package inside."""

    number: int
    invoice: Invoice
    others: list[Invoice] = []
    amount: Amount | None = None


INVOICE = BY_NAME["invoices.get"].response


@each_sample
def test_each_type_is_a_type_of_pydantic(sample: Sample) -> None:
    """An instance is kept, JSON is decoded, and both are written as the API writes them."""
    adapter = TypeAdapter(sample.type)
    data = with_unknown_fields(sample.response)
    model = adapter.validate_python(data)
    assert model == from_json(sample.type, data)
    assert adapter.validate_python(model) is model
    assert adapter.validate_json(json.dumps(data)) == model
    assert adapter.dump_python(model) == json.loads(adapter.dump_json(model)) == model.to_dict()


def test_fields() -> None:
    """Models are fields of a pydantic model, which keeps their unknown fields."""
    data = {"number": 1, "invoice": {**INVOICE, "new": [1]}, "others": [INVOICE], "amount": "1.5"}
    order = Order.model_validate_json(json.dumps(data))
    assert order.invoice.extra == {"new": [1]}
    assert order.amount == from_json(Amount, "1.5")
    assert json.loads(order.model_dump_json()) == order.model_dump() == data
    invoice = decoded("invoices.get")
    assert Order(number=1, invoice=invoice).invoice is invoice
    assert Order.model_validate_json(order.model_dump_json()) == order


def test_exact_amounts() -> None:
    """The numbers of a quote keep all their digits, through text."""
    body = json.dumps(BY_NAME["withdrawals.quote"].response).encode()
    body = body[:-1] + b',"treasuryBalanceUSD":0.12345678901234567891}'
    quote = decode(WithdrawalQuote, body)
    adapter = TypeAdapter(WithdrawalQuote)
    assert adapter.validate_json(adapter.dump_json(quote)) == quote


def test_a_wrong_value_is_a_validation_error() -> None:
    """An invalid value is an error of pydantic that names the part, without the data."""
    wrong = replaced(INVOICE, ("amount", "raw"), 1.5)
    for data in (wrong, "inv_1", None, decoded("customers.get")):
        with pytest.raises(ValidationError) as caught:
            Order.model_validate({"number": 1, "invoice": data})
        (error,) = caught.value.errors()
        assert (error["loc"], error["type"]) == (("invoice",), "value_error")
        assert error["ctx"]["error"].__context__ is None
    with pytest.raises(ValidationError, match=r"\$\.amount\.raw"):
        TypeAdapter(Invoice).validate_python(wrong)


def test_the_data_of_the_caller_is_copied() -> None:
    """A model does not change with the data that it was validated from."""
    data = json.loads(json.dumps(INVOICE))
    invoice = TypeAdapter(Invoice).validate_python(data)
    data["amount"].clear()
    assert invoice.to_dict() == INVOICE


def test_generic_lists() -> None:
    """Pages and listings of both faces are types of pydantic with their items' type."""
    data = BY_NAME["invoices.list"].response
    for type_ in (Page[Invoice], SyncPage[Invoice]):
        page = TypeAdapter(type_).validate_python(data)
        assert all(isinstance(item, Invoice) for item in page.items)
        assert TypeAdapter(type_).dump_python(page) == data
    with pytest.raises(ValidationError):
        TypeAdapter(Page[Customer]).validate_python(data)
    assert TypeAdapter(Listing[Any]).dump_python(
        TypeAdapter(Listing[Any]).validate_python([1])
    ) == [1]


async def send(app: FastAPI, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Return the status and the JSON of a response of an application."""
    status, parts = 0, b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: Any) -> None:
        nonlocal status, parts
        status = message.get("status", status)
        parts += message.get("body", b"")

    scope = {"type": "http", "method": method, "path": path, "query_string": b""}
    headers = [(b"content-type", b"application/json")]
    await app({**scope, "headers": headers, "http_version": "1.1"}, receive, send)
    return status, json.loads(parts)


async def test_fastapi() -> None:
    """A model is a body, a result, and a part of the OpenAPI document."""
    app = FastAPI()

    @app.post("/orders")
    def create(order: Order) -> Invoice:
        return attrs.evolve(order.invoice, description=str(order.number))

    @app.get("/invoices")
    async def invoices() -> Page[Invoice]:
        return from_json(Page[Invoice], BY_NAME["invoices.list"].response)

    @app.get("/dict", response_model=list[Order])
    async def in_dict() -> Any:
        return [{"number": 1, "invoice": decoded("invoices.get")}]

    order = {"number": 7, "invoice": INVOICE}
    assert await send(app, "POST", "/orders", order) == (200, {**INVOICE, "description": "7"})
    assert (await send(app, "POST", "/orders", {"number": 7, "invoice": {}}))[0] == 422
    assert (await send(app, "GET", "/invoices"))[1] == BY_NAME["invoices.list"].response
    assert (await send(app, "GET", "/dict"))[1][0]["invoice"] == INVOICE
    status, document = await send(app, "GET", "/openapi.json")
    assert status == 200
    assert document["components"]["schemas"]["Order"]["properties"]["invoice"]["type"] == "object"


def test_schemas() -> None:
    """The JSON schema of a model is an object, or the bare value that the API may send."""
    assert TypeAdapter(Invoice).json_schema() == {"title": "Invoice", "type": "object"}
    for mode in ("validation", "serialization"):
        assert TypeAdapter(Amount).json_schema(mode=mode) == {
            "title": "Amount",
            "anyOf": [{"type": "object"}, {"type": "string"}],
        }


def test_pydantic_is_not_imported() -> None:
    """Models are used, and converted, without pydantic."""
    script = (
        "import sys; from paychainhq.codec import from_json; from paychainhq.models import Amount;"
        "from_json(Amount, '1').to_json(); print('pydantic' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
