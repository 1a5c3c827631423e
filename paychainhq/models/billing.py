"""Charges of the platform to the business: plan, subscription, billing invoices, usage."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import attrs

from paychainhq._core.model import Digits, JsonNumber, wire
from paychainhq.models.base import Model


class PlanCode(StrEnum):
    """Plan.

    Assumption: the codes of Scale and Enterprise, which are named but not shown, are written like
    the others.
    """

    FREE = "FREE"
    STARTUP = "STARTUP"
    GROWTH = "GROWTH"
    SCALE = "SCALE"
    ENTERPRISE = "ENTERPRISE"


class BillingMode(StrEnum):
    """Billing interval of a plan."""

    PREPAID_MONTHLY = "prepaid_monthly"
    PREPAID_ANNUAL = "prepaid_annual"


class BillingInvoiceStatus(StrEnum):
    """Status of a billing invoice."""

    OPEN = "open"
    PENDING = "pending"
    PAID = "paid"


@attrs.frozen(kw_only=True)
class BillingBusiness(Model):
    """Business, as shown by the billing operations."""

    id: str
    active_plan_code: PlanCode | str | None = None
    billing_status: str | None = None
    billing_alias: str | None = None


@attrs.frozen(kw_only=True)
class BillingPolicy(Model):
    """Prices of the current plan; `billing_mode` may differ from the subscription's.

    Attributes:
        plan_code: The plan.
        billing_mode: The billing interval.
        monthly_fee_usd: The price of a month, in US dollars.
        annual_eligible: Whether the plan can be billed annually.
        annual_base_fee_usd: The price of a year, in US dollars.
        annual_discount_percent: The discount of annual billing, in percent.
        invoice_fee_rate: The fee on invoices as a fraction: 0.0065 is 0.65 %.
        linked_payout_free_quota: The number of linked payouts of a cycle that are free.
        intro_active: Whether an introductory price is active.
    """

    plan_code: PlanCode | str
    billing_mode: BillingMode | str | None = None
    monthly_fee_usd: Decimal | None = None
    annual_eligible: bool | None = None
    annual_base_fee_usd: Decimal | None = None
    annual_discount_percent: JsonNumber | None = None
    invoice_fee_rate: Decimal | None = None
    linked_payout_free_quota: int | None = None
    intro_active: bool | None = None


@attrs.frozen(kw_only=True)
class Subscription(Model):
    """Current subscription and its cycle."""

    id: str
    plan_code: PlanCode | str
    status: str
    billing_mode: BillingMode | str | None = None
    current_cycle_start: datetime | None = None
    current_cycle_end: datetime | None = None
    next_billing_at: datetime | None = None


@attrs.frozen(kw_only=True)
class BillingProfile(Model):
    """Current plan, its prices and its subscription.

    Source: seed 003, "Get billing profile".
    """

    business: BillingBusiness
    policy: BillingPolicy | None = None
    subscription: Subscription | None = None


@attrs.frozen(kw_only=True)
class Plan(Model):
    """Plan that is available for subscription.

    Attributes:
        code: The plan's code, for `billing.change_subscription`.
        name: The display name.
        monthly_base_fee_usd: The price of a month, in US dollars.
        invoice_fee_rate: The fee on invoices as a fraction: 0.0065 is 0.65 %.
        tier: The plan's tier.
        annual_eligible: Whether the plan can be billed annually.
        annual_base_fee_usd: The price of a year, in US dollars.
        annual_discount_percent: The discount of annual billing, in percent.
        intro_monthly_fee_usd: The price of each of the first months, in US dollars.
        intro_cycles: The number of cycles with that introductory price.
        payout_api_withdrawal_quota: The number of withdrawals by payout key that a cycle includes.

    Source: seed 003, "List billing plans".
    """

    code: PlanCode | str
    name: str
    monthly_base_fee_usd: Decimal
    invoice_fee_rate: Decimal
    tier: str | None = None
    annual_eligible: bool | None = None
    annual_base_fee_usd: Decimal | None = None
    annual_discount_percent: JsonNumber | None = None
    intro_monthly_fee_usd: Decimal | None = None
    intro_cycles: int | None = None
    payout_api_withdrawal_quota: int | None = None


@attrs.frozen(kw_only=True)
class BillingInvoice(Model):
    """Debt of the business to the platform; not an invoice to a customer.

    Attributes:
        id: The billing invoice's id.
        status: The status.
        amount_usd: The amount in US dollars (`amountUSD` in lists, `amountUsd` in a subscription
            change).
        due_at: The due date; in lists only.
        network_id: The network to pay on; in a subscription change only.
        token: The token to pay in; in a subscription change only.

    Source: seed 003, "List billing invoices" and "Request billing subscription change".
    """

    id: str
    status: BillingInvoiceStatus | str
    amount_usd: Decimal = wire("amountUSD", "amountUsd", default=attrs.NOTHING)
    due_at: datetime | None = None
    network_id: str | None = None
    token: str | None = None


@attrs.frozen(kw_only=True)
class PaymentInstructions(Model):
    """Payment instructions of a billing invoice.

    Attributes:
        network_id: The network to pay on.
        token: The token to pay in.
        expected_amount_raw: The amount in the token's smallest unit.
    """

    network_id: str
    token: str
    expected_amount_raw: Digits | None = None


@attrs.frozen(kw_only=True)
class SubscriptionChange(Model):
    """Result of a plan change: an invoice to pay, or a downgrade at the end of the cycle.

    Attributes:
        state: The next step; the documents show `payment_required`.
        from_plan_code: The current plan.
        to_plan_code: The requested plan.
        billing_mode: The requested billing interval.
        invoice: The billing invoice to pay, if any.
        payment_instructions: The payment instructions, if any.

    Source: seed 003, "Request billing subscription change"; the response to a downgrade is not
    shown there.
    """

    state: str
    from_plan_code: PlanCode | str | None = None
    to_plan_code: PlanCode | str | None = None
    billing_mode: BillingMode | str | None = None
    invoice: BillingInvoice | None = None
    payment_instructions: PaymentInstructions | None = None


@attrs.frozen(kw_only=True)
class BillingCycle(Model):
    """Billing period."""

    start: datetime
    end: datetime


@attrs.frozen(kw_only=True)
class LinkedPayoutUsage(Model):
    """Linked payouts of a cycle: used and included."""

    count: int
    quota: int | None = None


@attrs.frozen(kw_only=True)
class BillingUsage(Model):
    """Usage in the current cycle.

    Source: seed 003, "Get billing usage".
    """

    cycle: BillingCycle
    linked_payout_usage: LinkedPayoutUsage | None = None


@attrs.frozen(kw_only=True)
class BillingPayment(Model):
    """Result of attaching a payment to a billing invoice.

    Attributes:
        ok: Whether the payment was accepted.
        status: The billing invoice's status after it.
        replayed: Whether the same transaction had been attached to it before.

    Source: seed 003, "Attach billing payment".
    """

    ok: bool
    status: BillingInvoiceStatus | str
    replayed: bool | None = None
