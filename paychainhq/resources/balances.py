"""Balances: `pay.balances`."""

from __future__ import annotations

from paychainhq import operations
from paychainhq.models.balances import Balance, BalanceTotal
from paychainhq.models.lists import Listing
from paychainhq.resources.base import Resource


class Balances(Resource):
    """What the business holds."""

    __slots__ = ()

    async def list(self, *, business_id: str | None = None) -> Listing[Balance]:
        """List what the business holds of each token on each network.

        Args:

            business_id: Whose balances; by default the client's.

        Source: the public page workflows/reconcile-balances.
        """
        return await self._caller.call(operations.BALANCES_LIST, {"business_id": business_id})

    async def total(self, *, business_id: str | None = None) -> BalanceTotal:
        """Return what is under way in total: open invoices and withdrawals.

        The page speaks of totals in US dollars too but shows none; if they come, they are in the result's `extra`.

        Args:

            business_id: Whose total; by default the client's.

        Source: the public page workflows/reconcile-balances.
        """
        return await self._caller.call(operations.BALANCES_TOTAL, {"business_id": business_id})
