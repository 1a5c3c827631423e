"""Results of the gateway as data: plain JSON, converters, pydantic, hashes, reprs and pickles."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import attrs
import orjson
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from paychainhq import BadRequestError, NotFoundError, WaitTimeoutError
from paychainhq.codec import decode, from_json, to_json
from paychainhq.gateway import (
    Application,
    Checkout,
    Event,
    EventName,
    Money,
    Payment,
    PaymentStatus,
    Refund,
    webhooks,
)
from paychainhq.models import Listing
from tests.codec.test_converters import CONVERTERS, holder
from tests.gateway.samples import (
    APPLICATION,
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
from tests.models.test_data import PLAIN, values_in
from tests.support.json_tools import models_in, with_unknown_fields
from tests.support.raw_server import Behaviour, RawServer, close, http_response

EVENT = {"event": "payment.completed", "payment": NOTICE, "timestamp": "2026-01-15T10:30:00.000Z"}
RESULTS: dict[str, tuple[Any, Any]] = {
    "Payment": (Payment, PAYMENT),
    "Payment of a webhook": (Payment, NOTICE),
    "Checkout": (Checkout, CHECKOUT),
    "Application": (Application, APPLICATION),
    "Application of a list": (Application, LISTED),
    "Refund": (Refund, REFUND),
    "Listing": (Listing[Application], {"data": [LISTED, APPLICATION]}),
    "Event": (Event, EVENT),
}
each_result = pytest.mark.parametrize(("type_", "data"), RESULTS.values(), ids=RESULTS)


@each_result
def test_a_result_is_the_gateways_json(type_: Any, data: Any) -> None:
    """`to_dict` is the response, unknown fields included, in plain types; `to_json` is its text."""
    for content in (data, with_unknown_fields(data)):
        model = from_json(type_, content)
        assert model.to_dict() == content == to_json(model)
        assert json.loads(model.to_json()) == content
        assert from_json(type_, model.to_dict()) == model
        read = decode(type_, orjson.dumps(content))
        assert {type(value) for value in values_in(read.to_dict())} <= PLAIN
        assert from_json(type_, json.loads(read.to_json())) == read


def test_exact_money() -> None:
    """The amount in major units is text with all its digits; a changed one is written anew."""
    body = b'{"amount":10010,"value":100.10,"formatted":"$100.10","rate":0.1}'
    money = decode(Money, body)
    assert money.to_dict() == {
        "amount": 10010,
        "value": "100.10",
        "formatted": "$100.10",
        "rate": 0.1,
    }
    assert from_json(Money, money.to_dict()) == money
    assert attrs.evolve(money, amount=1).to_dict()["amount"] == 1


@each_result
@pytest.mark.parametrize("make", CONVERTERS.values(), ids=CONVERTERS)
def test_results_inside_a_users_class(type_: Any, data: Any, make: Callable[[], Any]) -> None:
    """Converters with `codec.register` structure and unstructure every result without loss."""
    converter, content = make(), with_unknown_fields(data)
    whole = {"one": content, "many": [content], "named": {"a": content}, "present": content}
    whole["absent"] = None
    value = converter.structure(whole, holder(type_))
    assert value.one == from_json(type_, content)
    assert converter.unstructure(value) == whole
    if hasattr(converter, "dumps"):
        again = converter.loads(converter.dumps(value), holder(type_))
        assert converter.unstructure(again) == whole


class Order(BaseModel):
    """User's own model with results of the gateway inside."""

    payment: Payment
    events: list[Event] = []


@each_result
def test_each_result_is_a_type_of_pydantic(type_: Any, data: Any) -> None:
    """An instance is kept, JSON is decoded, and both are written as the gateway writes them."""
    adapter: TypeAdapter[Any] = TypeAdapter(type_)
    model = adapter.validate_python(with_unknown_fields(data))
    assert adapter.validate_python(model) is model
    assert adapter.validate_json(model.to_json()) == model
    assert json.loads(adapter.dump_json(model)) == model.to_dict()


