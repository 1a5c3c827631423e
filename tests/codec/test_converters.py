"""Converters of cattrs: models as parts of users' classes, requests from rows, outcomes to rows."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import attrs
import cattrs.preconf.json
import cattrs.preconf.msgpack
import cattrs.preconf.orjson
import pytest
from cattrs import BaseValidationError, ClassValidationError, Converter, transform_error

from paychainhq import CustomerRequest, Failure, InvoiceRequest, Outcome, Success, codec, errors
from paychainhq._attempts import Attempt
from paychainhq.codec import decode, decode_webhook, from_json, to_json
from paychainhq.errors import DecodeError, PayChainError
from paychainhq.models import CreatedApiKey, Invoice, InvoiceStatus, Page, Price, WithdrawalQuote
from tests.support.json_tools import each_sample, refusal, with_unknown_fields
from tests.support.samples import BY_NAME, Sample

INVOICE = BY_NAME["invoices.create"].response
NEW_KEY = BY_NAME["api_keys.create"].response


def registered(converter: Any) -> Any:
    codec.register(converter)
    return converter


CONVERTERS: dict[str, Callable[[], Any]] = {
    "make_converter": codec.make_converter,
    "copy": lambda: codec.make_converter().copy(),
    "Converter": lambda: registered(Converter()),
    "not detailed": lambda: registered(Converter(detailed_validation=False)),
    "strict keys": lambda: registered(Converter(forbid_extra_keys=True, omit_if_default=True)),
    "json": lambda: registered(cattrs.preconf.json.make_converter()),
    "orjson": lambda: registered(cattrs.preconf.orjson.make_converter()),
    "msgpack": lambda: registered(cattrs.preconf.msgpack.make_converter()),
}
each_converter = pytest.mark.parametrize("make", CONVERTERS.values(), ids=CONVERTERS)
public_converters = pytest.mark.parametrize(
    "make", [codec.make_converter, CONVERTERS["Converter"]], ids=["make_converter", "register"]
)


def problems(error: BaseException) -> list[str]:
    return transform_error(error, format_exception=lambda problem, _: str(problem))


def holder(type_: Any) -> type[Any]:
    """Return a user's class with parts of a type in all kinds of places."""
    places = {
        "one": type_,
        "many": list[type_],
        "named": dict[str, type_],
        "present": type_ | None,
        "absent": type_ | None,
    }
    return attrs.make_class(
        "Holder", {name: attrs.field(type=place) for name, place in places.items()}
    )


# --- parts of users' classes ---


@each_converter
@each_sample
def test_models_inside_a_users_class_are_lossless(sample: Sample, make: Callable[[], Any]) -> None:
    """Every response, with unknown fields, is structured and unstructured to the same JSON."""
    converter, data = make(), with_unknown_fields(sample.response)
    whole = {"one": data, "many": [data, data], "named": {"a": data}, "present": data}
    whole["absent"] = None
    value = converter.structure(whole, holder(sample.type))
    assert value.one == from_json(sample.type, data)
    assert value.many == [value.one] * 2
    assert converter.unstructure(value) == whole
    if hasattr(converter, "dumps"):
        again = converter.loads(converter.dumps(value), holder(sample.type))
        assert converter.unstructure(again) == whole


@public_converters
def test_a_model_may_be_unstructured_alone(make: Callable[[], Any]) -> None:
    """A model, a page and a changed copy give the JSON of `to_json`."""
    converter = make()
    invoice = converter.structure(INVOICE, Invoice)
    changed = attrs.evolve(invoice, status=InvoiceStatus.PAID, expires_at=None)
    page = from_json(Page[Invoice], {"data": [INVOICE]})
    for model in (invoice, changed, page):
        assert converter.unstructure(model) == to_json(model)


@attrs.frozen
class Order:
    number: int
    price: float
    placed: datetime
    invoice: Invoice
    others: list[Invoice]


ORDER = {
    "number": "7",
    "price": 3,
    "placed": "2026-03-15T12:00:00",
    "invoice": INVOICE,
    "others": [INVOICE],
}


def test_other_types_of_a_converter_stay_as_they_are() -> None:
    """After `register`, a user's own fields have cattrs's hooks, and those of the format."""
    converter = registered(cattrs.preconf.json.make_converter())
    order = converter.structure(ORDER, Order)
    assert (order.number, order.price, order.placed) == (7, 3.0, datetime(2026, 3, 15, 12))  # noqa: DTZ001
    assert converter.unstructure(order)["placed"] == "2026-03-15T12:00:00"
    assert converter.structure("paid", InvoiceStatus) is InvoiceStatus.PAID


