"""Chain families and their tokens, shared by the models of several domains."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import attrs

from paychainhq.models.base import Model


class Chain(StrEnum):
    """Chain family; another public page calls the first one `evm`."""

    ETH = "eth"
    BTC = "btc"
    SOL = "sol"


_KnownChain = Literal["eth", "btc", "sol"]
AnyChain = _KnownChain | str
"""Chain family as an argument: a known one, which editors complete, or any other text."""


@attrs.frozen(kw_only=True)
class SupportedToken(Model):
    """Token that can be received on a network.

    Attributes:
        symbol: The token, such as `USDC`.
        name: The display name.
        contract_address: Its contract on that network.
        decimals: The number of decimal places between raw and display amounts.
        deposit_enabled: Whether deposits are accepted now.

    Source: seed 003, "List supported networks" and "List supported assets".
    """

    symbol: str
    name: str | None = None
    contract_address: str | None = None
    decimals: int | None = None
    deposit_enabled: bool | None = None
