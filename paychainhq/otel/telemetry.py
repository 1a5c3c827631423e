"""Telemetry by OpenTelemetry."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry import context, metrics, trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY as SUPPRESSED

from paychainhq._version import __version__
from paychainhq.otel import gauges
from paychainhq.otel.attributes import Attributes
from paychainhq.otel.metrics import instruments
from paychainhq.otel.spans import Call, Delivery, Job, Recorder, Round
from paychainhq.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from paychainhq._core.statistics import Statistics
    from paychainhq.otel.gauges import ListedLedger
    from paychainhq.telemetry import Endpoint

_PAUSE = 1.0  # seconds between two searches for an SDK, which cost more than all hooks without one
_SCHEMA = "https://opentelemetry.io/schemas/1.37.0"


class OpenTelemetry(Telemetry):
    """Telemetry by OpenTelemetry: `PayChainHQ(telemetry=OpenTelemetry())`.

    Several clients and receivers may share it. Its spans and metrics contain no key, query, header
    or body, and no message of an error. Without an SDK, nothing is done.

    Args:
        tracer_provider: The provider of the tracer; the global one by default.
        meter_provider: The provider of the meter; the global one by default.
        record_keys: Record the idempotency key of each call in its span.
        ledger: A ledger whose unfinished and refused entries are counted whenever metrics are
            collected, which reads its file.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        record_keys: bool = False,
        ledger: ListedLedger | None = None,
    ) -> None:
        self._providers = tracer_provider, meter_provider
        self._has_sdk = False
        self._next_search = 0.0
        meter = metrics.get_meter("paychainhq", __version__, meter_provider, _SCHEMA)
        self._gauges = gauges.of(meter, meter_provider)
        self._recorder = Recorder(
            trace.get_tracer("paychainhq", __version__, tracer_provider, _SCHEMA),
            instruments(meter),
            self._gauges.measurements,
            record_keys,
        )
        if ledger is not None:
            self._gauges.add_ledger(ledger)
        self._attributes: dict[Endpoint, Attributes] = {}

    def client(self, origin: str, statistics: Callable[[], Statistics | None]) -> None:
        self._gauges.add(origin, statistics)

    def call(self, endpoint: Endpoint) -> Call | None:
        here = context.get_current()
        if not self._is_on(here):
            return None
        attributes = self._attributes.get(endpoint)
        if attributes is None:
            attributes = self._attributes[endpoint] = Attributes(endpoint)
        return Call(self._recorder, attributes, here)

    def job(self, name: str) -> Job | None:
        return Job(self._recorder, name) if self._is_on(context.get_current()) else None

    def round(self, name: str) -> Round | None:
        return Round(self._recorder, name) if self._is_on(context.get_current()) else None

    def delivery(self) -> Delivery | None:
        return Delivery(self._recorder) if self._is_on(context.get_current()) else None

    def _is_on(self, here: Context) -> bool:
        """Return whether an SDK is configured, and a context is to be observed."""
        if not self._has_sdk:
            # An application may configure its SDK after it has made its clients.
            now = time.monotonic()
            if now < self._next_search:
                return False
            self._next_search = now + _PAUSE
            tracers, meters = self._providers
            self._has_sdk = _is_of_sdk(tracers or trace.get_tracer_provider()) or _is_of_sdk(
                meters or metrics.get_meter_provider()
            )
        return self._has_sdk and SUPPRESSED not in here


def _is_of_sdk(provider: TracerProvider | MeterProvider) -> bool:
    """Return whether a provider may record anything; those of the API do not."""
    return not type(provider).__module__.startswith(
        ("opentelemetry.trace", "opentelemetry.metrics")
    )
