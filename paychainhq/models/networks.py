"""Networks that the API knows."""

from __future__ import annotations

from decimal import Decimal

import attrs

from paychainhq.models.base import Model
from paychainhq.models.chains import Chain, SupportedToken


@attrs.frozen(kw_only=True)
class Network(Model):
    """A network, and the tokens that can be received on it.

    Attributes:

        network_id: The network's id, such as `base-mainnet`.
        name: Its name for people.
        chain: The chain family.
        type: The kind of network, in capitals here (`MAINNET`); payment methods write it in small letters.
        is_active: Whether it is in use.
        deposit_enabled: Whether deposits are taken at the moment.
        minimum_deposit_usd: The smallest deposit, in US dollars.
        dust_threshold_usd: What counts as too little to be moved, in US dollars.
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
