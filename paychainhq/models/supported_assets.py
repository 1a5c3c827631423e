"""Payment methods: accepted networks and tokens of the platform or of one business."""

from __future__ import annotations

from decimal import Decimal

import attrs

from paychainhq.models.base import Model
from paychainhq.models.chains import Chain, SupportedToken


@attrs.frozen(kw_only=True)
class PaymentMethod(Model):
    """Network for payments, with the tokens accepted on it.

    Attributes:
        network_id: The network's id, such as `base-mainnet`.
        tokens: The tokens.
        network_name: The network's display name.
        display_name: The method's display name for a payer.
        chain: The chain family.
        chain_family: The chain family again.
        network_type: The kind of network, in lower case here (`mainnet`); `networks.list` has it in
            upper case.
        status: The status; the documents show `active`.
        deposit_enabled: Whether deposits are accepted now.
        customer_permanent_addresses: Whether customers have permanent addresses on it.
        required_confirmations: The number of confirmations after which a payment is settled.
        minimum_deposit_usd: The smallest deposit, in US dollars.
        dust_threshold_usd: The amount below which funds are not moved, in US dollars.

    Source: seed 003, "List supported assets" and "List business payment methods".
    """

    network_id: str
    tokens: tuple[SupportedToken, ...]
    network_name: str | None = None
    display_name: str | None = None
    chain: Chain | str | None = None
    chain_family: Chain | str | None = None
    network_type: str | None = None
    status: str | None = None
    deposit_enabled: bool | None = None
    customer_permanent_addresses: bool | None = None
    required_confirmations: int | None = None
    minimum_deposit_usd: Decimal | None = None
    dust_threshold_usd: Decimal | None = None
