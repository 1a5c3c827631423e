"""How the two APIs sign their webhooks, and how often they send them."""

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
    """Assumption: no page says whether a webhook that is sent again has a new timestamp; it has."""
    return gateway_webhooks.sign(row["body"], secret=row["secret"], event=row["event_type"], timestamp=seconds)


@attrs.frozen
class Scheme:
    """How webhooks of one kind are sent.

    Attributes:

        schedule: Seconds before each repeat, counted from the attempt before it.
        patience: Seconds that the endpoint has for its answer.
        sign: Makes the headers.
    """

    schedule: Sequence[int]
    patience: float
    sign: Callable[[Row, float], dict[str, str]]


SCHEMES = {
    # Assumption: the page says "up to 5 times" and gives five delays. They are taken as what comes after the first attempt, so
    # there are six.
    "paychain": Scheme((60, 300, 900, 3600, 21_600), 30.0, _signed),
    "gateway": Scheme((60, 600, 3600, 10_800, 43_200, 86_400), 10.0, _signed_by_gateway),
}
