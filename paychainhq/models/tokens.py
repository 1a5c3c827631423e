"""Tokens that the business can use."""

from __future__ import annotations

import attrs

from paychainhq.models.base import Model
from paychainhq.models.chains import Chain


@attrs.frozen(kw_only=True)
class Token(Model):
    """Token on a network.

    Attributes:
        symbol: The token, such as `USDC`.
        name: The display name.
        chain: The chain family.
        network_id: The network, such as `base-mainnet`.
        decimals: The number of decimal places between raw and display amounts.
        is_active: Whether it is in use.
        contract_address: Its contract on that network; not in lists.

    Source: seed 003, "List supported tokens", "List tokens by network" and "Get token details".
    """

    symbol: str
    decimals: int
    name: str | None = None
    chain: Chain | str | None = None
    network_id: str | None = None
    is_active: bool | None = None
    contract_address: str | None = None
