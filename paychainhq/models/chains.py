"""Chain families and their tokens: what invoices, networks, payment methods and others have in common."""

from __future__ import annotations

from enum import StrEnum

import attrs

from paychainhq.models.base import Model


class Chain(StrEnum):
    """A chain family; another public page calls the first one `evm`."""

    ETH = "eth"
    BTC = "btc"
    SOL = "sol"


@attrs.frozen(kw_only=True)
class SupportedToken(Model):
    """A token that can be received on a network.

    Attributes:

        symbol: The token, such as `USDC`.
        name: Its name for people.
        contract_address: Its contract on that network.
        decimals: How many decimal places separate raw amounts from displayed ones.
        deposit_enabled: Whether deposits are taken at the moment.

    Source: seed 003, "List supported networks" and "List supported assets".
    """

    symbol: str
    name: str | None = None
    contract_address: str | None = None
    decimals: int | None = None
    deposit_enabled: bool | None = None
