"""Results as values: immutable, compared by fields, picklable, with aware times and open enums."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta

import attrs
import pytest

from paychainhq import models
from paychainhq.codec import from_json, to_json
from tests.support.json_tools import (
    Path,
    decoded,
    each_sample,
    models_in,
    public_fields,
    refusal,
    replaced,
    with_unknown_fields,
)
from tests.support.samples import BY_NAME, Sample


@each_sample
def test_models_are_immutable_and_slotted(sample: Sample) -> None:
    """No field of a result can be set, and no attribute added."""
    for model in models_in(from_json(sample.type, sample.response)):
        assert not hasattr(model, "__dict__")
        for name in public_fields(model):
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(model, name, None)


@each_sample
def test_models_are_compared_by_their_fields(sample: Sample) -> None:
    """Two decodings of one response are equal, and unequal once a known field differs."""
    data = with_unknown_fields(sample.response)
    one, other = from_json(sample.type, sample.response), from_json(sample.type, data)
    if (
        sample.operation != "contract_integrations.list"
    ):  # their inputs and outputs are free-form, and so fields themselves
        assert one == other
        assert hash(one) == hash(other)
    for model in models_in(one):
        for name in public_fields(model):
            if getattr(model, name) is not None:
                assert attrs.evolve(model, **{name: None}) != model


def test_a_model_with_a_free_form_field_has_a_hash() -> None:
    """A mapping takes no part in the hash of its model; equality still compares it."""
    invoice = decoded("invoices.get")
    assert hash(invoice) == hash(decoded("invoices.get"))
    one, other = (attrs.evolve(invoice, metadata={"order": n}) for n in (1, 2))
    assert one != other
    assert hash(one) == hash(other)


@each_sample
def test_results_survive_pickling(sample: Sample) -> None:
    """Unpickled results are equal and lossless; only the secret of a new key is left out."""
    model = from_json(sample.type, sample.response)
    back = pickle.loads(pickle.dumps(model))
    if isinstance(model, models.CreatedApiKey):
        assert back.api_key == "***"
        assert attrs.evolve(back, api_key=model.api_key) == model
    else:
        assert back == model
        assert to_json(back) == sample.response


@each_sample
def test_all_times_are_aware(sample: Sample) -> None:
    """Every time in a result has its zone."""
    for model in models_in(from_json(sample.type, sample.response)):
        for name in public_fields(model):
            value = getattr(model, name)
            assert isinstance(value, datetime) == (
                value is not None and name.endswith(("_at", "_start", "_end", "start", "end"))
            )
            if isinstance(value, datetime):
                assert value.utcoffset() == timedelta(0)


def test_a_time_without_its_zone_is_refused() -> None:
    """A naive time is refused."""
    data = BY_NAME["businesses.get"].response
    assert (
        refusal(models.Business, {**data, "createdAt": "2026-03-10T11:00:00.000"}).path
        == "$.createdAt"
    )


UNKNOWN_WORDS = [
    ("invoices.get", ("status",)),
    ("invoices.get", ("amount", "chain")),
    ("invoices.get_public", ("state",)),
    ("api_keys.list", (1, "kind")),
    ("api_keys.list", (1, "payoutPolicy", "destinationPolicy")),
    ("customers.get", ("addresses", 0, "chainFamily")),
    ("billing.profile", ("policy", "billingMode")),
    ("billing.plans", ("plans", 0, "code")),
    ("billing.invoices", ("data", 0, "status")),
    ("billing.pay_invoice", ("status",)),
]


@pytest.mark.parametrize(("name", "path"), UNKNOWN_WORDS)
def test_unknown_words_of_an_enum_are_kept(name: str, path: Path) -> None:
    """A status, chain or kind that is newer than this package stays plain text."""
    data = replaced(BY_NAME[name].response, path, "brand_new")
    model = from_json(BY_NAME[name].type, data)
    assert to_json(model) == data
    # the repr of a page or a listing does not show its items
    assert "'brand_new'" in repr(getattr(model, "items", model))


def test_known_words_of_an_enum_are_its_members() -> None:
    """A known word is the enum's member, and still equal to its text."""
    assert decoded("invoices.get").status is models.InvoiceStatus.PAID
    assert decoded("invoices.get").amount.chain is models.Chain.ETH
    assert [key.kind for key in decoded("api_keys.list")] == [
        models.KeyKind.STANDARD,
        models.KeyKind.PAYOUT,
    ]
    assert decoded("billing.plans")[0].code is models.PlanCode.FREE
    assert decoded("invoices.get").status == "paid"
