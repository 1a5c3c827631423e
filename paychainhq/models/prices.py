"""Token prices."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import attrs

from paychainhq.models.base import Model


@attrs.frozen(kw_only=True)
class Price(Model):
    """The price of a token, for display: the books need a better source than this one alone.

    Attributes:

        symbol: The token.
        usd: What one of it costs, in US dollars.
        source: Who says so, such as `coingecko`.
        stale: Whether the server takes the price for outdated.
        priced_at: When it was taken; not in lists.
        ttl_ms: How long it may be kept, in milliseconds; not in lists.

    Source: seed 003, "List prices" and "Get token price".
    """

    symbol: str
    usd: Decimal
    source: str | None = None
    stale: bool | None = None
    priced_at: datetime | None = None
    ttl_ms: int | None = None
