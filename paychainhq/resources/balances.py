"""Balances: `pay.balances`."""

from __future__ import annotations

from paychainhq import operations
from paychainhq.models.balances import Balance, BalanceTotal
from paychainhq.models.lists import Listing
from paychainhq.resources.base import Resource


class Balances(Resource):
    """Balances of the business."""

    __slots__ = ()

    async def list(self, *, business_id: str | None = None) -> Listing[Balance]:
        """List the balance of each token on each network.

        Args:
            business_id: The business; by default the client's.

        Source: the public page workflows/reconcile-balances.
        """
        return await self._caller.call(operations.BALANCES_LIST, {"business_id": business_id})

    async def total(self, *, business_id: str | None = None) -> BalanceTotal:
        """Return the totals of open invoices and withdrawals.

        The page mentions totals in US dollars too but shows none; if the server sends any, they are
        in the result's `extra`.

        Args:
            business_id: The business; by default the client's.

        Source: the public page workflows/reconcile-balances.
        """
        return await self._caller.call(operations.BALANCES_TOTAL, {"business_id": business_id})
