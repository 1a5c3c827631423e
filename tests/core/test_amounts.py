"""Amounts: only plain positive decimals are accepted, and they are sent exactly."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paychainhq import InvalidArgumentError
from tests.support.calls import (
    HUGE,
    LIMITS,
    authorized,
    documented_response,
    refused_fields,
    short,
)
from tests.support.raw_server import RawServer

pytestmark = pytest.mark.usefixtures("face")

SETTINGS = "businesses.update_invoice_settings"

BAD_AMOUNTS = [
    -1,
    0,
    True,
    None,
    HUGE,
    "-1",
    "-0.01",
    "0",
    "0.00",
    "",
    "abc",
    "NaN",
    "inf",
    "1_0",
    " 1 ",
    "1\n",
    "+1",
    ".5",
    "1.",
    "1e3",
    "1,5",
    "0x10",
    "\u0661\u0665\u0660",  # Arabic digits
    "\uff11\uff15\uff10",  # full-width digits
    "1" * 81,
    b"150",
    ["150"],
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal(-1),
    Decimal(0),
    Decimal("1E+999999999"),
    Decimal("1E-999999999"),
]
each_bad_amount = pytest.mark.parametrize("amount", BAD_AMOUNTS, ids=short)


@each_bad_amount
async def test_bad_amount(amount: Any) -> None:
    """Anything but a positive decimal in plain digits is refused, for invoices and quotes."""
    await refused_fields("invoices.create", {"amount": amount}, "amount")
    await refused_fields("withdrawals.quote", {"amount": amount}, "amount")


@pytest.mark.parametrize("amount", [150.0, 0.1, float("nan"), float("inf")])
async def test_float_amount(amount: Any) -> None:
    """A float is refused for every amount, and the error names the alternative."""
    for name, fields, argument in [
        ("invoices.create", {"amount": amount}, "amount"),
        ("withdrawals.quote", {"amount": amount}, "amount"),
        (
            "invoices.create",
            {"underpayment_tolerance_max_usd": amount},
            "underpayment_tolerance_max_usd",
        ),
        (
            SETTINGS,
            {"invoice_underpayment_tolerance_max_usd": amount},
            "invoice_underpayment_tolerance_max_usd",
        ),
        (
            "api_keys.create_payout",
            {"limits": [{**LIMITS[0], "daily_amount": amount}]},
            "limits[0].daily_amount",
        ),
    ]:
        error = await refused_fields(name, fields, argument)
        assert "pass a str, an int or a Decimal" in str(error)


@pytest.mark.parametrize(
    ("amount", "sent"),
    [
        ("150.00", "150.00"),
        ("0.000000000000000001", "0.000000000000000001"),
        (150, "150"),
        (Decimal("150.00"), "150.00"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("0.50"), "0.50"),
    ],
)
async def test_an_amount_is_sent_as_given(amount: str | int | Decimal, sent: str) -> None:
    """An amount keeps its zeros, and has no exponent."""
    async with (
        RawServer(documented_response("invoices.create")) as server,
        authorized(server) as pay,
    ):
        await pay.invoices.create(amount, "USDC", "eth")
    assert server.requests[0].json["amount"] == sent


@settings(max_examples=150, deadline=None)
@given(
    st.decimals()
    | st.integers()
    | st.decimals(allow_nan=False, min_value=0, places=6)
    | st.text("0123456789.-+eE_ \u0663", max_size=8)
)
@example(Decimal("1E+3"))
@example(Decimal("0E-12"))
@example("007.50")
async def test_any_amount(amount: Decimal | int | str) -> None:
    """Every accepted amount is sent as the same number in plain digits; text stays unchanged."""
    async with (
        RawServer(documented_response("invoices.create")) as server,
        authorized(server) as pay,
    ):
        try:
            await pay.invoices.create(amount, "USDC", "eth")
        except InvalidArgumentError:
            assert server.requests == []
            return
    sent = server.requests[0].json["amount"]
    assert re.fullmatch(r"[0-9]+(\.[0-9]+)?", sent)
    assert Decimal(sent) == Decimal(amount) > 0
    if isinstance(amount, str):
        assert sent == amount
