"""Webhook schemes of the two APIs: signature and retry schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from paychainhq import webhooks
from paychainhq.emulator.state import Row
from paychainhq.gateway import webhooks as gateway_webhooks


def _signed(row: Row, seconds: float) -> dict[str, str]:
    return webhooks.sign(
        row["body"],
        secret=row["secret"],
        webhook_id=row["id"],
        attempt=row["attempts"],
        timestamp=seconds,
        bearer=row["bearer"],
    )


def _signed_by_gateway(row: Row, seconds: float) -> dict[str, str]:
    """Return the headers.

    Assumption: no page says whether a repeated webhook has a new timestamp. Here it has.
    """
    return gateway_webhooks.sign(
        row["body"], secret=row["secret"], event=row["event_type"], timestamp=seconds
    )


@attrs.frozen
class Scheme:
    """Webhook scheme.

    Attributes:
        schedule: Seconds before each repeat, counted from the attempt before it.
        timeout: Seconds until an attempt without a response has failed.
        sign: The function that returns the headers.
    """

    schedule: Sequence[int]
    timeout: float
    sign: Callable[[Row, float], dict[str, str]]


SCHEMES = {
    # Assumption: the page says "up to 5 times" and gives five delays. Here they follow the first
    # attempt, which makes six attempts.
    "paychain": Scheme((60, 300, 900, 3600, 21_600), 30.0, _signed),
    "gateway": Scheme((60, 600, 3600, 10_800, 43_200, 86_400), 10.0, _signed_by_gateway),
}
