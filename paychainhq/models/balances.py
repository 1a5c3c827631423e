"""Balances by asset, and totals of open items."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import attrs

from paychainhq.models.base import Model
from paychainhq.models.chains import Chain


@attrs.frozen(kw_only=True)
class Balance(Model):
    """Balance of one token on one network.

    Attributes:
        chain: The chain family.
        network_id: The network, such as `base-mainnet`.
        token: The token.
        available: The balance in the token's display unit.
        withdrawable: The part of the balance that could be withdrawn, in the same unit.

    Source: workflows/reconcile-balances.
    """

    chain: Chain | str
    network_id: str
    token: str
    available: Decimal
    withdrawable: Decimal | None = None


@attrs.frozen(kw_only=True)
class BalanceTotal(Model):
    """Totals of open invoices and withdrawals.

    Attributes:
        open_invoice_count: The number of open invoices.
        in_flight_withdrawal_count: The number of withdrawals in progress.
        next_open_invoice_expiry_at: The expiry of the open invoice that expires next, or None.

    Source: workflows/reconcile-balances. The page mentions totals in US dollars too, but shows
    none: they would be in `extra`.
    """

    open_invoice_count: int | None = None
    in_flight_withdrawal_count: int | None = None
    next_open_invoice_expiry_at: datetime | None = None
