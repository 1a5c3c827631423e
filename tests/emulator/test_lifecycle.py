"""Lifecycle of invoices: payments, confirmations, tolerance, expiry, cancellation, the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from paychainhq.emulator import Emulator
from tests.emulator.api import BUSINESS, INVOICES, ORDER, Api

TOLERANT = {"underpaymentToleranceBps": 50, "underpaymentToleranceMaxUsd": "0.50"}
STRICT = {"underpaymentToleranceBps": 0, "underpaymentToleranceMaxUsd": "0"}


def usdc(display: str, raw: str) -> dict[str, object]:
    """Return an amount of USDC on Base in the API's format."""
    return {
        "raw": raw,
        "decimals": 6,
        "display": display,
        "symbol": "USDC",
        "chain": "eth",
        "networkId": "base-mainnet",
    }


@pytest.mark.parametrize(
    ("amount", "status", "by_tolerance", "shortfall"),
    [
        ("150", "paid", False, usdc("0", "0")),
        ("149.75", "paid", True, usdc("0.25", "250000")),
        ("149.5", "paid", True, usdc("0.5", "500000")),
        ("149.499999", "partially_paid", False, usdc("0", "0")),
        ("0.000001", "partially_paid", False, usdc("0", "0")),
        ("150.000001", "overpaid", False, usdc("0", "0")),
        ("1000", "overpaid", False, usdc("0", "0")),
    ],
)
def test_an_invoice_settles_by_the_amount_paid(
    api: Api, amount: str, status: str, by_tolerance: bool, shortfall: object
) -> None:
    """Exact, tolerated, short and excess payments end with their documented status.

    The limit of the tolerance is included. The paid amount is always the deposited one.
    """
    invoice_id = api.create(**TOLERANT)
    assert api.emulator.pay(invoice_id, amount) == "confirming"
    assert api.invoice(invoice_id)["status"] == "confirming"
    assert api.emulator.confirm(invoice_id) == status
    invoice = api.invoice(invoice_id)
    assert (invoice["status"], invoice["settledByTolerance"], invoice["toleranceShortfall"]) == (
        status,
        by_tolerance,
        shortfall,
    )
    assert invoice["paidAmount"]["display"] == amount
    assert invoice["toleranceRaw"] == "500000"
    assert invoice["paymentSummary"] == {"paymentsReceived": 1}


def test_the_documented_invoice_settles_as_in_the_sample(api: Api) -> None:
    """149.75 of 150 USDC, confirmed, returns the sample of the business invoice exactly."""
    from tests.support.samples import BY_NAME

    api.emulator.pay("inv_123", "149.75")
    api.emulator.confirm("inv_123")
    assert api.invoice("inv_123") == BY_NAME["invoices.get"].response


def test_the_documented_invoice_confirms_as_in_the_public_sample(api: Api) -> None:
    """An unconfirmed public invoice equals the sample, whose label is ahead of the status."""
    from tests.support.samples import BY_NAME

    api.emulator.pay("inv_123", "149.75")
    assert api.public("inv_123") == BY_NAME["invoices.get_public"].response


@pytest.mark.parametrize(
    ("fields", "tolerance"),
    [
        (
            {"amount": "10", "underpaymentToleranceBps": 50, "underpaymentToleranceMaxUsd": "0.50"},
            "50000",
        ),
        ({"amount": "10", "underpaymentToleranceBps": 0, "underpaymentToleranceMaxUsd": "5"}, "0"),
        (
            {"amount": "10", "underpaymentToleranceBps": 300, "underpaymentToleranceMaxUsd": "0"},
            "0",
        ),
        (
            {
                "amount": "0.000001",
                "underpaymentToleranceBps": 9999,
                "underpaymentToleranceMaxUsd": "100",
            },
            "0",
        ),
        ({"amount": "10"}, "50000"),
        ({"amount": "1000"}, "500000"),
        # The cap is in USD: half a dollar of ether at 3200.
        (
            {
                "amount": "1",
                "token": "ETH",
                "underpaymentToleranceBps": 300,
                "underpaymentToleranceMaxUsd": "0.50",
            },
            "156250000000000",
        ),
        # A cap that is not a whole number of satoshi is rounded down.
        (
            {
                "amount": "1",
                "token": "BTC",
                "chain": "btc",
                "underpaymentToleranceBps": 300,
                "underpaymentToleranceMaxUsd": "0.50",
            },
            "555",
        ),
    ],
)
def test_tolerance_is_the_smaller_of_share_and_cap(
    api: Api, fields: dict[str, Any], tolerance: str
) -> None:
    """The tolerance is min(amount x bps / 10000, cap in USD), rounded down.

    The business's settings are the defaults.
    """
    assert api.invoice(api.create(**fields))["toleranceRaw"] == tolerance


