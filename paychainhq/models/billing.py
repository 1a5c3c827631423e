"""What the platform charges the business: plan, subscription, billing invoices, usage."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import attrs

from paychainhq.models.base import Model, digits, number, wire


class PlanCode(StrEnum):
    """A plan. Assumption: the codes of Scale and Enterprise, which are named but not shown, are written like the others."""

    FREE = "FREE"
    STARTUP = "STARTUP"
    GROWTH = "GROWTH"
    SCALE = "SCALE"
    ENTERPRISE = "ENTERPRISE"


class BillingMode(StrEnum):
    """How often a plan is paid for."""

    PREPAID_MONTHLY = "prepaid_monthly"
    PREPAID_ANNUAL = "prepaid_annual"


class BillingInvoiceStatus(StrEnum):
    """Where a billing invoice stands."""

    OPEN = "open"
    PENDING = "pending"
    PAID = "paid"


@attrs.frozen(kw_only=True)
class BillingBusiness(Model):
    """The business as billing sees it."""

    id: str
    active_plan_code: PlanCode | str | None = None
    billing_status: str | None = None
    billing_alias: str | None = None


@attrs.frozen(kw_only=True)
class BillingPolicy(Model):
    """The prices of the current plan; its `billing_mode` may differ from the subscription's.

    Attributes:

        plan_code: The plan.
        billing_mode: How often it is paid for.
        monthly_fee_usd: The price of a month, in US dollars.
        annual_eligible: Whether it can be paid for by the year.
        annual_base_fee_usd: The price of a year, in US dollars.
        annual_discount_percent: What a year is cheaper by, in percent.
        invoice_fee_rate: The fee on invoices as a fraction: 0.0065 is 0.65 %.
        linked_payout_free_quota: How many linked payouts of a cycle are free.
        intro_active: Whether an introductory price holds.
    """

    plan_code: PlanCode | str
    billing_mode: BillingMode | str | None = None
    monthly_fee_usd: Decimal | None = None
    annual_eligible: bool | None = None
    annual_base_fee_usd: Decimal | None = None
    annual_discount_percent: Decimal | None = number()
    invoice_fee_rate: Decimal | None = None
    linked_payout_free_quota: int | None = None
    intro_active: bool | None = None


@attrs.frozen(kw_only=True)
class Subscription(Model):
    """The running subscription and its cycle."""

    id: str
    plan_code: PlanCode | str
    status: str
    billing_mode: BillingMode | str | None = None
    current_cycle_start: datetime | None = None
    current_cycle_end: datetime | None = None
    next_billing_at: datetime | None = None


@attrs.frozen(kw_only=True)
class BillingProfile(Model):
    """The current plan, its prices and the subscription to it.

    Source: seed 003, "Get billing profile".
    """

    business: BillingBusiness
    policy: BillingPolicy | None = None
    subscription: Subscription | None = None


@attrs.frozen(kw_only=True)
class Plan(Model):
    """A plan that can be subscribed to.

    Attributes:

        code: The plan's code, for `billing.change_subscription`.
        name: Its name for people.
        monthly_base_fee_usd: The price of a month, in US dollars.
        invoice_fee_rate: The fee on invoices as a fraction: 0.0065 is 0.65 %.
        tier: The tier that it belongs to.
        annual_eligible: Whether it can be paid for by the year.
        annual_base_fee_usd: The price of a year, in US dollars.
        annual_discount_percent: What a year is cheaper by, in percent.
        intro_monthly_fee_usd: The price of each of the first months, in US dollars.
        intro_cycles: How many cycles that introductory price holds for.
        payout_api_withdrawal_quota: How many withdrawals by payout key a cycle includes.

    Source: seed 003, "List billing plans".
    """

    code: PlanCode | str
    name: str
    monthly_base_fee_usd: Decimal
    invoice_fee_rate: Decimal
    tier: str | None = None
    annual_eligible: bool | None = None
    annual_base_fee_usd: Decimal | None = None
    annual_discount_percent: Decimal | None = number()
    intro_monthly_fee_usd: Decimal | None = None
    intro_cycles: int | None = None
    payout_api_withdrawal_quota: int | None = None


@attrs.frozen(kw_only=True)
class BillingInvoice(Model):
    """What the business owes to the platform: not an invoice to a customer.

    Attributes:

        id: The billing invoice's id.
        status: Where it stands.
        amount_usd: What it is about, in US dollars (`amountUSD` in lists, `amountUsd` in a subscription change).
        due_at: When it has to be paid; in lists only.
        network_id: Where it is to be paid; in a subscription change only.
        token: In what it is to be paid; in a subscription change only.

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
    """How to pay a billing invoice; `expected_amount_raw` is in the token's smallest unit."""

    network_id: str
    token: str
    expected_amount_raw: int | None = digits()


@attrs.frozen(kw_only=True)
class SubscriptionChange(Model):
    """What came of a request for another plan or mode: an invoice to pay, or a downgrade at the end of the cycle.

    Attributes:

        state: What happens next; the documents show `payment_required`.
        from_plan_code: The plan so far.
        to_plan_code: The plan asked for.
        billing_mode: How often it is to be paid for.
        invoice: What has to be paid, if anything.
        payment_instructions: How, if anything.

    Source: seed 003, "Request billing subscription change"; the answer to a downgrade is not shown there.
    """

    state: str
    from_plan_code: PlanCode | str | None = None
    to_plan_code: PlanCode | str | None = None
    billing_mode: BillingMode | str | None = None
    invoice: BillingInvoice | None = None
    payment_instructions: PaymentInstructions | None = None


@attrs.frozen(kw_only=True)
class BillingCycle(Model):
    """The time that is billed as one."""

    start: datetime
    end: datetime


@attrs.frozen(kw_only=True)
class LinkedPayoutUsage(Model):
    """How many linked payouts there were in the cycle, and how many it includes."""

    count: int
    quota: int | None = None


@attrs.frozen(kw_only=True)
class BillingUsage(Model):
    """What the current cycle has used up.

    Source: seed 003, "Get billing usage".
    """

    cycle: BillingCycle
    linked_payout_usage: LinkedPayoutUsage | None = None


@attrs.frozen(kw_only=True)
class BillingPayment(Model):
    """The answer to a payment that was attached to a billing invoice.

    Attributes:

        ok: Whether it was taken.
        status: Where the billing invoice stands now.
        replayed: Whether the same transaction had been attached to it before.

    Source: seed 003, "Attach billing payment".
    """

    ok: bool
    status: BillingInvoiceStatus | str
    replayed: bool | None = None
