"""The gateway's values: payments, applications, refunds."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

import attrs

from paychainhq.errors import DecodeError
from paychainhq.models.base import Model, number

# Scheme and host, once found, are not given back to the path.
_LAST_SEGMENT = re.compile(r"(?:[^/?#]+:)?+(?://[^/?#]*)?+[^?#]*/([^/?#]+)/?(?:[?#].*)?", re.DOTALL)


class PaymentStatus(StrEnum):
    """Where a payment stands; there is no status of expiry: it is the checkout link that expires."""

    OPEN = "OPEN"
    FOUND = "FOUND"
    UNDERPAID = "UNDERPAID"
    RECEIVED = "RECEIVED"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"
    ERROR = "ERROR"
    REFUND = "REFUND"


# CONFIRMED comes only after the merchant's webhook has answered, so that whoever has none may wait for it for ever.
PAID = frozenset({PaymentStatus.RECEIVED, PaymentStatus.CONFIRMED})
# Assumption: no page marks the statuses after which nobody pays any more. These are those that lead nowhere but to a refund.
DECIDED = PAID | {PaymentStatus.CANCELLED, PaymentStatus.ERROR, PaymentStatus.REFUND}


@attrs.frozen(kw_only=True)
class Money(Model):
    """An amount of fiat money: reckon with `amount`.

    Attributes:

        amount: The amount in minor units: 10000 is 100.00.
        value: The same in major units.
        formatted: The same for people; which currency it shows is not to be relied on.
    """

    _not_null: ClassVar[frozenset[str]] = frozenset({"value"})

    amount: int
    value: Decimal | None = number()
    formatted: str | None = None


@attrs.frozen(kw_only=True)
class Checkout(Model):
    """A payment that has just been created, as the link that its payer goes to.

    Attributes:

        checkout_url: The signed link to the hosted page; what may stand in it beside id, expiry and signature is not signed.

    Source: the gateway's pages on payment endpoints and the checkout.
    """

    checkout_url: str

    @property
    def payment_id(self) -> str:
        """The payment's id, which is the last part of the link's path.

        Raises:

            DecodeError: The link has no such part; the payment has been created all the same.
        """
        # Assumption: the answer holds no id, and the page on the checkout shows it in the link.
        found = _LAST_SEGMENT.fullmatch(self.checkout_url)
        if found is None:
            raise DecodeError("the checkout URL holds no payment id", path="$.checkoutUrl", data={"checkoutUrl": self.checkout_url})
        return found[1]


@attrs.frozen(kw_only=True)
class Payment(Model):
    """A payment.

    Attributes:

        id: The payment's id.
        status: Where it stands.
        reference: Your own name for it.
        reference_label: The text that people see.
        currency_code: The fiat currency that it is priced in.
        settlement_currency_code: The currency that it is settled in.
        amount: What was asked for.
        received_amount: What has come in.
        settled_amount: What was settled.
        date: When it was created, as it seems: no page says.
        found_at: When its transaction was seen.
        confirmed_at: When that was confirmed.
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
        """Whether the full amount is there, confirmed on chain: `RECEIVED`, or `CONFIRMED` once your webhook has answered."""
        return self.status in PAID

    @property
    def is_decided(self) -> bool:
        """Whether nothing is left to wait for: it is paid, or is not going to be."""
        return self.status in DECIDED


@attrs.frozen(kw_only=True)
class SiteSetting(Model):
    """Which amounts an application takes for paid."""

    id: str | None = None
    title: str | None = None
    allow_overpay: bool | None = None
    allow_underpay: bool | None = None


@attrs.frozen(kw_only=True)
class Site(Model):
    """The merchant's site that an application is for, and where its webhooks go."""

    id: str | None = None
    title: str | None = None
    url: str | None = None
    callback_url: str | None = None
    setting: SiteSetting | None = None


@attrs.frozen(kw_only=True)
class Application(Model):
    """A payment application: what payments belong to.

    Attributes:

        id: The application's id.
        name: Its name.
        client_id: What names it in requests; no secret.
        site: The site that it is for.
        currency_whitelist: The codes of the cryptocurrencies that it takes.
        deleted_at: When it was deleted, as it seems: no page says.

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
    """Where a refund request stands; no page names another one."""

    PENDING = "PENDING"


@attrs.frozen(kw_only=True)
class Refund(Model):
    """A request to refund a payment, which an administrator of the platform has to approve.

    Attributes:

        id: The request's id.
        payment_id: The payment.
        status: Where the request stands.
        refund_amount: How much it is about.
        blockchain_address: Where to, if it is refunded in crypto.
        refunded_at: When it was carried out.

    Source: the gateway's page on refunds.
    """

    id: str
    payment_id: str
    status: RefundStatus | str
    refund_amount: Money | None = None
    blockchain_address: str | None = None
    refunded_at: datetime | None = None
    created_at: datetime | None = None
