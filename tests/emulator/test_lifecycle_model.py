"""Lifecycle of invoices against a small model, with a clock that only the test moves."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import floor
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from paychainhq.emulator import Emulator, state
from tests.emulator.api import INVOICES, Api

# Decimal places and price in USD, as in the reference data.
TOKENS = {"USDC": (6, 1), "ETH": (18, 3200), "BTC": (8, 90_000), "SOL": (9, 160)}
CHAINS = {"USDC": "eth", "ETH": "eth", "BTC": "btc", "SOL": "sol"}
STILL_RAW_PENDING = 30
PAYABLE = ("pending", "confirming", "partially_paid")

amounts = st.one_of(
    st.sampled_from(["150", "1", "0.000001", "149.75", "149.5", "0.5", "100", "50", "1000000000"]),
    st.decimals(Decimal("0.000001"), 200, places=6).map(lambda amount: format(amount, "f")),
)


@attrs.define
class Model:
    """Model of one invoice, with exact amounts."""

    token: str
    due: Fraction
    expires_at: Fraction
    tolerance: Fraction
    status: str = "pending"
    payments: list[tuple[str, Fraction, bool]] = attrs.field(factory=list)
    by_tolerance: bool = False

    @property
    def paid(self) -> Fraction:
        return sum(
            (amount for token, amount, _ in self.payments if token == self.token), Fraction()
        )

    @property
    def shortfall(self) -> Fraction:
        """Return the shortfall of the payments before expiry."""
        return self.due - sum(
            (amount for token, amount, late in self.payments if token == self.token and not late),
            Fraction(),
        )

    def pay(self, amount: Fraction, token: str, now: Fraction) -> None:
        late = now >= self.expires_at
        self.payments.append((token, amount, late))
        if token == self.token and not late and self.status in PAYABLE:
            self.status, self.by_tolerance = "confirming", False

    def confirm(self) -> None:
        if self.status == "confirming":
            short = self.shortfall
            self.status = (
                "overpaid" if short < 0 else "paid" if short <= self.tolerance else "partially_paid"
            )
            self.by_tolerance = self.status == "paid" and short > 0

    def expire(self, now: Fraction) -> None:
        if (
            self.status in ("pending", "partially_paid")
            and now >= self.expires_at + STILL_RAW_PENDING
        ):
            self.status = "expired"


def tolerance(token: str, due: Fraction, bps: int, max_usd: str) -> Fraction:
    """Return min(share, cap in USD), each rounded down to the token's smallest unit."""
    decimals, price = TOKENS[token]
    unit = Fraction(1, 10**decimals)
    return min(floor(due * bps / 10_000 / unit), floor(Fraction(max_usd) / price / unit)) * unit


def exactly(written: str) -> Fraction:
    assert Decimal(written) >= 0
    return Fraction(written)


