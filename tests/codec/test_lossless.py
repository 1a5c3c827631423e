"""Lossless decoding: a changed copy writes its change, and nothing else."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from paychainhq import models
from paychainhq.codec import decode, from_json, to_json
from paychainhq.errors import DecodeError
from paychainhq.operations import OPERATIONS
from tests.support.json_tools import (
    UNKNOWN,
    decoded,
    each_sample,
    first_spelling,
    keys_in,
    model_or_error,
    models_in,
    public_fields,
    refusal,
    replaced,
    with_unknown_fields,
    without,
    written,
)
from tests.support.often import often
from tests.support.samples import BY_NAME, DOCUMENTED, SAMPLES, Sample


def test_samples_cover_all_documented_operations() -> None:
    """Each of the 30 documented operations has a sample, and so do five of the six others."""
    assert len({sample.operation for sample in DOCUMENTED}) == 30
    assert set(OPERATIONS) - set(BY_NAME) == {"businesses.update_invoice_settings"}


@each_sample
def test_a_documented_response_is_reproduced(sample: Sample) -> None:
    """Decoding and encoding a documented response gives the same JSON."""
    before = copy.deepcopy(sample.response)
    assert to_json(from_json(sample.type, sample.response)) == before
    assert sample.response == before


@each_sample
def test_the_bytes_of_a_response_decode_to_the_same(sample: Sample) -> None:
    """Decoding the body of a response gives the same as decoding its parsed JSON."""
    model = decode(sample.type, json.dumps(sample.response).encode())
    assert model == from_json(sample.type, sample.response)
    assert to_json(model) == sample.response


@each_sample
def test_each_documented_field_is_modelled(sample: Sample) -> None:
    """No field of a documented response is unknown to its model, at any level."""
    found = list(models_in(from_json(sample.type, sample.response)))
    assert found
    assert [model.extra for model in found] == [{}] * len(found)


@each_sample
def test_unknown_fields_are_kept_at_every_level(sample: Sample) -> None:
    """Unknown fields are encoded again, and are in `extra`."""
    data = with_unknown_fields(sample.response)
    model = from_json(sample.type, data)
    assert to_json(model) == data
    assert all(part.extra == UNKNOWN for part in models_in(model) if isinstance(part._source, dict))


@each_sample
def test_each_optional_field_may_be_missing(sample: Sample) -> None:
    """Without any one field a response is reproduced, or refused because of that field."""
    accepted = 0
    for path in keys_in(sample.response):
        data = without(sample.response, path)
        model = model_or_error(sample.type, data)
        if isinstance(model, DecodeError):
            assert model.path == written(first_spelling(path))
        else:
            accepted += 1
            assert to_json(model) == data
    assert accepted or sample.operation in {"api_keys.revoke", "invoices.cancel"}


@each_sample
def test_each_optional_field_may_be_null(sample: Sample) -> None:
    """Null is kept apart from missing; only a raw amount and its decimals may not be null."""
    for path in keys_in(sample.response):
        data = replaced(sample.response, path, None)
        model = model_or_error(sample.type, data)
        if isinstance(model, DecodeError):
            assert model.path == written(path)
            if path[-1] not in ("raw", "decimals"):
                assert refusal(sample.type, without(sample.response, path)).path == written(
                    first_spelling(path)
                )
        else:
            assert to_json(model) == data


def test_missing_is_not_null() -> None:
    """Plans with null and without the field are equal as values, and differ as JSON."""
    missing = {"code": "FREE", "name": "Free", "monthlyBaseFeeUsd": "0", "invoiceFeeRate": "0"}
    null = {**missing, "annualBaseFeeUsd": None}
    assert from_json(models.Plan, null) == from_json(models.Plan, missing)
    assert to_json(from_json(models.Plan, null)) == null
    assert to_json(from_json(models.Plan, missing)) == missing


def test_both_spellings_of_a_field_are_kept() -> None:
    """A response with both spellings of a field keeps both; the first non-null one counts."""
    data = {"id": "b", "status": "open", "amountUSD": "1.50", "amountUsd": "1.5"}
    assert to_json(from_json(models.BillingInvoice, data)) == data
    both = {"destinations": None, "allowedDestinations": [{"chain": "sol", "address": "8g"}]}
    policy = from_json(models.KeyPolicy, both)
    assert policy.destinations == (models.Destination(chain="sol", address="8g"),)
    assert to_json(policy) == both


def test_a_bare_array_stays_an_array() -> None:
    """A list without an envelope stays one, also when its items have been changed."""
    keys = decoded("api_keys.list")
    assert [key.id for key in keys] == ["key_123", "key_payout_123"]
    assert [key["id"] for key in to_json(attrs.evolve(keys, items=keys[1:]))] == ["key_payout_123"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
any_sample = st.sampled_from(SAMPLES)
quickly = settings(max_examples=often(400))


@quickly
@given(any_sample, json_values)
def test_any_json_is_decoded_or_refused(sample: Sample, data: Any) -> None:
    """The only error for any JSON of the server is a DecodeError that has it."""
    model = model_or_error(sample.type, data)
    if isinstance(model, DecodeError):
        assert model.data == data
    else:
        assert to_json(model) == data


@quickly
@given(any_sample, st.data())
def test_any_json_in_place_of_a_field_is_kept_or_refused(
    sample: Sample, draw: st.DataObject
) -> None:
    """With any JSON in a field the response is reproduced, or a DecodeError at or below it."""
    path = draw.draw(st.sampled_from(keys_in(sample.response)))
    data = replaced(sample.response, path, draw.draw(json_values))
    model = model_or_error(sample.type, data)
    if isinstance(model, DecodeError):
        assert model.path is not None
        assert model.path.startswith(written(path))
    else:
        assert to_json(model) == data


@each_sample
def test_a_changed_copy_writes_its_change_and_keeps_the_rest(sample: Sample) -> None:
    """Setting any one field to None writes null there, and keeps known and unknown fields."""
    data = with_unknown_fields(sample.response)
    for model in models_in(from_json(sample.type, data)):
        if not isinstance(model._source, dict):
            continue
        for name in public_fields(model):
            if getattr(model, name) is None:
                continue
            result = to_json(attrs.evolve(model, **{name: None}))
            differing = [key for key, value in model._source.items() if result[key] != value]
            assert result.keys() == model._source.keys()
            assert [result[key] for key in differing] == [None]


def test_each_kind_of_field_is_written_in_the_form_of_the_api() -> None:
    """Changed amounts, raw amounts, times, enums and nested models have the API's form."""
    invoice = decoded("invoices.create")
    expiry = datetime(2026, 5, 1, 12, tzinfo=UTC)
    amount = attrs.evolve(invoice.amount, raw=1_500_000, display=Decimal("1.50"))
    copy_ = attrs.evolve(
        invoice,
        amount=amount,
        expires_at=expiry,
        status=models.InvoiceStatus.PAID,
        business_id="biz_9",
    )
    expected = copy.deepcopy(BY_NAME["invoices.create"].response)
    expected["amount"] |= {"raw": "1500000", "display": "1.50"}
    expected |= {"expiresAt": "2026-05-01T12:00:00.000Z", "status": "paid", "businessId": "biz_9"}
    assert to_json(copy_) == expected
    assert type(to_json(copy_)["status"]) is str
    assert from_json(models.Invoice, to_json(copy_)) == copy_


def test_a_missing_field_is_added() -> None:
    """A changed copy writes a field that the response did not have."""
    data = BY_NAME["tokens.list"].response["data"][0]
    token = from_json(models.Token, data)
    assert to_json(attrs.evolve(token, contract_address="0x1")) == {
        **data,
        "contractAddress": "0x1",
    }


def test_a_model_made_by_hand_is_written_in_full() -> None:
    """A model made without a response writes its own fields, and decodes to itself."""
    amount = models.Amount(display=Decimal("1.50"), raw=1_500_000, decimals=6)
    data = to_json(models.Invoice(id="inv_1", status="pending", amount=amount))
    assert data == {
        "id": "inv_1",
        "status": "pending",
        "amount": {"display": "1.50", "raw": "1500000", "decimals": 6},
    }
    assert from_json(models.Invoice, data).amount == amount
    assert to_json(models.InvoiceSettings()) == {}