@each_converter
def test_each_wrong_part_is_reported_with_its_whole_path(make: Callable[[], Any]) -> None:
    """`transform_error` has every problem inside the models of a user's class."""
    converter = make()
    wrong = {**INVOICE, "status": 5, "amount": {"raw": True}}
    order = {"one": wrong, "many": [INVOICE, {**INVOICE, "expiresAt": "x"}], "named": {}}
    expected = [
        "should be a string, but is a JSON number @ $.one.status",
        "is missing @ $.one.amount.display",
        "should be a string of digits, but is a JSON boolean @ $.one.amount.raw",
        "should be a time with its zone, but is a JSON string @ $.many[1].expiresAt",
    ]
    with pytest.raises(BaseValidationError) as caught:
        converter.structure({**order, "present": None, "absent": None}, holder(Invoice))
    if converter.detailed_validation:
        assert problems(caught.value) == expected
    else:  # the user's class reports its first wrong field, without its name
        assert problems(caught.value) == [line.replace(".one", "") for line in expected[:3]]


@public_converters
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "inside"])
def test_a_new_key_is_concealed(make: Callable[[], Any], inside: bool) -> None:
    """A new key that a converter structures is in no repr and no pickle, and in the JSON."""
    converter = make()
    type_, data = (list[CreatedApiKey], [NEW_KEY]) if inside else (CreatedApiKey, NEW_KEY)
    value: Any = converter.structure(data, type_)
    key = value[0] if inside else value
    assert key.api_key == NEW_KEY["apiKey"]
    assert converter.unstructure(value) == data
    for shown in (repr(value), repr(key._source), str(pickle.dumps(value))):
        assert NEW_KEY["apiKey"] not in shown
    with pytest.raises(BaseValidationError) as caught:
        converter.structure({**NEW_KEY, "id": None, "apiKey": [NEW_KEY["apiKey"]]}, CreatedApiKey)
    assert NEW_KEY["apiKey"] not in repr(problems(caught.value))


def test_a_fetched_quote_can_be_written_by_every_library() -> None:
    """The JSON numbers of a decoded body are plain floats, unless their text is unusual."""
    body = json.dumps(BY_NAME["withdrawals.quote"].response).encode()
    quote = decode(WithdrawalQuote, body.replace(b"150.0", b"150.25"))
    for name in ("json", "orjson", "msgpack"):
        converter = CONVERTERS[name]()
        assert converter.loads(converter.dumps(quote), WithdrawalQuote) == quote
    exact = decode(
        WithdrawalQuote,
        json.dumps(BY_NAME["withdrawals.quote"].response)
        .replace('"requestedAmountUSD": ', '"requestedAmountUSD": 0.10000000000000000001, "x": ')
        .encode(),
    )
    assert exact.requested_amount_usd == Decimal("0.10000000000000000001")
    assert from_json(WithdrawalQuote, to_json(exact)) == exact


@pytest.mark.parametrize("name", CONVERTERS)
def test_exact_digits_survive_every_library(name: str) -> None:
    """Money with an unusual spelling is text, and so is any number that no float equals."""
    body = (
        json.dumps(BY_NAME["withdrawals.quote"].response)
        .replace(
            '"requestedAmountUSD": 500',
            '"requestedAmountUSD": 0.10000000000000000001, "fee": 0.20000000000000000001,'
            '"new": {"rates": [0.30000000000000000001, 0.50, 1]}',
        )
        .replace("760.5", "760.50")
    )
    quote = decode(WithdrawalQuote, body.encode())
    converter = CONVERTERS[name]()
    data = converter.unstructure(quote)
    assert data == quote.to_dict()
    assert data["requestedAmountUSD"] == "0.10000000000000000001"
    assert data["totalAvailableUSD"] == "760.50"
    assert data["fee"] == "0.20000000000000000001"
    assert data["new"] == {"rates": ["0.30000000000000000001", 0.5, 1]}
    assert [type(item) for item in data["new"]["rates"]] == [str, float, int]
    dumps, loads = (getattr(converter, name, None) for name in ("dumps", "loads"))
    again = (
        loads(dumps(quote), WithdrawalQuote)
        if dumps and loads
        else converter.structure(json.loads(json.dumps(data)), WithdrawalQuote)
    )
    assert again == quote
    assert again.to_dict() == data
    assert from_json(WithdrawalQuote, to_json(quote)).to_dict() == data