def test_an_override_of_the_defaults_holds_for_later_invoices(api: Api) -> None:
    """Settings apply to new invoices, not to existing ones."""
    before = api.create()
    settings = api(
        "PATCH",
        f"{BUSINESS}/settings/invoices",
        {"invoiceUnderpaymentToleranceBps": 300, "invoiceUnderpaymentToleranceMaxUsd": "99"},
        key="s",
    )
    assert settings.json == {
        "businessId": "biz_123",
        "invoiceUnderpaymentToleranceBps": 300,
        "invoiceUnderpaymentToleranceMaxUsd": "99",
    }
    assert api("GET", f"{BUSINESS}/settings/invoices").json == settings.json
    assert [api.invoice(invoice_id)["toleranceRaw"] for invoice_id in (before, api.create())] == [
        "500000",
        "4500000",
    ]


@pytest.mark.parametrize(
    "field", ["invoiceUnderpaymentToleranceBps", "invoiceUnderpaymentToleranceMaxUsd"]
)
def test_settings_have_documented_bounds(api: Api, field: str) -> None:
    """The limits are 300 basis points and 100.00 USD."""
    path = f"{BUSINESS}/settings/invoices"
    assert api(
        "PATCH", path, {field: 301 if field.endswith("Bps") else "100.01"}, key="a"
    ).fields == [field]
    assert (
        api("PATCH", path, {field: 300 if field.endswith("Bps") else "100.00"}, key="b").status
        == 200
    )


def test_a_top_up_completes_a_short_payment(api: Api) -> None:
    """A partially paid invoice accepts another payment, by default of the remaining amount."""
    invoice_id = api.create(**STRICT)
    api.emulator.pay(invoice_id, "100")
    assert api.emulator.confirm(invoice_id) == "partially_paid"
    assert api.emulator.pay(invoice_id) == "confirming"
    assert api.emulator.confirm(invoice_id) == "paid"
    assert api.invoice(invoice_id)["paidAmount"] == usdc("150", "150000000")
    assert api.invoice(invoice_id)["paymentSummary"] == {"paymentsReceived": 2}


def test_payments_before_confirmation_add_up(api: Api) -> None:
    """Several payments are confirmed together."""
    invoice_id = api.create(**STRICT)
    for amount in ("0.1", "0.2", "149.7"):
        api.emulator.pay(invoice_id, amount)
    assert api.emulator.confirm(invoice_id) == "paid"


@pytest.mark.parametrize("token", ["ETH", "BTC", "SHIB"])
def test_another_token_never_settles(api: Api, token: str) -> None:
    """Native gas and unsupported tokens are recorded, and do not count."""
    invoice_id = api.create()
    assert api.emulator.pay(invoice_id, "150", token) == "pending"
    assert api.emulator.confirm(invoice_id) == "pending"
    invoice = api.invoice(invoice_id)
    assert (invoice["paidAmount"]["raw"], invoice["paymentSummary"]) == (
        "0",
        {"paymentsReceived": 1},
    )


def test_a_confirmation_without_a_payment_changes_nothing(api: Api) -> None:
    """Only a confirming invoice settles."""
    assert api.emulator.confirm("inv_123") == "pending"


def test_an_expired_invoice_stays_raw_pending_for_a_while(api: Api) -> None:
    """`state` is expired at once, and `status` half a minute later, in reads and in lists."""
    invoice_id = api.create(expiresIn=60)
    api.emulator.advance(59)
    assert api.public(invoice_id)["state"] == "pending"
    api.emulator.advance(1)
    public = api.public(invoice_id)
    assert (public["status"], public["state"]) == ("pending", "expired")
    assert api.invoice(invoice_id)["status"] == "pending"
    api.emulator.advance(30)
    assert api.invoice(invoice_id)["status"] == "expired"
    assert [row["id"] for row in api("GET", f"{INVOICES}?status=expired").json["data"]] == [
        invoice_id
    ]


