"""Withdrawal quotes; this is the one place where the API writes money as JSON numbers."""

from __future__ import annotations

from decimal import Decimal

import attrs

from paychainhq.models.base import Model, number
from paychainhq.models.chains import Chain


@attrs.frozen(kw_only=True)
class WithdrawalOption(Model):
    """One way to carry out a withdrawal.

    Attributes:

        type: The kind of option; the documents show `exact_withdrawal`.
        label: Its name for people.
        payout_usd: What would be paid out, in US dollars.
        sweep_count: How many addresses would be swept first.
        total_cost_usd: What it would cost, in US dollars.
        fee_percent: That cost in percent.
        available: Whether it can be chosen.
    """

    type: str
    label: str | None = None
    payout_usd: Decimal | None = number("payoutUSD")
    sweep_count: int | None = None
    total_cost_usd: Decimal | None = number("totalCostUSD")
    fee_percent: Decimal | None = number()
    available: bool | None = None


@attrs.frozen(kw_only=True)
class WithdrawalQuote(Model):
    """Whether and how a withdrawal could be made now: no promise that it will be.

    Attributes:

        requested_amount_usd: What was asked for, in US dollars.
        token: The token.
        chain: The chain family.
        network_id: The network, such as `base-mainnet`.
        treasury_balance_usd: What the treasury holds, in US dollars.
        total_available_usd: What it would hold after a sweep, in US dollars.
        addresses_with_funds: How many addresses hold something.
        sweep_needed: Whether addresses have to be swept first.
        recommended: Which option the server recommends.
        message: The quote in a sentence.
        options: The ways to carry it out.

    Source: reference/withdrawals-treasury.
    """

    token: str
    chain: Chain | str
    options: tuple[WithdrawalOption, ...]
    requested_amount_usd: Decimal = number("requestedAmountUSD", default=attrs.NOTHING)
    network_id: str | None = None
    treasury_balance_usd: Decimal | None = number("treasuryBalanceUSD")
    total_available_usd: Decimal | None = number("totalAvailableUSD")
    addresses_with_funds: int | None = None
    sweep_needed: bool | None = None
    recommended: str | None = None
    message: str | None = None
