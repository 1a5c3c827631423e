"""Token prices."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import attrs

from paychainhq.models.base import Model


@attrs.frozen(kw_only=True)
class Price(Model):
    """Price of a token, for display: accounts need a better source than this one alone.

    Attributes:
        symbol: The token.
        usd: The price of one token, in US dollars.
        source: The source of the price, such as `coingecko`.
        stale: Whether the server considers the price outdated.
        priced_at: The time of the price; not in lists.
        ttl_ms: The cache lifetime, in milliseconds; not in lists.

    Source: seed 003, "List prices" and "Get token price".
    """

    symbol: str
    usd: Decimal
    source: str | None = None
    stale: bool | None = None
    priced_at: datetime | None = None
    ttl_ms: int | None = None