# --- a converter with all rules of the package ---


class Colour(str, Enum):  # noqa: UP042 (such classes exist)
    RED = "red"


class Level(IntEnum):
    LOW = 1


@attrs.frozen
class Row:
    status: InvoiceStatus | str
    previous: InvoiceStatus | str | None
    strict: InvoiceStatus
    colour: Colour
    level: Level
    paid: Decimal
    at: datetime
    prices: dict[str, Decimal]
    pair: tuple[int, str]


ROW = {
    "status": "strange",
    "previous": None,
    "strict": "paid",
    "colour": "red",
    "level": 1,
    "paid": "1.50",
    "at": "2026-03-15T12:00:00.000Z",
    "prices": {"USDC": "0.10"},
    "pair": [1, "a"],
}


def test_own_types_have_the_rules_of_the_package() -> None:
    """A user's class beside the models is strict with money and times, and open for enums."""
    converter = codec.make_converter()
    row = converter.structure(ROW, Row)
    assert row == Row(
        "strange",
        None,
        InvoiceStatus.PAID,
        Colour.RED,
        Level.LOW,
        Decimal("1.50"),
        datetime(2026, 3, 15, 12, tzinfo=UTC),
        {"USDC": Decimal("0.10")},
        (1, "a"),
    )
    assert converter.unstructure(row) == ROW
    assert converter.structure({**ROW, "previous": "paid"}, Row).previous is InvoiceStatus.PAID


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", 1),
        ("previous", 1),
        ("strict", "strange"),
        ("colour", "blue"),
        ("level", 2),
        ("level", True),
        ("paid", 1.5),
        ("at", "2026-03-15T12:00:00"),
    ],
)
def test_a_wrong_value_of_an_own_type_is_refused(name: str, value: Any) -> None:
    """Nothing is converted silently."""
    with pytest.raises(ClassValidationError) as caught:
        codec.make_converter().structure({**ROW, name: value}, Row)
    (problem,) = problems(caught.value)
    assert problem.endswith(f" @ $.{name}")


def test_an_own_hook_applies_inside_models_and_not_to_clients() -> None:
    """A hook for times changes the models of its converter, in both directions, and no other."""
    berlin = timezone(timedelta(hours=1))
    converter = codec.make_converter()
    before = converter.structure(INVOICE, Invoice)
    converter.register_structure_hook(
        datetime, lambda text, _: datetime.fromisoformat(text).astimezone(berlin)
    )
    converter.register_unstructure_hook(datetime, datetime.timestamp)
    for each in (converter, converter.copy()):
        invoice = each.structure(INVOICE, Invoice)
        assert invoice == before
        assert invoice.expires_at is not None
        assert invoice.expires_at.tzinfo is berlin
        assert each.unstructure(invoice) == INVOICE  # unchanged, so as it came
        later = invoice.expires_at + timedelta(hours=1)
        changed = each.unstructure(attrs.evolve(invoice, expires_at=later))
        assert changed == {**INVOICE, "expiresAt": later.timestamp()}
    for untouched in (
        from_json(Invoice, INVOICE),
        codec.make_converter().structure(INVOICE, Invoice),
    ):
        assert untouched.expires_at is not None
        assert untouched.expires_at.tzinfo is UTC


@attrs.define
class Upper:
    """Hook that is unhashable, and cannot be weakly referenced."""

    suffix: str = ""

    def __call__(self, text: Any, _: Any) -> Any:
        return text.upper() + self.suffix


def test_an_own_hook_for_text_applies_inside_models() -> None:
    """A hook replaces the checks that the generated code makes without a call."""
    converter = codec.make_converter()
    converter.register_structure_hook(str, Upper())
    assert converter.structure(INVOICE, Invoice).id == "INV_123"
    assert from_json(Invoice, INVOICE).id == "inv_123"


