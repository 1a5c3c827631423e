"""Networks of the API."""

from __future__ import annotations

from decimal import Decimal

import attrs

from paychainhq.models.base import Model
from paychainhq.models.chains import Chain, SupportedToken


@attrs.frozen(kw_only=True)
class Network(Model):
    """Network, with the tokens that can be received on it.

    Attributes:
        network_id: The network's id, such as `base-mainnet`.
        name: The display name.
        chain: The chain family.
        type: The kind of network, in upper case here (`MAINNET`); payment methods have it in lower
            case.
        is_active: Whether it is in use.
        deposit_enabled: Whether deposits are accepted now.
        minimum_deposit_usd: The smallest deposit, in US dollars.
        dust_threshold_usd: The amount below which funds are not moved, in US dollars.
        supported_tokens: The tokens.

    Source: seed 003, "List supported networks".
    """

    network_id: str
    name: str
    chain: Chain | str
    supported_tokens: tuple[SupportedToken, ...]
    type: str | None = None
    is_active: bool | None = None
    deposit_enabled: bool | None = None
    minimum_deposit_usd: Decimal | None = None
    dust_threshold_usd: Decimal | None = None
