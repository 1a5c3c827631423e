"""Invoices: amounts, payment, lifecycle."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from paychainhq._core.model import Digits, free_form
from paychainhq._core.validators import Money, positive_money
from paychainhq.errors import InvalidArgumentError
from paychainhq.models.base import Model
from paychainhq.models.chains import Chain, SupportedToken

if TYPE_CHECKING:
    from paychainhq.models.tokens import Token


class InvoiceStatus(StrEnum):
    """Status of an invoice.

    Source: the seed documents have `pending`, `confirming` and `paid`, other public pages the
    others.
    """

    PENDING = "pending"
    CONFIRMING = "confirming"
    PARTIALLY_PAID = "partially_paid"
    UNDERPAID = "underpaid"
    PAID = "paid"
    OVERPAID = "overpaid"
    EXPIRED = "expired"
    FAILED = "failed"
    CANCELLED = "cancelled"


_KnownStatus = Literal[
    "pending",
    "confirming",
    "partially_paid",
    "underpaid",
    "paid",
    "overpaid",
    "expired",
    "failed",
    "cancelled",
]
AnyStatus = _KnownStatus | str
"""Status of an invoice as an argument: a known one, which editors complete, or any other text."""

SETTLED = frozenset({InvoiceStatus.PAID, InvoiceStatus.OVERPAID})
# Assumption: no page marks the terminal statuses. An unknown status is not terminal.
TERMINAL = SETTLED | {InvoiceStatus.EXPIRED, InvoiceStatus.FAILED, InvoiceStatus.CANCELLED}


# Sums have no rounding, whatever the precision of the thread's own context.
_EXACT = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX)


@attrs.frozen(kw_only=True)
class Amount(Model):
    """Amount of a token: `str(amount)` is `"1.50 USDC"`.

    Amounts of one token can be compared, added, and passed to `sum`.

    Attributes:
        raw: The amount in the token's smallest unit.
        decimals: The number of decimal places between `raw` and `display`.
        display: The amount in the token's display unit.
        symbol: The token.
        chain: The chain family.
        network_id: The network, such as `base-mainnet`.
    """

    _bare: ClassVar[tuple[str, type] | None] = ("display", str)
    _not_null: ClassVar[frozenset[str]] = frozenset({"raw", "decimals"})

    display: Decimal
    raw: Digits | None = None
    decimals: int | None = None
    symbol: str | None = None
    chain: Chain | str | None = None
    network_id: str | None = None

    def __str__(self) -> str:
        return format(self)

    def __format__(self, spec: str) -> str:
        """Return the display amount in a format of `Decimal`, such as `",.2f"`, and the token."""
        shown = format(self.display, spec or "f")
        return shown if self.symbol is None else f"{shown} {self.symbol}"

    def __add__(self, other: Amount) -> Amount:
        """Return the exact sum; the raw amount, the chain and the network only if both agree."""
        value = self._of_one_token(other)
        if value is None:
            return NotImplemented
        same_unit = self.decimals == other.decimals is not None
        raw = None
        if same_unit and self.raw is not None and other.raw is not None:
            raw = self.raw + other.raw
        return Amount(
            display=_EXACT.add(self.display, value),
            raw=raw,
            decimals=self.decimals if same_unit else None,
            symbol=self.symbol,
            chain=self.chain if self.chain == other.chain else None,
            network_id=self.network_id if self.network_id == other.network_id else None,
        )

    def __radd__(self, other: int) -> Amount:
        return self if other == 0 else NotImplemented  # the start of `sum`

    def __lt__(self, other: Amount) -> bool:
        value = self._of_one_token(other)
        return NotImplemented if value is None else self.display < value

    def __le__(self, other: Amount) -> bool:
        value = self._of_one_token(other)
        return NotImplemented if value is None else self.display <= value

    def __gt__(self, other: Amount) -> bool:
        value = self._of_one_token(other)
        return NotImplemented if value is None else self.display > value

    def __ge__(self, other: Amount) -> bool:
        value = self._of_one_token(other)
        return NotImplemented if value is None else self.display >= value

    def _of_one_token(self, other: object) -> Decimal | None:
        """Return the display amount of another `Amount`, or None for another type.

        Raises:
            InvalidArgumentError: The token of either is unknown, or they differ.
        """
        if not isinstance(other, Amount):
            return None
        if self.symbol is None or self.symbol != other.symbol:
            raise InvalidArgumentError(
                f"{self} and {other} are not of one known token: use their `display`",
                argument="symbol",
            )
        return other.display


@attrs.frozen(kw_only=True)
class ProviderRegistration(Model):
    """Registration of the deposit address; do not share an invoice before it is `ready`."""

    status: str
    ready: bool | None = None
    message: str | None = None


@attrs.frozen(kw_only=True)
class PaymentSummary(Model):
    """Sum of the payments on an invoice."""

    payments_received: int | None = None


class _PayableByURI:
    """Mixin of invoices: the link that pays one."""

    __slots__ = ()

    amount: Amount
    deposit_address: str | None

    def payment_uri(
        self,
        token: Token | SupportedToken | None = None,
        *,
        amount: Money | None = None,
        chain_id: int | None = None,
    ) -> str:
        """Return a URI that opens a wallet with this payment: for a link or a QR code.

        Nothing in it is a guess: if a part is not known, or contradicts another one, this raises.

        Args:
            token: The invoice's token on its network, from `networks.list` or `tokens.get`. Only
                the coin of a network (BTC, SOL, ETH, BNB) needs none.
            amount: The amount in display units, such as the missing part; by default the invoice's.
            chain_id: The EIP-155 id of a network that this package does not know.

        Raises:
            InvalidArgumentError: The network or the token is unknown, an address is missing or
                invalid, or the amount has too many decimal places.
        """
        from paychainhq.models.payment_uris import Payable, payment_uri  # loads another domain

        requested = self.amount
        display = requested.display if amount is None else Decimal(positive_money("amount", amount))
        payable = Payable(
            address=self.deposit_address,
            chain=requested.chain or getattr(self, "chain", None),
            network_id=requested.network_id or getattr(self, "network_id", None),
            symbol=requested.symbol or getattr(self, "token", None),
            decimals=requested.decimals,
            display=display,
        )
        return payment_uri(payable, token, chain_id)


@attrs.frozen(kw_only=True)
class Invoice(_PayableByURI, Model):
    """Payable invoice; the operation that returned it determines which fields are set.

    Attributes:
        id: The invoice's id.
        status: The raw status, as stored by the server; see `effective_status`.
        amount: The requested amount.
        deposit_address: The address to pay to; not in lists.
        expires_at: The time of expiry; only on creation and in lists.
        paid_amount: The amount really deposited: a settlement by tolerance does not add the
            shortfall to it.
        settled_by_tolerance: Whether a small shortfall was accepted.
        tolerance_raw: The largest accepted shortfall in the token's smallest unit.
        tolerance_shortfall: The missing amount.
        provider_registration: Whether the deposit address may be shared yet; only on creation.

    Source: seed 002.
    """

    id: str
    status: InvoiceStatus | str
    amount: Amount
    business_id: str | None = None
    customer_id: str | None = None
    token: str | None = None
    chain: Chain | str | None = None
    network_id: str | None = None
    deposit_address: str | None = None
    expires_at: datetime | None = None
    description: str | None = None
    underpayment_tolerance_bps: int | None = None
    underpayment_tolerance_max_usd: Decimal | None = None
    settled_by_tolerance: bool | None = None
    tolerance_raw: Digits | None = None
    tolerance_shortfall: Amount | None = None
    paid_amount: Amount | None = None
    payment_summary: PaymentSummary | None = None
    provider_registration: ProviderRegistration | None = None
    metadata: Mapping[str, Any] | None = free_form()

    @property
    def is_settled(self) -> bool:
        """Return whether the raw status is a paid one: fulfil the order only then."""
        return self.status in SETTLED

    @property
    def is_terminal(self) -> bool:
        """Return whether the raw status is terminal."""
        return self.status in TERMINAL

    @property
    def is_shareable(self) -> bool:
        """Return whether the deposit address is registered, and may be shown to a payer."""
        registration = self.provider_registration
        return registration is not None and (
            registration.status == "ready" or registration.ready is True
        )

    def effective_status(self, now: datetime | None = None) -> InvoiceStatus | str:
        """Return the status with expiry taken into account.

        The raw status of an expired invoice can stay `pending` for a while.

        Args:
            now: The time to compare `expires_at` with (aware); by default the local clock. Prefer
                the server's.

        Raises:
            InvalidArgumentError: `now` is not a datetime, or has no zone.
        """
        if now is not None and (not isinstance(now, datetime) or now.utcoffset() is None):
            raise InvalidArgumentError(
                "now must be a datetime with its zone, such as datetime.now(UTC)", argument="now"
            )
        expired = self.expires_at is not None and (now or datetime.now(UTC)) >= self.expires_at
        return (
            InvoiceStatus.EXPIRED
            if expired and self.status == InvoiceStatus.PENDING
            else self.status
        )


@attrs.frozen(kw_only=True)
class PaymentProgress(Model):
    """Progress of the payment, for display to the payer.

    `status` is a label ("Paid within tolerance") that can be shown while the invoice is still
    `confirming`: it settles nothing.
    """

    percent_paid: Decimal | None = None
    status: str | None = None
    remaining_amount: Amount | None = None


@attrs.frozen(kw_only=True)
class PublicInvoice(_PayableByURI, Model):
    """Payer-facing view of an invoice: not to be the sole source of a reconciliation.

    Source: seed 002, "Get public invoice payload".
    """

    id: str
    status: InvoiceStatus | str
    amount: Amount
    state: InvoiceStatus | str | None = None
    paid_amount: Amount | None = None
    payment_progress: PaymentProgress | None = None
    deposit_address: str | None = None
    expires_at: datetime | None = None
    description: str | None = None


@attrs.frozen(kw_only=True)
class Cancellation(Model):
    """Result of a cancellation.

    `count` is the number of cancelled invoices. After a repeat of the request, 0 does not prove
    that the invoice is not cancelled: read it.
    """

    count: int
