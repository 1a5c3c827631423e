"""Withdrawal quotes, the one part of the API that writes money as JSON numbers."""

from __future__ import annotations

import attrs

from paychainhq._core.model import JsonNumber, wire
from paychainhq.models.base import Model
from paychainhq.models.chains import Chain


@attrs.frozen(kw_only=True)
class WithdrawalOption(Model):
    """Option for the execution of a withdrawal.

    Attributes:
        type: The kind of option; the documents show `exact_withdrawal`.
        label: The display name.
        payout_usd: The payout, in US dollars.
        sweep_count: The number of addresses that would be swept first.
        total_cost_usd: The cost, in US dollars.
        fee_percent: The cost in percent.
        available: Whether it can be chosen.
    """

    type: str
    label: str | None = None
    payout_usd: JsonNumber | None = wire("payoutUSD")
    sweep_count: int | None = None
    total_cost_usd: JsonNumber | None = wire("totalCostUSD")
    fee_percent: JsonNumber | None = None
    available: bool | None = None


@attrs.frozen(kw_only=True)
class WithdrawalQuote(Model):
    """Feasibility and options of a withdrawal at present; not a promise of its execution.

    Attributes:
        requested_amount_usd: The requested amount, in US dollars.
        token: The token.
        chain: The chain family.
        network_id: The network, such as `base-mainnet`.
        treasury_balance_usd: The treasury's balance, in US dollars.
        total_available_usd: The treasury's balance after a sweep, in US dollars.
        addresses_with_funds: The number of addresses with funds.
        sweep_needed: Whether addresses have to be swept first.
        recommended: The option that the server recommends.
        message: The quote in a sentence.
        options: The options.

    Source: reference/withdrawals-treasury.
    """

    token: str
    chain: Chain | str
    options: tuple[WithdrawalOption, ...]
    requested_amount_usd: JsonNumber = wire("requestedAmountUSD", default=attrs.NOTHING)
    network_id: str | None = None
    treasury_balance_usd: JsonNumber | None = wire("treasuryBalanceUSD")
    total_available_usd: JsonNumber | None = wire("totalAvailableUSD")
    addresses_with_funds: int | None = None
    sweep_needed: bool | None = None
    recommended: str | None = None
    message: str | None = None
