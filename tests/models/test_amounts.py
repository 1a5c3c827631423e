"""Amounts: text, formats, order and exact sums of one token."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paychainhq import InvalidArgumentError
from paychainhq.codec import from_json, to_json
from paychainhq.models import Amount
from tests.support.json_tools import decoded


def usdc(display: str, **fields: Any) -> Amount:
    return Amount(display=Decimal(display), symbol="USDC", **fields)


@pytest.mark.parametrize(
    ("amount", "spec", "text"),
    [
        (usdc("1.50"), "", "1.50 USDC"),
        (usdc("0.000000000000"), "", "0.000000000000 USDC"),
        (usdc("1E-7"), "", "0.0000001 USDC"),
        (usdc("1234567.891"), ",.2f", "1,234,567.89 USDC"),
        (usdc("1.5"), ">8", "     1.5 USDC"),
        (Amount(display=Decimal("1.50")), "", "1.50"),
    ],
)
def test_text(amount: Amount, spec: str, text: str) -> None:
    """`str`, `format` and f-strings show the display amount in full, and the token."""
    assert format(amount, spec) == text
    assert f"{amount:{spec}}" == text
    assert str(amount) == format(amount)


def test_order() -> None:
    """Amounts of one token are compared by value."""
    small, equal, large = usdc("1.5"), usdc("1.50", chain="eth"), usdc("10")
    assert small < large > equal >= small <= equal
    assert [small < equal, small > equal, large <= small, small >= large] == [False] * 4
    assert sorted([large, small]) == [small, large]
    assert max(small, large) is large


DECIMALS = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=0, max_value=10**30, places=30
)


@given(st.lists(DECIMALS, min_size=1, max_size=5))
def test_sums_are_exact(values: list[Decimal]) -> None:
    """A sum has all digits, also if the thread's decimal context has few."""
    amounts = [usdc(str(value)) for value in values]
    with decimal.localcontext(prec=3):
        total = sum(amounts)
    assert isinstance(total, Amount)
    with decimal.localcontext(prec=200):
        assert total.display == sum(values)
    assert total.symbol == "USDC"
    assert from_json(Amount, to_json(total)) == total


def test_a_sum_keeps_what_both_agree_on() -> None:
    """Raw amounts are added in one unit; a chain or network of only one part is left out."""
    invoice = decoded("invoices.get").amount
    double = invoice + invoice
    assert (double.raw, double.decimals) == (2 * invoice.raw, invoice.decimals)
    assert (double.chain, double.network_id) == (invoice.chain, invoice.network_id)
    one = usdc("1", raw=10**6, decimals=6, chain="eth", network_id="base-mainnet")
    other = usdc("2", raw=2 * 10**18, decimals=18, chain="eth", network_id="bsc-mainnet")
    assert one + other == usdc("3", chain="eth")
    assert (one + usdc("1")).raw is None
    assert (usdc("1", raw=1) + usdc("1", raw=1)).raw is None


@pytest.mark.parametrize("symbol", ["USDT", "usdc", None])
def test_different_tokens(symbol: str | None) -> None:
    """An amount of another token, or of an unknown one, is refused with a `ValueError`."""
    one, other = usdc("1"), Amount(display=Decimal(1), symbol=symbol)
    for calculate in (
        lambda: one + other,
        lambda: other + one,
        lambda: one < other,
        lambda: one >= other,
        lambda: sum([other, one]),
        lambda: Amount(display=Decimal(1)) > Amount(display=Decimal(2)),
    ):
        with pytest.raises(ValueError, match="not of one known token") as caught:
            calculate()
        assert isinstance(caught.value, InvalidArgumentError)
        assert caught.value.argument == "symbol"


@pytest.mark.parametrize("other", [1, "1", Decimal(1), None])
def test_other_types(other: Any) -> None:
    """A number has no token: Python's own `TypeError`."""
    calculations: tuple[Callable[[], object], ...] = (
        lambda: usdc("1") + other,
        lambda: other + usdc("1"),
        lambda: usdc("1") < other,
        lambda: usdc("1") <= other,
        lambda: usdc("1") > other,
        lambda: usdc("1") >= other,
    )
    for calculate in calculations:
        with pytest.raises(TypeError):
            calculate()
