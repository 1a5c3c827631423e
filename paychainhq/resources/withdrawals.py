"""Withdrawals: `pay.withdrawals`."""

from __future__ import annotations

from paychainhq import operations
from paychainhq._core.validators import Money
from paychainhq.models.chains import AnyChain
from paychainhq.models.withdrawals import WithdrawalQuote
from paychainhq.resources.base import Resource


class Withdrawals(Resource):
    """Quotes for withdrawals.

    No document shows how to make a withdrawal, so there is no method for it (use `pay.request`).
    """

    __slots__ = ()

    async def quote(
        self,
        amount: Money,
        token: str,
        chain: AnyChain,
        network_id: str | None = None,
        force_sweep_all: bool | None = None,
        *,
        business_id: str | None = None,
    ) -> WithdrawalQuote:
        """Quote a withdrawal as of now; nothing is moved.

        A quote is no promise: confirmations, the treasury and the network's rules at that time
        decide whether it is executed.

        Args:
            amount: The amount in the token's display unit: a `str`, an `int` or a `Decimal`.
            token: The token's symbol, such as `"USDC"`.
            chain: The chain family: `"eth"`, `"btc"` or `"sol"`.
            network_id: The network, such as `"base-mainnet"`.
            force_sweep_all: Sweep small remainders of addresses too, which still guarantees
                nothing; by default not.
            business_id: The business; by default the client's.

        Raises:
            InvalidArgumentError: An argument is invalid; nothing was sent.

        Source: the public page reference/withdrawals-treasury.
        """
        given = {
            "amount": amount,
            "token": token,
            "chain": chain,
            "network_id": network_id,
            "force_sweep_all": force_sweep_all,
            "business_id": business_id,
        }
        return await self._caller.call(operations.WITHDRAWALS_QUOTE, given)
