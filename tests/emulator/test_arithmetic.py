"""Amounts and lifecycles against simple models: exact for any number and event order."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paychainhq.emulator import lifecycle, money
from paychainhq.emulator.state import State, Value, iso
from tests.support.often import often

raws = st.integers(min_value=1, max_value=10**40)
decimal_places = st.sampled_from([0, 6, 8, 9, 18])


@given(raw=raws, decimals=decimal_places)
def test_an_amount_survives_being_written(raw: int, decimals: int) -> None:
    """Conversion to display and back is exact."""
    written = money.display(raw, decimals)
    assert money.to_raw(written, decimals) == raw
    assert Fraction(written) == Fraction(raw, 10**decimals)
    assert "." not in written or not written.endswith(("0", "."))


@given(amount=st.decimals(min_value=0, max_value=10**12, places=9), decimals=decimal_places)
def test_an_amount_is_exact_or_refused(amount: Decimal, decimals: int) -> None:
    """Every digit counts, or the amount is refused because the token has fewer decimal places."""
    exact = Fraction(amount) * 10**decimals
    if exact.denominator == 1:
        assert money.to_raw(format(amount, "f"), decimals) == exact
    else:
        with pytest.raises(ValueError, match="decimal places"):
            money.to_raw(format(amount, "f"), decimals)


@given(
    raw=raws,
    decimals=decimal_places,
    bps=st.integers(0, 10_000),
    cap=st.decimals(0, 1000, places=2),
    price=st.sampled_from(["1.000000000000000000", "3200.5", "0.000000000001"]),
)
def test_tolerance_is_never_too_large(
    raw: int, decimals: int, bps: int, cap: Decimal, price: str
) -> None:
    """The tolerance is the largest whole number within both the share and the cap."""
    tolerance = money.tolerance_raw(raw, decimals, bps, str(cap), price)
    share = Fraction(raw * bps, 10_000)
    value = Fraction(10**decimals) * Fraction(cap) / Fraction(price)
    assert tolerance <= min(share, value) < tolerance + 1


@given(part=st.integers(0, 10**30), whole=raws)
def test_only_the_full_amount_is_a_hundred_percent(part: int, whole: int) -> None:
    """The percentage is rounded down to two places."""
    with localcontext() as context:
        context.prec = 100
        shown = Decimal(money.percent(part, whole))
        assert shown <= Decimal(part) * 100 / Decimal(whole) < shown + Decimal("0.01")
    assert (shown >= 100) == (part >= whole)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_773_133_200_007, "2026-03-10T09:00:00.007Z"),
        (999, "1970-01-01T00:00:00.999Z"),
        (None, None),
    ],
)
def test_times_are_written_as_in_the_documents(milliseconds: int | None, text: str | None) -> None:
    """The format has milliseconds and Z."""
    assert iso(milliseconds) == text


class Model:
    """Model of an invoice of 1000 raw units with a tolerance of 10 that expires after 100 s."""

    def __init__(self) -> None:
        self.status = "pending"
        self.clock = 0
        self.paid = self.in_time = self.received = 0

    def pay(self, amount: int, right_token: bool) -> None:
        self.received += 1
        if right_token:
            self.paid += amount
            if self.clock < 100:
                self.in_time += amount
                if self.status in ("pending", "partially_paid"):
                    self.status = "confirming"

    def confirm(self) -> None:
        if self.status == "confirming":
            missing = 1000 - self.in_time
            self.status = (
                "overpaid" if missing < 0 else "paid" if missing <= 10 else "partially_paid"
            )

    def cancel(self) -> None:
        if self.status == "pending":
            self.status = "cancelled"

    def advance(self, seconds: int) -> None:
        self.clock += seconds
        if self.clock >= 130 and self.status in ("pending", "partially_paid"):
            self.status = "expired"


class FrozenState(State):
    """State whose clock moves on request only."""

    clock = 1_800_000_000_000

    def now(self) -> int:
        return self.clock


events = st.lists(
    st.one_of(
        st.tuples(st.just("pay"), st.sampled_from([1, 489, 500, 990, 1000, 1001]), st.booleans()),
        st.tuples(st.just("confirm")),
        st.tuples(st.just("cancel")),
        st.tuples(st.just("advance"), st.sampled_from([1, 40, 99, 100, 130])),
    ),
    max_size=8,
)


@settings(max_examples=often(200), deadline=None)
@given(events=events)
def test_any_order_of_events_agrees_with_the_model(events: list[tuple[object, ...]]) -> None:
    """Payments, confirmations, cancellations and time may come in any order."""
    state, model = FrozenState(None), Model()
    terms: dict[str, Value] = {
        "token": "USDC",
        "raw": "1000",
        "decimals": 6,
        "tolerance_bps": 100,
        "tolerance_max_usd": "1",
    }
    state.insert(
        "invoices", id="inv_x", status="pending", expires_at=state.clock + 100_000, **terms
    )
    for name, *arguments in events:
        if name == "pay":
            amount, right_token = arguments
            assert isinstance(amount, int)
            model.pay(amount, bool(right_token))
            lifecycle.pay(
                state, "inv_x", money.display(amount, 6), "USDC" if right_token else "ETH"
            )
        elif name == "confirm":
            model.confirm()
            lifecycle.confirm(state, "inv_x")
        elif name == "cancel":
            model.cancel()
            lifecycle.cancel(state, "inv_x")
        else:
            (seconds,) = arguments
            assert isinstance(seconds, int)
            model.advance(seconds)
            state.clock += seconds * 1000
            lifecycle.expire(state)
        row = lifecycle.find(state, "inv_x")
        standing = lifecycle.standing(state, row)
        assert (row["status"], standing.paid, standing.received) == (
            model.status,
            model.paid,
            model.received,
        )
    state.close()
