"""Instruments of the metrics that calls, watches and webhooks record."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from opentelemetry import context

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter, Histogram, Meter

# Advised by the conventions for HTTP.
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
# A watch reads an invoice again after seconds, or after many minutes.
_LAG_BOUNDS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


# Values that are recorded at a time, which takes less than half a millisecond.
_BATCH = 64


class Measurements:
    """Values that are recorded together: when there are many, or when metrics are collected.

    Between two calls the processor forgets the code of the SDK, which then takes up to twice as
    long for a value as in a row of values.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Histogram, float, Mapping[str, Any], Context]] = deque()

    def add(self, histogram: Histogram, value: float, attributes: Mapping[str, Any]) -> None:
        """Add a value, with the span of the current context as its exemplar."""
        self._waiting.append((histogram, value, attributes, context.get_current()))
        if len(self._waiting) >= _BATCH:
            self.record()

    def record(self) -> None:
        """Record all values, in any thread."""
        while self._waiting:
            try:
                histogram, value, attributes, here = self._waiting.popleft()
            except IndexError:  # another thread was faster
                return
            histogram.record(value, attributes, here)


@attrs.frozen
class Instruments:
    """Instruments of one meter; `docs/telemetry.md` describes their metrics."""

    requests: Histogram
    calls: Histogram
    waits: Histogram
    retries: Counter
    replays: Counter
    lags: Histogram
    events: Counter
    handlers: Histogram


def instruments(meter: Meter) -> Instruments:
    """Create the instruments of a meter."""

    def seconds(name: str, meaning: str, bounds: Sequence[float] = _BOUNDS) -> Histogram:
        return meter.create_histogram(
            name, "s", meaning, explicit_bucket_boundaries_advisory=bounds
        )

    count = meter.create_counter
    return Instruments(
        requests=seconds("http.client.request.duration", "Duration of HTTP client requests."),
        calls=seconds(
            "paychainhq.client.call.duration", "Duration of calls, attempts and waits included."
        ),
        waits=seconds("paychainhq.client.wait.duration", "Waits of calls, by their reason."),
        retries=count("paychainhq.client.retries", "{attempt}", "Attempts after a call's first."),
        replays=count("paychainhq.ledger.replays", "{call}", "Calls answered by the ledger."),
        lags=seconds(
            "paychainhq.watch.lag",
            "Longest possible age of a change when it is seen.",
            _LAG_BOUNDS,
        ),
        events=count("paychainhq.webhook.events", "{event}", "Deliveries of webhooks."),
        handlers=seconds("paychainhq.webhook.handle.duration", "Duration of webhook handlers."),
    )