def test_fields_of_a_pydantic_model() -> None:
    """An invalid value is an error of pydantic that names the part."""
    order = Order.model_validate({"payment": PAYMENT, "events": [EVENT]})
    assert Order.model_validate_json(order.model_dump_json()) == order
    with pytest.raises(ValidationError, match=r"\$\.amount\.amount"):
        Order.model_validate({"payment": {**PAYMENT, "amount": {"amount": 1.5}}})


@each_result
def test_hashes_and_pickles(type_: Any, data: Any) -> None:
    """Equal models have equal hashes, whatever the server added; a pickle keeps everything."""
    one, other = from_json(type_, data), from_json(type_, data)
    for model, twin in zip(models_in(one), models_in(other), strict=True):
        assert (model, hash(model)) == (twin, hash(twin))
    again = pickle.loads(pickle.dumps(from_json(type_, with_unknown_fields(data))))
    assert again.to_dict() == with_unknown_fields(data)


@each_result
def test_short_reprs(type_: Any, data: Any) -> None:
    """A repr has the fields, and neither the source nor the metadata; a listing has its length."""
    model = from_json(type_, with_unknown_fields(data))
    assert "zzNew" not in repr(model)
    assert "_source" not in repr(model)
    assert len(repr(model)) < (100 if isinstance(model, Listing) else 1200)


# --- events ---


def test_an_event_as_data() -> None:
    """A verified event goes through a queue as plain JSON, payment and unknown fields included."""
    body = json.dumps({"payment": with_unknown_fields(NOTICE)}).encode()
    event = webhooks.parse(body, webhooks.sign(body, secret="s"), secrets="s")
    data = json.loads(event.to_json())
    assert data["payment"] == json.loads(body)["payment"]
    again = from_json(Event, data)
    assert (again, again.event) == (event, EventName.COMPLETED)
    assert again.payment.status is PaymentStatus.RECEIVED
    assert again.timestamp == event.timestamp
    unknown = attrs.evolve(event, event="payment.disputed")
    assert from_json(Event, unknown.to_dict()).event == "payment.disputed"


# --- of calls ---


@pytest.mark.usefixtures("face")
async def test_results_of_calls() -> None:
    """Results of either face have the methods; `payment.response` takes no part."""
    script = [http_response({"data": PAYMENT}), http_response({"data": [LISTED]})]
    async with RawServer(*script) as server, client(server.url) as gateway:
        payment = await gateway.payments.get(PAYMENT_ID)
        applications = await gateway.applications.list()
    assert payment.response is not None
    assert from_json(Payment, json.loads(payment.to_json())) == payment
    assert applications.to_dict() == {"data": [applications[0].to_dict()]} == {"data": [LISTED]}


@pytest.mark.usefixtures("face")
async def test_errors_of_calls() -> None:
    """An error has its type and the facts that it has: no code, no idempotency key."""
    script: list[Behaviour] = [
        http_response(INVALID, 422),
        http_response({"message": "Not found."}, 404),
        close,
    ]
    async with RawServer(*script) as server, client(server.url) as gateway:
        with pytest.raises(BadRequestError) as invalid:
            await sample_call(gateway, "payments.create")
        with pytest.raises(NotFoundError) as missing:
            await gateway.payments.get("p_1")
        with pytest.raises(WaitTimeoutError) as late:
            await gateway.with_options(retry=None).payments.wait("p", timeout=0)
    data = json.loads(invalid.value.to_json())
    (attempt,) = data.pop("attempts")
    assert attempt["status"] == 422
    assert data == {
        "type": "BadRequestError",
        "message": "The given data was invalid.",
        "operation": "payments.create",
        "sent": "yes",
        "status": 422,
    }
    assert missing.value.to_dict()["operation"] == "payments.get"
    assert json.loads(late.value.to_json())["type"] == "WaitTimeoutError"