class Lifecycle(RuleBasedStateMachine):
    """Invoices that are created, paid, confirmed, cancelled or expire, in any order."""

    invoices = Bundle("invoices")

    @initialize()
    def start(self) -> None:
        self.emulator = Emulator()
        self.emulator.__enter__()
        self.api = Api(self.emulator)
        self.now = Fraction(0)
        self.models: dict[str, Model] = {}
        self.replies: dict[tuple[str, str], int] = {}

    def teardown(self) -> None:
        if hasattr(self, "emulator"):
            self.emulator.__exit__(None, None, None)

    @rule(
        target=invoices,
        token=st.sampled_from(["USDC", "USDC", *TOKENS]),
        amount=amounts,
        bps=st.sampled_from([None, 0, 1, 50, 300, 9999]),
        max_usd=st.sampled_from([None, "0", "0.01", "0.50", "0.3333", "100", "1000000"]),
        lifetime=st.sampled_from([60, 90, 3600]),
    )
    def create(
        self, token: str, amount: str, bps: int | None, max_usd: str | None, lifetime: int
    ) -> str:
        fields = {"underpaymentToleranceBps": bps, "underpaymentToleranceMaxUsd": max_usd}
        given = {name: value for name, value in fields.items() if value is not None}
        id_ = self.api.create(
            token=token, chain=CHAINS[token], amount=amount, expiresIn=lifetime, **given
        )
        limit = tolerance(
            token,
            Fraction(amount),
            50 if bps is None else bps,
            "0.50" if max_usd is None else max_usd,
        )
        self.models[id_] = Model(token, Fraction(amount), self.now + lifetime, limit)
        return id_

    @rule(
        id_=invoices,
        amount=amounts | st.none(),
        token=st.sampled_from([None, None, None, "USDC", "ETH", "SHIB"]),
    )
    def pay(self, id_: str, amount: str | None, token: str | None) -> None:
        self.expire()
        model = self.models[id_]
        missing = model.due - model.paid
        if amount is None and missing <= 0:
            with pytest.raises(ValueError, match="no remaining amount"):
                self.emulator.pay(id_, amount, token)
            return
        answered = self.emulator.pay(id_, amount, token)
        model.pay(missing if amount is None else Fraction(amount), token or model.token, self.now)
        assert answered == model.status

    @rule(id_=invoices)
    def pay_to_the_edge_of_the_tolerance(self, id_: str) -> None:
        """Pay the remaining amount minus exactly the tolerance."""
        self.expire()
        model = self.models[id_]
        amount = model.shortfall - model.tolerance
        if amount > 0:
            decimals = TOKENS[model.token][0]
            raw = str(int(amount * 10**decimals)).rjust(decimals + 1, "0")
            self.emulator.pay(id_, f"{raw[:-decimals]}.{raw[-decimals:]}")
            model.pay(amount, model.token, self.now)

    @rule(id_=invoices, beyond=st.integers(1, 3))
    def pay_finer_than_the_token(self, id_: str, beyond: int) -> None:
        self.expire()
        decimals = TOKENS[self.models[id_].token][0]
        with pytest.raises(ValueError, match="decimal places"):
            self.emulator.pay(id_, f"0.{'1' * (decimals + beyond)}")

    @rule(id_=invoices)
    def confirm(self, id_: str) -> None:
        self.expire()
        self.models[id_].confirm()
        assert self.emulator.confirm(id_) == self.models[id_].status

    @rule(seconds=st.sampled_from(["0", "0.001", "29.999", "30", "59.999", "60", "3600"]))
    def advance(self, seconds: str) -> None:
        self.emulator.advance(float(seconds))
        self.now += Fraction(seconds)

    @rule(id_=invoices, key=st.sampled_from([None, "first", "second"]))
    def cancel(self, id_: str, key: str | None) -> None:
        """Cancel an invoice; a repeat with the same key returns the first response."""
        self.expire()
        model = self.models[id_]
        count = self.api("DELETE", f"{INVOICES}/{id_}", key=key).json["count"]
        if key is not None and (id_, key) in self.replies:
            assert count == self.replies[id_, key]
            return
        assert count == int(model.status == "pending")
        if count:
            model.status = "cancelled"
        if key is not None:
            self.replies[id_, key] = count

    @rule(id_=invoices, status=st.sampled_from(["pending", "confirming", "paid", "failed"]))
    def set_by_hand(self, id_: str, status: str) -> None:
        self.expire()
        response = self.api("PATCH", f"/api/v1/invoices/{id_}/status", {"status": status})
        self.models[id_].status, self.models[id_].by_tolerance = status, False
        assert response.json["status"] == status

    def expire(self) -> None:
        for model in self.models.values():
            model.expire(self.now)

    @rule(id_=invoices)
    def compare(self, id_: str) -> None:
        """Assert that the business's view and the payer's agree with the model and each other."""
        self.expire()
        model, seen, public = self.models[id_], self.api.invoice(id_), self.api.public(id_)
        over = model.status == "pending" and self.now >= model.expires_at
        assert seen["status"] == public["status"] == model.status
        assert public["state"] == ("expired" if over else model.status)
        assert seen["amount"] == public["amount"]
        assert seen["paidAmount"] == public["paidAmount"]
        assert seen["depositAddress"] == public["depositAddress"]
        self.assert_amount(seen["amount"], model.token, model.due)
        self.assert_amount(seen["paidAmount"], model.token, model.paid)
        self.assert_amount(
            seen["toleranceShortfall"],
            model.token,
            max(model.shortfall, Fraction()) if model.by_tolerance else Fraction(),
        )
        assert int(seen["toleranceRaw"]) == model.tolerance * 10 ** TOKENS[model.token][0]
        assert seen["settledByTolerance"] == model.by_tolerance
        assert seen["paymentSummary"] == {"paymentsReceived": len(model.payments)}
        self.assert_progress(public["paymentProgress"], model)

    @staticmethod
    def assert_amount(amount: dict[str, Any], token: str, value: Fraction) -> None:
        """Assert that raw and display are the same exact value, in the invoice's own token."""
        decimals = TOKENS[token][0]
        assert (amount["symbol"], amount["decimals"]) == (token, decimals)
        assert exactly(amount["display"]) == Fraction(int(amount["raw"]), 10**decimals) == value

    @staticmethod
    def assert_progress(progress: dict[str, Any], model: Model) -> None:
        """Assert that the percentage is rounded down, and the remaining amount is exact."""
        share = model.paid * 100 / model.due
        assert 0 <= share - exactly(progress["percentPaid"]) < Fraction(1, 100)
        missing = model.due - model.paid
        enough = model.paid > 0 and missing <= model.tolerance
        assert exactly(progress["remainingAmount"]["display"]) == (
            0 if enough else max(missing, Fraction())
        )

    @invariant()
    def lists_agree(self) -> None:
        """Assert that all lists hold the model's invoices with their statuses."""
        if not getattr(self, "models", None):
            return
        self.expire()
        listed = self.api("GET", f"{INVOICES}?limit=100").json["data"]
        found = {row["id"]: row["status"] for row in listed if row["id"] != "inv_123"}
        assert found == {id_: model.status for id_, model in self.models.items()}
        assert list(found) == list(reversed(self.models)), "the newest first"

    @rule(id_=consumes(invoices))
    def filter(self, id_: str) -> None:
        self.expire()
        status = self.models[id_].status
        rows = self.api("GET", f"{INVOICES}?status={status}&limit=100").json["data"]
        wanted = {other for other, model in self.models.items() if model.status == status}
        assert {row["id"] for row in rows} - {"inv_123"} == wanted


def test_the_lifecycle_against_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statuses, exact sums, tolerance and expiry equal the model's for any order of events."""
    monkeypatch.setattr(state, "time", SimpleNamespace(time_ns=lambda: 1_800_000_000 * 10**9))
    checks = settings(
        max_examples=60,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Lifecycle, settings=checks)