def test_a_refusal_of_an_own_hook_has_its_path() -> None:
    """A ValueError of a user's hook is a problem of the field; any other error is a bug."""

    def refuse(value: Any, _: Any) -> Any:
        raise ValueError(f"no {value}")

    def fail(value: Any, _: Any) -> Any:
        raise ZeroDivisionError

    converter = codec.make_converter()
    converter.register_structure_hook(Decimal, refuse)
    with pytest.raises(BaseValidationError) as caught:
        converter.structure([INVOICE], list[Invoice])
    assert problems(caught.value) == [
        "no 150 @ $[0].amount.display",
        "no 0.50 @ $[0].underpaymentToleranceMaxUsd",
    ]
    converter.register_structure_hook(Decimal, fail)
    with pytest.raises(ZeroDivisionError):
        converter.structure(INVOICE, Invoice)


# --- requests from rows, outcomes and errors to rows ---

REQUEST = {"amount": "1.50", "token": "USDC", "chain": "eth", "reference": "order-7"}


def test_requests_from_rows() -> None:
    """A row becomes a request, with its amount as it was written."""
    converter = codec.make_converter()
    row: dict[str, Any] = {
        **REQUEST,
        "metadata": {"cart": [1]},
        "underpayment_tolerance_max_usd": Decimal("0.50"),
    }
    request = converter.structure(row, InvoiceRequest)
    assert request == InvoiceRequest(**row)
    assert converter.structure(converter.unstructure(request), InvoiceRequest) == attrs.evolve(
        request, underpayment_tolerance_max_usd="0.50"
    )
    customer = converter.structure({"external_ref": "c", "reference": "c"}, CustomerRequest)
    assert customer == CustomerRequest(external_ref="c", reference="c")


@pytest.mark.parametrize("amount", [1.5, True, None, ["1"]])
def test_the_amount_of_a_row_is_no_float(amount: Any) -> None:
    """A float, a boolean and null are refused, and the error names every wrong column."""
    with pytest.raises(ClassValidationError) as caught:
        codec.make_converter().structure({**REQUEST, "amount": amount, "token": 1}, InvoiceRequest)
    assert [line.rpartition(" @ ")[2] for line in problems(caught.value)] == ["$.amount", "$.token"]


def test_outcomes_to_rows() -> None:
    """An outcome is plain JSON: the request, and the lossless result or the facts of the error."""
    converter = codec.make_converter()
    request = InvoiceRequest(amount=Decimal("1.50"), token="USDC", chain="eth", reference="order-7")
    done = converter.unstructure(Success(request, from_json(Invoice, INVOICE)))
    assert done["request"].items() >= REQUEST.items()
    assert done["result"] == INVOICE
    error = errors.RateLimitError("slow down", status=429, sent="yes", idempotency_key="key-7")
    failed = converter.unstructure([Failure(request, error), Failure(REQUEST, error)])
    assert failed[1] == {
        "request": REQUEST,
        "error": {
            "type": "RateLimitError",
            "message": "slow down",
            "sent": "yes",
            "status": 429,
            "idempotencyKey": "key-7",
        },
    }
    assert failed[0] == {"request": done["request"], "error": failed[1]["error"]}
    json.dumps([done, failed])


OUTCOME: Any = Outcome[InvoiceRequest, Invoice]  # type: ignore[misc]


def an_error(kind: type[PayChainError]) -> PayChainError:
    """Return an error with every fact that a row has."""
    return kind(
        "what went wrong",
        operation="invoices.create",
        sent="unknown",
        idempotency_key="key-7",
        request_id="req_1",
        status=503,
        code="BUSY",
        attempts=(Attempt(None, "timed out", "unknown", 1.5), Attempt(503, None, "yes", 0.25)),
    )


KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, PayChainError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_from_rows(kind: type[PayChainError]) -> None:
    """An error that JSON has carried has its type, `sent`, key, status and attempts again."""
    converter, error = codec.make_converter(), an_error(kind)
    row = json.loads(json.dumps(converter.unstructure(error)))
    again = converter.structure(row, PayChainError)
    assert type(again) is kind
    assert (again.to_dict(), again.attempts, str(again)) == (row, error.attempts, str(error))
    assert type(converter.structure(row, kind)) is kind
    bare = converter.structure(converter.unstructure(kind("no facts")), PayChainError)
    assert (bare.sent, bare.idempotency_key, bare.attempts) == (kind.sent, None, ())