def test_a_partially_paid_invoice_expires_too(api: Api) -> None:
    """Without a top-up the invoice expires; the paid amount stays visible."""
    invoice_id = api.create(expiresIn=60)
    api.emulator.pay(invoice_id, "1")
    api.emulator.confirm(invoice_id)
    api.emulator.advance(90)
    invoice = api.invoice(invoice_id)
    assert (invoice["status"], invoice["paidAmount"]["display"]) == ("expired", "1")


def test_a_payment_in_time_settles_after_expiry(api: Api) -> None:
    """An invoice that is confirming at its `expiresAt` still settles."""
    invoice_id = api.create(expiresIn=60)
    api.emulator.pay(invoice_id)
    api.emulator.advance(3600)
    assert api.emulator.confirm(invoice_id) == "paid"


@pytest.mark.parametrize("after", [60, 3600], ids=["still raw pending", "expired"])
def test_a_late_payment_is_recorded_only(api: Api, after: int) -> None:
    """The payment is part of `paidAmount`, and the invoice expires all the same."""
    invoice_id = api.create(expiresIn=60)
    api.emulator.advance(after)
    assert api.emulator.pay(invoice_id, "150") != "confirming"
    assert api.emulator.confirm(invoice_id) != "paid"
    api.emulator.advance(30)
    invoice = api.invoice(invoice_id)
    assert (invoice["status"], invoice["paidAmount"]["display"]) == ("expired", "150")


def test_a_late_payment_does_not_help_one_in_time(api: Api) -> None:
    """A payment after `expiresAt` does not settle an earlier shortfall."""
    invoice_id = api.create(expiresIn=60)
    api.emulator.pay(invoice_id, "100")
    api.emulator.advance(60)
    api.emulator.pay(invoice_id, "50")
    assert api.emulator.confirm(invoice_id) == "partially_paid"


def test_only_a_pending_invoice_is_cancelled(api: Api) -> None:
    """With a payment, the count is 0 and the status stays; an unknown invoice is a 404."""
    paid = api.create()
    api.emulator.pay(paid)
    assert api("DELETE", f"{INVOICES}/{paid}").json == {"count": 0}
    assert api.invoice(paid)["status"] == "confirming"
    assert api("DELETE", f"{INVOICES}/inv_123").json == {"count": 1}
    assert api.invoice("inv_123")["status"] == "cancelled"
    assert api("DELETE", f"{INVOICES}/inv_unknown").code == "NOT_FOUND"


@pytest.mark.parametrize("status", ["paid", "cancelled", "expired", "failed", "overpaid"])
def test_a_payment_to_an_ended_invoice_is_recorded_only(api: Api, status: str) -> None:
    """The payment is part of `paidAmount`, and the status is unchanged."""
    api("PATCH", "/api/v1/invoices/inv_123/status", {"status": status})
    assert api.emulator.pay("inv_123", "150") == status
    assert api.emulator.confirm("inv_123") == status
    assert api.invoice("inv_123")["paidAmount"]["display"] == "150"


def test_a_status_can_be_overridden(api: Api) -> None:
    """A known status is set and the business invoice returned; another word is refused."""
    response = api("PATCH", "/api/v1/invoices/inv_123/status", {"status": "paid"})
    assert response.json == api.invoice("inv_123")
    assert response.json["status"] == "paid"
    response = api("PATCH", "/api/v1/invoices/inv_123/status", {"status": "shipped"})
    assert (response.status, response.fields) == (400, ["status"])
    assert api("PATCH", "/api/v1/invoices/inv_unknown/status", {"status": "paid"}).status == 404


@pytest.mark.parametrize(
    ("paid", "percent", "label", "remaining"),
    [
        (None, "0.00", "Awaiting payment", "150"),
        ("100", "66.66", "Partially paid", "50"),
        ("149.999999", "99.99", "Paid within tolerance", "0"),
        ("150", "100.00", "Paid", "0"),
        ("300", "200.00", "Overpaid", "0"),
    ],
)
def test_the_payer_sees_progress(
    api: Api, paid: str | None, percent: str, label: str, remaining: str
) -> None:
    """Percentages are rounded down, so that only a full payment is 100."""
    if paid:
        api.emulator.pay("inv_123", paid)
    progress = api.public("inv_123")["paymentProgress"]
    assert progress == {
        "percentPaid": percent,
        "status": label,
        "remainingAmount": {"display": remaining},
    }


