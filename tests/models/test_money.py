"""Money: exact, and never cast."""

from __future__ import annotations

import json
import pickle
from decimal import Decimal
from typing import Any

import attrs
import pytest

from paychainhq import models
from paychainhq.codec import decode, from_json, to_json
from paychainhq.errors import DecodeError
from tests.support.json_tools import (
    Path,
    decoded,
    refusal,
    replaced,
    written,
)
from tests.support.samples import BY_NAME

WRONG_AMOUNTS: dict[str, list[Any]] = {
    "raw": [1.9, True, None, {}, [], "1.9", "", "abc", " 1", "1_0", "\u0661"],
    "decimals": [1.9, True, None, "6", {}, 6.0],
    "display": [
        150,
        1.5,
        True,
        None,
        {},
        [],
        "",
        "1e400",
        "1e",
        "NaN",
        "Infinity",
        " 1 ",
        "1_0",
        "+1",
        "1.",
        ".5",
        "\u0661",
        "1\n",
    ],
    "symbol": [1, True, {}],
    "networkId": [1, ["base-mainnet"]],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in WRONG_AMOUNTS.items() for value in values],
)
def test_a_wrong_type_in_an_amount_is_refused_by_its_path(field: str, value: Any) -> None:
    """An amount is never cast: the error names the field and has the response."""
    data = replaced(BY_NAME["invoices.create"].response, ("amount", field), value)
    error = refusal(models.Invoice, data)
    assert error.path == f"$.amount.{field}"
    assert f"$.amount.{field}" in str(error)
    assert error.data == data
    assert error.sent == "yes"


WRONG_MONEY = [
    ("balances.list", ("data", 0, "available"), 149.75),
    ("balances.list", ("data", 0, "withdrawable"), "lots"),
    ("billing.invoices", ("data", 0, "amountUSD"), 245.2),
    ("billing.plans", ("plans", 1, "monthlyBaseFeeUsd"), True),
    ("billing.change_subscription", ("invoice", "amountUsd"), {}),
    ("billing.change_subscription", ("paymentInstructions", "expectedAmountRaw"), "1.5"),
    ("invoices.get", ("toleranceRaw",), False),
    ("invoices.get", ("toleranceShortfall", "raw"), 0.25),
    ("invoices.get_public", ("paymentProgress", "percentPaid"), "99.83%"),
    ("api_keys.list", (1, "payoutPolicy", "limits", 0, "maxAmount"), 1000),
    ("prices.list", ("data", 0, "usd"), 1),
    ("withdrawals.quote", ("requestedAmountUSD",), True),
    ("withdrawals.quote", ("options", 0, "payoutUSD"), "five"),
    ("withdrawals.quote", ("options", 0, "sweepCount"), 1.5),
]


@pytest.mark.parametrize(("name", "path", "value"), WRONG_MONEY)
def test_a_wrong_type_in_any_money_field_is_refused_by_its_path(
    name: str, path: Path, value: Any
) -> None:
    """Money of every domain is strict, in lists too."""
    data = replaced(BY_NAME[name].response, path, value)
    assert refusal(BY_NAME[name].type, data).path == written(path)


def test_amounts_are_exact() -> None:
    """Decimal strings become decimals with all their places, and raw amounts integers."""
    invoice = decoded("invoices.get")
    assert (invoice.amount.raw, str(invoice.paid_amount.display), invoice.tolerance_raw) == (
        150_000_000,
        "149.75",
        500_000,
    )
    assert str(decoded("prices.get").usd) == "1.000000000000000000"
    assert (
        decoded("billing.change_subscription").payment_instructions.expected_amount_raw
        == 1_069_200_000
    )


def test_the_amount_may_be_a_plain_string() -> None:
    """An amount that is a string becomes `display`, and is encoded as a string, also if changed."""
    data = {
        "id": "inv_46a1a472",
        "businessId": "biz_123",
        "customerId": "cus_9f7d7c42",
        "amount": "10",
        "token": "USDC",
    }
    data |= {"status": "pending", "chain": "eth", "networkId": "base-sepolia"}
    invoice = from_json(models.Invoice, data)
    assert invoice.amount == models.Amount(display=Decimal(10))
    assert to_json(invoice) == data
    assert pickle.loads(pickle.dumps(invoice)) == invoice
    more = attrs.evolve(invoice, amount=attrs.evolve(invoice.amount, display=Decimal("10.5")))
    assert to_json(more) == {**data, "amount": "10.5"}
    fuller = attrs.evolve(invoice, amount=attrs.evolve(invoice.amount, symbol="USDC"))
    assert to_json(fuller) == {**data, "amount": {"display": "10", "symbol": "USDC"}}
    assert refusal(models.Invoice, {**data, "amount": "ten"}).path == "$.amount"


def test_money_in_json_numbers_keeps_its_digits() -> None:
    """A quote's numbers are decimals with all digits of the response; changes stay numbers."""
    body = (
        json.dumps(BY_NAME["withdrawals.quote"].response)
        .replace("760.5", "760.50")
        .replace("2.34", "0.1000000000000000055511")
    )
    quote = decode(models.WithdrawalQuote, body.encode())
    assert str(quote.total_available_usd) == "760.50"
    assert str(quote.options[0].total_cost_usd) == "0.1000000000000000055511"
    assert quote.requested_amount_usd == 500
    changed_quote = attrs.evolve(quote, requested_amount_usd=Decimal("12.5"))
    assert to_json(changed_quote) == {**json.loads(body), "requestedAmountUSD": 12.5}
    assert from_json(models.WithdrawalQuote, to_json(changed_quote)) == changed_quote


@pytest.mark.parametrize(
    "text", ["1e999999999999999999", "-1e-99999999999999999999", "0." + "1" * 199]
)
def test_excessive_numbers_are_refused(text: str) -> None:
    """A number beyond any amount is refused before it can fill the memory."""
    body = json.dumps(BY_NAME["withdrawals.quote"].response).replace("760.5", text)
    with pytest.raises(DecodeError) as caught:
        decode(models.WithdrawalQuote, body.encode())
    assert caught.value.path == "$.totalAvailableUSD"
