"""Models of the gateway: payments, applications, refunds."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Literal

import attrs

from paychainhq._core.model import JsonNumber
from paychainhq.errors import DecodeError
from paychainhq.models.base import Model

# Scheme and host match possessively, so that they never count as a part of the path.
_LAST_SEGMENT = re.compile(r"(?:[^/?#]+:)?+(?://[^/?#]*)?+[^?#]*/([^/?#]+)/?(?:[?#].*)?", re.DOTALL)


class PaymentStatus(StrEnum):
    """Status of a payment; there is no status of expiry, since only the checkout link expires."""

    OPEN = "OPEN"
    FOUND = "FOUND"
    UNDERPAID = "UNDERPAID"
    RECEIVED = "RECEIVED"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"
    ERROR = "ERROR"
    REFUND = "REFUND"


_KnownStatus = Literal[
    "OPEN", "FOUND", "UNDERPAID", "RECEIVED", "CONFIRMED", "CANCELLED", "ERROR", "REFUND"
]
AnyPaymentStatus = _KnownStatus | str
"""Status of a payment as an argument: a known one, which editors complete, or any other text."""

# CONFIRMED requires a response of the merchant's webhook: without a webhook, a payment never
# becomes CONFIRMED.
PAID = frozenset({PaymentStatus.RECEIVED, PaymentStatus.CONFIRMED})
# Assumption: no page marks the terminal statuses. These are the ones from which only a refund
# follows.
DECIDED = PAID | {PaymentStatus.CANCELLED, PaymentStatus.ERROR, PaymentStatus.REFUND}


@attrs.frozen(kw_only=True)
class Money(Model):
    """Amount of fiat money: calculate with `amount`.

    Attributes:
        amount: The amount in minor units: 10000 is 100.00.
        value: The amount in major units.
        formatted: The amount for display; its currency is not reliable.
    """

    _not_null: ClassVar[frozenset[str]] = frozenset({"value"})

    amount: int
    value: JsonNumber | None = None
    formatted: str | None = None


@attrs.frozen(kw_only=True)
class Checkout(Model):
    """Payment that has just been created, with the link to its checkout page.

    Attributes:
        checkout_url: The signed link to the hosted page; parameters other than id, expiry and
            signature are not signed.

    Source: the gateway's pages on payment endpoints and the checkout.
    """

    checkout_url: str

    @property
    def payment_id(self) -> str:
        """Id of the payment: the last segment of the link's path.

        Raises:
            DecodeError: The link has no such segment; the payment has been created all the same.
        """
        # Assumption: the response holds no id, and the page on the checkout shows the id in the
        # link.
        found = _LAST_SEGMENT.fullmatch(self.checkout_url)
        if found is None:
            raise DecodeError(
                "the checkout URL contains no payment id",
                path="$.checkoutUrl",
                problems=("contains no payment id @ $.checkoutUrl",),
                data={"checkoutUrl": self.checkout_url},
            )
        return found[1]


@attrs.frozen(kw_only=True)
class Payment(Model):
    """Payment.

    Attributes:
        id: The payment's id.
        status: The status.
        reference: Your own name for it.
        reference_label: The reference text for display.
        currency_code: The fiat currency of the price.
        settlement_currency_code: The currency of the settlement.
        amount: The requested amount.
        received_amount: The received amount.
        settled_amount: The settled amount.
        date: The time of its creation, presumably: no page documents it.
        found_at: The time at which its transaction was seen.
        confirmed_at: The time at which the transaction was confirmed.
        refund: Whether it may be refunded; named by the page on refunds, and in no sample.

    Source: the gateway's pages on the status of payments, payment endpoints and webhook events.
    """

    id: str
    status: PaymentStatus | str
    user_id: str | None = None
    reference: str | None = None
    reference_label: str | None = None
    currency_code: str | None = None
    settlement_currency_code: str | None = None
    amount: Money | None = None
    received_amount: Money | None = None
    settled_amount: Money | None = None
    date: datetime | None = None
    found_at: datetime | None = None
    confirmed_at: datetime | None = None
    refund: bool | None = None

    @property
    def is_paid(self) -> bool:
        """Return whether the full amount is confirmed on chain: `RECEIVED` or `CONFIRMED`."""
        return self.status in PAID

    @property
    def is_decided(self) -> bool:
        """Return whether the status is terminal: paid, or not payable any more."""
        return self.status in DECIDED


@attrs.frozen(kw_only=True)
class SiteSetting(Model):
    """Tolerance of an application for amounts other than the price."""

    id: str | None = None
    title: str | None = None
    allow_overpay: bool | None = None
    allow_underpay: bool | None = None


@attrs.frozen(kw_only=True)
class Site(Model):
    """Merchant's site of an application, and the address of its webhooks."""

    id: str | None = None
    title: str | None = None
    url: str | None = None
    callback_url: str | None = None
    setting: SiteSetting | None = None


@attrs.frozen(kw_only=True)
class Application(Model):
    """Payment application, which owns payments.

    Attributes:
        id: The application's id.
        name: Its name.
        client_id: Its id in requests; not a secret.
        site: Its site.
        currency_whitelist: The codes of the accepted cryptocurrencies.
        deleted_at: The time of its deletion, presumably: no page documents it.

    Source: the gateway's pages on application endpoints and applications.
    """

    id: str
    name: str
    client_id: str
    user_id: str | None = None
    site: Site | None = None
    currency_whitelist: tuple[str, ...] | None = None
    created_at: datetime | None = None
    deleted_at: datetime | None = None


class RefundStatus(StrEnum):
    """Status of a refund request; no page names another one."""

    PENDING = "PENDING"


@attrs.frozen(kw_only=True)
class Refund(Model):
    """Refund request, which an administrator of the platform has to approve.

    Attributes:
        id: The request's id.
        payment_id: The payment.
        status: The status of the request.
        refund_amount: The amount to refund.
        blockchain_address: The receiving address of a refund in crypto.
        refunded_at: The time of the refund.

    Source: the gateway's page on refunds.
    """

    id: str
    payment_id: str
    status: RefundStatus | str
    refund_amount: Money | None = None
    blockchain_address: str | None = None
    refunded_at: datetime | None = None
    created_at: datetime | None = None
