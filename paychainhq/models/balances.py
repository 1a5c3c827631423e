"""Balances by asset, and what is open in total."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import attrs

from paychainhq.models.base import Model
from paychainhq.models.chains import Chain


@attrs.frozen(kw_only=True)
class Balance(Model):
    """What the business holds of one token on one network.

    Attributes:

        chain: The chain family.
        network_id: The network, such as `base-mainnet`.
        token: The token.
        available: What is there, in the token's display unit.
        withdrawable: What of it could be withdrawn, in the same unit.

    Source: workflows/reconcile-balances.
    """

    chain: Chain | str
    network_id: str
    token: str
    available: Decimal
    withdrawable: Decimal | None = None


@attrs.frozen(kw_only=True)
class BalanceTotal(Model):
    """What is under way in total.

    Attributes:

        open_invoice_count: How many invoices are open.
        in_flight_withdrawal_count: How many withdrawals are under way.
        next_open_invoice_expiry_at: When the next open invoice ends, or None.

    Source: workflows/reconcile-balances. The page speaks of totals in US dollars too, but shows none: they would be in `extra`.
    """

    open_invoice_count: int | None = None
    in_flight_withdrawal_count: int | None = None
    next_open_invoice_expiry_at: datetime | None = None
