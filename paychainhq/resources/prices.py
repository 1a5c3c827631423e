"""Prices: `pay.prices`."""

from __future__ import annotations

from paychainhq import operations
from paychainhq.models.lists import Listing
from paychainhq.models.prices import Price
from paychainhq.resources.base import Resource


class Prices(Resource):
    """Cached token prices in US dollars, for display and not for accounts."""

    __slots__ = ()

    async def list(self) -> Listing[Price]:
        """List the cached prices of all tokens in US dollars; sends no key.

        The prices are for display: never the only source of your accounts.

        Source: seed 003, "List prices".
        """
        return await self._caller.call(operations.PRICES_LIST)

    async def get(self, symbol: str) -> Price:
        """Return the latest cached price of one token in US dollars; sends no key.

        The price is for display, never the only source of your accounts; `priced_at`, `ttl_ms` and
        `stale` give its age.

        Args:
            symbol: The token's symbol, such as `"USDC"`.

        Raises:
            NotFoundError: There is no price of such a token.

        Source: seed 003, "Get token price".
        """
        return await self._caller.call(operations.PRICES_GET, {"symbol": symbol})