def test_an_error_of_a_later_version() -> None:
    """An unknown type becomes the root, and keeps its facts; another known type is refused."""
    converter = codec.make_converter()
    row = {"type": "NewError", "message": "m", "sent": "yes", "status": 451, "more": [1]}
    error = converter.structure(row, PayChainError)
    assert (type(error), error.sent, error.to_dict()["status"]) == (PayChainError, "yes", 451)
    with pytest.raises(ValueError, match="should be of type RateLimitError"):
        converter.structure({**row, "type": "NotFoundError"}, errors.RateLimitError)
    for name in ("Any", "Facts", "printable", "__name__"):
        assert type(converter.structure({**row, "type": name}, PayChainError)) is PayChainError


@pytest.mark.parametrize(
    "change",
    [{"sent": "perhaps"}, {"sent": None}, {"message": 1}, {"status": "503"}, {"attempts": [{}]}],
)
def test_an_error_without_its_facts_is_refused(change: dict[str, Any]) -> None:
    """A damaged row is no error about which nothing is known."""
    converter = codec.make_converter()
    row = {**converter.unstructure(an_error(PayChainError)), **change}
    with pytest.raises(BaseValidationError):
        converter.structure(row, PayChainError)
    del row["sent"]
    with pytest.raises(BaseValidationError):
        converter.structure(row, PayChainError)


REQUESTS: list[Any] = [
    InvoiceRequest(amount=Decimal("1.50"), token="USDC", chain="eth", reference="order-7"),
    REQUEST,
    {**REQUEST, "note": "a column more"},
    {"reference": "order-7", "amount": None},
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_outcomes_from_rows(request_: Any) -> None:
    """An outcome of either kind is read back, with its request as it was given."""
    converter = codec.make_converter()
    good: Success[Any, Invoice] = Success(request_, from_json(Invoice, INVOICE))
    bad: Failure[Any] = Failure(request_, an_error(errors.ServerError))
    for outcome in (good, bad):
        row = json.loads(json.dumps(converter.unstructure(outcome)))
        again = converter.structure(row, OUTCOME)
        assert type(again) is type(outcome)
        assert converter.unstructure(again) == row
        assert (again.ok, again.reference) == (outcome.ok, "order-7")
        assert isinstance(again.request, type(request_))
    again = converter.structure(converter.unstructure([good, bad]), list[OUTCOME])
    assert again[0].result == good.result
    assert again[1].error.sent == "unknown"


# --- all problems of a response ---

WRONG = {**INVOICE, "id": None, "amount": {"raw": True}, "expiresAt": 5}
PROBLEMS = (
    "should be a string, but is null @ $.id",
    "is missing @ $.amount.display",
    "should be a string of digits, but is a JSON boolean @ $.amount.raw",
    "should be a time with its zone, but is a JSON number @ $.expiresAt",
)


def test_an_error_has_all_problems() -> None:
    """`problems` has each wrong field with its path; `path` and the message are the first."""
    error = refusal(Invoice, WRONG)
    assert error.problems == PROBLEMS
    assert error.path == "$.id"
    assert error.message.endswith("$.id should be a string, but is null")
    page = refusal(Page[Invoice], {"data": [INVOICE, WRONG, WRONG]})
    assert page.problems == tuple(
        line.replace("$", f"$.data[{index}]") for index in (1, 2) for line in PROBLEMS
    )
    assert refusal(Price, []).problems == ("should be an object, but is a JSON array @ $",)


def test_problems_survive_pickles_and_task_queues() -> None:
    """An error that is pickled, or rebuilt from its args after JSON, has its problems."""
    error = refusal(Invoice, WRONG)
    for copy in (
        pickle.loads(pickle.dumps(error)),
        DecodeError(*error.args),
        DecodeError(*json.loads(json.dumps(error.args))),
    ):
        assert copy.problems == PROBLEMS
        assert copy.args == error.args
    assert PayChainError("text").args == ("text", {"sent": "unknown"})


def test_the_problems_of_a_part_and_of_a_webhook() -> None:
    """With `inside`, paths begin at the whole; a webhook's error has its problems too."""
    with pytest.raises(DecodeError) as part:
        from_json(Invoice, {"invoice": WRONG}, inside="invoice")
    assert part.value.problems == tuple(line.replace("$", "$.invoice") for line in PROBLEMS)
    with pytest.raises(DecodeError) as missing:
        from_json(Invoice, {}, inside="invoice")
    assert missing.value.problems == ("is missing @ $.invoice",)
    with pytest.raises(DecodeError) as webhook:
        decode_webhook(Invoice, json.dumps(WRONG).encode())
    assert webhook.value.problems == PROBLEMS
    assert webhook.value.__context__ is None
