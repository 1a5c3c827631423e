"""Valid JSON of any form: numbers are exact, and one odd value stops no page, webhook or error."""

from __future__ import annotations

import json
import logging
import pickle
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paychainhq import (
    ConflictError,
    DecodeError,
    IdempotencyInProgressError,
    PayChainError,
    webhooks,
)
from paychainhq.codec import NotJSONError, from_json, parse, to_json
from paychainhq.ledger import SQLiteLedger
from paychainhq.models import Amount, Invoice
from tests.support.client import INVOICE, client, error_body, invoice
from tests.support.json_tools import refusal, replaced
from tests.support.often import often
from tests.support.raw_server import RawServer, http_response
from tests.support.samples import BY_NAME

BIG = 10**20 + 7
HALF = "\ud83d"
BOM = b"\xef\xbb\xbf"
LONGEST = 4300  # digits that Python reads and prints


# --- decimals with an exponent ---


@pytest.mark.parametrize(
    ("display", "exact"),
    [
        ("1e-7", "0.0000001"),
        ("1.5e-7", "0.00000015"),
        ("1E+3", "1000"),
        ("-2e3", "-2000"),
        ("1.50e1", "15.0"),
        ("1e199", "1" + "0" * 199),
        ("0e-18", "0.000000000000000000"),
    ],
)
def test_decimal_with_an_exponent(display: str, exact: str) -> None:
    """An amount in JavaScript's exponent form is an exact decimal, and is written unchanged."""
    amount = from_json(Amount, {"display": display})
    assert format(amount.display, "f") == exact
    assert amount.display == Decimal(exact)
    assert to_json(amount) == {"display": display}


@pytest.mark.parametrize(
    "display",
    ["1e200", "1e-200", "1e999", "1e9999999999", "-1e-999", "1e", "e3", "1e1.5", "1e 3", "1_0e1"],
)
def test_decimal_with_an_excessive_exponent(display: str) -> None:
    """An exponent that is malformed, or needs hundreds of digits, is refused with its path."""
    assert refusal(Amount, {"display": display}).path == "$.display"


def test_json_number_with_an_excessive_exponent() -> None:
    """The quote's JSON numbers have the same bound."""
    sample = BY_NAME["withdrawals.quote"]
    path = ("options", 0, "payoutUSD")
    quote: Any = from_json(sample.type, replaced(sample.response, path, 1e-7))
    assert quote.options[0].payout_usd == Decimal("0.0000001")
    assert (
        refusal(sample.type, replaced(sample.response, path, 1e300)).path
        == "$.options[0].payoutUSD"
    )


# --- texts and bodies that one of the parsers refuses ---

