"""Tokens: `pay.tokens`."""

from __future__ import annotations

from paychainhq import operations
from paychainhq.models.lists import Listing
from paychainhq.models.tokens import Token
from paychainhq.resources.base import Resource


class Tokens(Resource):
    """Tokens that the business can use. They require the standard key."""

    __slots__ = ()

    async def list(self) -> Listing[Token]:
        """List the tokens that the business can use.

        Source: seed 003, "List supported tokens".
        """
        return await self._caller.call(operations.TOKENS_LIST)

    async def list_by_network(self, network_id: str) -> Listing[Token]:
        """List the tokens of one network.

        Args:
            network_id: The network, such as `"base-mainnet"`.

        Raises:
            NotFoundError: There is no such network.

        Source: seed 003, "List tokens by network".
        """
        return await self._caller.call(
            operations.TOKENS_LIST_BY_NETWORK, {"network_id": network_id}
        )

    async def get(self, symbol: str) -> Token:
        """Return a token with its decimals and its contract address.

        Args:
            symbol: The token's symbol, such as `"USDC"`.

        Raises:
            NotFoundError: There is no such token.

        Source: seed 003, "Get token details".
        """
        return await self._caller.call(operations.TOKENS_GET, {"symbol": symbol})