@pytest.mark.parametrize(
    ("fields", "raw"),
    [
        ({"amount": "0.000001"}, "1"),
        ({"amount": "1.10"}, "1100000"),
        ({"amount": 3}, "3000000"),
        ({"amount": "12345678901234567890.123456"}, "12345678901234567890123456"),
        ({"amount": "0.000000000000000001", "token": "ETH"}, "1"),
        ({"amount": "1.000000000000000001", "token": "ETH"}, "1000000000000000001"),
        ({"amount": "0.00000001", "token": "BTC", "chain": "btc"}, "1"),
        ({"amount": "1.5", "token": "SOL", "chain": "sol"}, "1500000000"),
    ],
)
def test_raw_amounts_are_exact(api: Api, fields: dict[str, Any], raw: str) -> None:
    """The raw amount is the display amount times ten to the token's decimals.

    Paying it settles the invoice exactly.
    """
    invoice_id = api.create(**fields, **STRICT)
    assert api.invoice(invoice_id)["amount"]["raw"] == raw
    api.emulator.pay(invoice_id)
    assert api.emulator.confirm(invoice_id) == "paid"
    assert api.invoice(invoice_id)["paidAmount"] == api.invoice(invoice_id)["amount"]


def test_the_default_lifetime_is_a_day(api: Api) -> None:
    """`expiresAt` is a day from now by the emulator's clock, or `expiresIn` seconds."""
    responses = [api("POST", INVOICES, {**ORDER, **fields}) for fields in ({}, {"expiresIn": 90})]
    lifetimes = [
        datetime.fromisoformat(response.json["expiresAt"])
        - parsedate_to_datetime(response.headers["Date"])
        for response in responses
    ]
    assert [round(lifetime / timedelta(seconds=10)) for lifetime in lifetimes] == [8640, 9]


def test_dates_follow_the_emulators_clock(api: Api) -> None:
    """The `Date` of every response, errors included, is the clock that determines expiry."""
    api.emulator.advance(10 * 86_400)
    for path in ("/api/v1/prices", "/api/v1/nothing", BUSINESS):
        ahead = parsedate_to_datetime(api("GET", path, headers={}).headers["Date"]) - datetime.now(
            UTC
        )
        assert timedelta(days=9) < ahead < timedelta(days=11)


def test_a_settled_invoice_counts_in_the_balances(api: Api) -> None:
    """Amounts of settled invoices are summed by asset; open invoices count as open."""
    invoice_id = api.create(amount="0.25")
    assert api("GET", f"{BUSINESS}/balances/total").json["openInvoiceCount"] == 2
    api.emulator.pay(invoice_id)
    api.emulator.confirm(invoice_id)
    assert api("GET", f"{BUSINESS}/balances").json["data"][0]["available"] == "150"
    assert api("GET", f"{BUSINESS}/balances/total").json["openInvoiceCount"] == 1


@pytest.mark.parametrize("amount", ["0", "-1", "1e3", "0.0000001", 1.5, "one", True])
def test_a_payment_must_be_an_amount(emulator: Emulator, amount: Any) -> None:
    """Only an exact positive amount of the token is accepted; otherwise nothing is recorded."""
    with pytest.raises(ValueError):
        emulator.pay("inv_123", amount)
    assert Api(emulator).invoice("inv_123")["paymentSummary"] == {"paymentsReceived": 0}


def test_a_payment_without_a_remaining_amount_needs_an_amount(emulator: Emulator) -> None:
    """The default would be the remaining amount, which is 0."""
    emulator.pay("inv_123")
    with pytest.raises(ValueError, match="no remaining amount"):
        emulator.pay("inv_123")


def test_an_unknown_invoice_cannot_be_paid(emulator: Emulator) -> None:
    """The result is a LookupError that names the invoice."""
    with pytest.raises(LookupError, match="inv_unknown"):
        emulator.pay("inv_unknown")
    with pytest.raises(LookupError, match="inv_unknown"):
        emulator.confirm("inv_unknown")


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), True, "5"])
def test_time_goes_forward_only(emulator: Emulator, seconds: Any) -> None:
    """An invalid duration is a ValueError."""
    with pytest.raises(ValueError, match="seconds"):
        emulator.advance(seconds)