ODD = [
    {"description": f"half an emoji {HALF}"},
    {"description": f"\udca9{HALF}", "metadata": {HALF: [HALF]}},
    {"unknown": {"deep": [{"text": "\udfff"}]}},
    {"metadata": {"order": BIG, "lower": -BIG, "edge": 2**64, "list": [BIG, [BIG]]}},
    {"unknown": BIG, "metadata": {"wei": str(BIG), "n": 2**63}},
    {"metadata": {"deep": json.loads("[" * 300 + "]" * 300)}},
]


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize("before", [b"", BOM, b" \n"], ids=["plain", "BOM", "space"])
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: ascii(odd)[:40])
async def test_odd_value_in_a_response(odd: dict[str, Any], before: bytes) -> None:
    """An invoice with an odd value is decoded, alone and in a page, losslessly and printably."""
    data = {**INVOICE, **odd}
    page = {**BY_NAME["invoices.list"].response, "data": [INVOICE, data]}
    async with (
        RawServer(
            http_response(before + json.dumps(data).encode()),
            http_response(before + json.dumps(page).encode()),
        ) as server,
        client(server.url) as pay,
    ):
        created = await invoice(pay)
        _, listed = (await pay.invoices.list()).items
    for found in (created, listed):
        assert to_json(found) == data
        assert _types(to_json(found)) == _types(data)
        assert to_json(pickle.loads(pickle.dumps(found))) == data
        repr(found).encode()


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize("before", [b"", BOM], ids=["plain", "BOM"])
@pytest.mark.parametrize("odd", [HALF, BIG, {HALF: BIG}, [10**40]], ids=ascii)
async def test_odd_value_in_an_error(
    odd: Any, before: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """An error with an odd value keeps code and details, and can be printed and pickled."""
    caplog.set_level(logging.DEBUG)
    body = (
        before
        + json.dumps(
            error_body("IDEMPOTENCY_REQUEST_IN_PROGRESS", f"used by {HALF}", details=odd)
        ).encode()
    )
    async with RawServer(http_response(body, 409)) as server, client(server.url, retry=None) as pay:
        with pytest.raises(IdempotencyInProgressError) as caught:
            await invoice(pay)
    assert caught.value.details == odd
    assert caught.value.message == f"used by {HALF}"
    assert pickle.loads(pickle.dumps(caught.value)).message == f"used by {HALF}"
    for text in (str(caught.value), repr(caught.value), caplog.text):
        text.encode()


@pytest.mark.usefixtures("face")
async def test_key_in_progress_beside_an_odd_value() -> None:
    """A 409 for a key in progress is retried, whatever its details are."""
    busy = http_response(
        json.dumps(error_body("IDEMPOTENCY_REQUEST_IN_PROGRESS", details=HALF)).encode(), 409
    )
    async with RawServer(busy, http_response(INVOICE)) as server, client(server.url) as pay:
        created = await invoice(pay)
    assert [attempt.status for attempt in created.response.attempts] == [409, 200]


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize(
    "number", [b"1e400", b"-1e999999", b"9" * (LONGEST + 1), b"1" + b"0" * 400]
)
async def test_number_without_bounds(number: bytes) -> None:
    """A number beyond Python's float and int hides neither an invoice nor an error's code."""
    created = json.dumps(INVOICE).encode()[:-1] + b', "unknown": ' + number + b"}"
    refused = json.dumps(error_body("CONFLICT"))[:-1].encode() + b', "unknown": ' + number + b"}"
    async with (
        RawServer(http_response(created), http_response(refused, 409)) as server,
        client(server.url, retry=None) as pay,
    ):
        first = await invoice(pay)
        with pytest.raises(ConflictError) as caught:
            await invoice(pay)
    assert first.id == INVOICE["id"]
    assert isinstance(first.extra["unknown"], (int, float))
    assert caught.value.code == "CONFLICT"
    repr(first)


@pytest.mark.usefixtures("face")
async def test_odd_value_in_a_ledger(tmp_path: Any) -> None:
    """A ledger stores such a response, and returns it."""
    data = {**INVOICE, "description": HALF, "metadata": {"order": BIG}}
    ledger = SQLiteLedger(tmp_path / "jobs.db")
    async with (
        RawServer(http_response(BOM + json.dumps(data).encode())) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        first = await invoice(pay, idempotency_key="order-7")
        again = await invoice(pay, idempotency_key="order-7")
    assert len(server.requests) == 1
    assert to_json(first) == to_json(again) == data
    ledger.close()


def test_odd_value_in_a_webhook() -> None:
    """A webhook with such values is decoded, losslessly."""
    data = {
        "invoiceId": "inv_1",
        "amount": {"display": "1e-7", "raw": "1"},
        "note": HALF,
        "order": BIG,
    }
    event = {
        "id": "evt_1",
        "event": "invoice.paid",
        "data": data,
        "timestamp": "2026-03-15T12:00:00Z",
    }
    for body in (json.dumps(event).encode(), BOM + json.dumps(event).encode()):
        parsed = webhooks.parse(body, webhooks.sign(body, secret="whsec_1"), secrets="whsec_1")
        assert to_json(parsed) == event
        assert parsed.data.extra == {"note": HALF, "order": BIG}
        assert parsed.data.amount is not None
        assert parsed.data.amount.display == Decimal("0.0000001")


@pytest.mark.usefixtures("face")
async def test_big_integer_in_a_refused_response() -> None:
    """The data of a `DecodeError` holds exact integers."""
    data = {**INVOICE, "amount": {"display": {}}, "metadata": {"order": BIG}}
    async with RawServer(http_response(data)) as server, client(server.url) as pay:
        with pytest.raises(DecodeError) as caught:
            await invoice(pay)
    assert caught.value.data == data
    assert type(caught.value.data["metadata"]["order"]) is int


# --- parser ---

numbers = (
    st.integers()
    | st.integers(min_value=2**60).map(lambda n: n * n)
    | st.integers(max_value=-(2**60))
    | st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.text(st.characters(), max_size=6) | st.integers(min_value=10**17).map(str)
values = st.recursive(
    numbers | texts | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=often(500), deadline=None)
@given(values, st.sampled_from([None, 1, "\t"]), st.booleans(), st.booleans())
def test_any_json_is_parsed_exactly(
    value: Any, indent: Any, ascii_only: bool, compact: bool
) -> None:
    """Any JSON, in any spacing and escaping, is parsed into the exact values and types."""
    separators = (",", ":") if compact else (" , ", " : ")
    written = json.dumps(
        value, indent=indent, ensure_ascii=ascii_only, separators=separators
    ).encode(errors="surrogatepass")
    parsed = parse(written)
    assert parsed == value
    assert _types(parsed) == _types(value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"NaN",
        b"[Infinity]",
        b"{'a': 1}",
        b"[1,]",
        b'"\t"',
        b"\xff",
        b"[" * 100_000,
        b"01",
        BOM,
    ],
)
def test_no_json(body: bytes) -> None:
    """Invalid or excessively nested JSON is refused, and no chained exception holds the body."""
    for exact in (False, True):
        with pytest.raises(NotJSONError) as caught:
            parse(body, exact=exact)
        assert caught.value.__context__ is None


def test_an_internal_error_is_no_fault_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `ValueError` from outside the parser is not taken for a response that is no JSON."""

    def slip(*_: object) -> None:
        raise ValueError("a slip")

    from paychainhq import codec
    from paychainhq._http import responses
    from paychainhq._http.messages import Request, Response
    from paychainhq.operations import INVOICES_GET

    monkeypatch.setattr(codec, "from_json", slip)
    request = Request(
        operation=INVOICES_GET,
        path="/",
        headers={},
        body=None,
        idempotency_key=None,
        deadline=0.0,
        retry=None,
    )
    with pytest.raises(ValueError, match="a slip") as caught:
        responses.result(INVOICES_GET, request, Response(200, {}, b"{}"))
    assert not isinstance(caught.value, PayChainError)
    with pytest.raises(ValueError, match="a slip"):
        codec.decode_webhook(Invoice, b"{}")


def test_longest_integer() -> None:
    """Numbers of as many digits as Python prints are read exactly."""
    assert sys.get_int_max_str_digits() == LONGEST
    assert parse(b'{"n": ' + b"7" * LONGEST + b"}") == {"n": int("7" * LONGEST)}


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _types(item) for name, item in value.items()}
    return [_types(item) for item in value] if isinstance(value, list) else type(value)
