"""OpenTelemetry: spans and metrics of calls, attempts, jobs, watches and webhooks.

`PayChainHQ(telemetry=OpenTelemetry())` observes one client, `instrument()` each client and receiver
that is made afterwards, and `opentelemetry-instrument python app.py` those of a program. The extra
`otel` installs OpenTelemetry's API; your application chooses an SDK. Without one, nothing is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    from paychainhq.otel.telemetry import OpenTelemetry
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "opentelemetry":
        raise
    raise ModuleNotFoundError(
        "paychainhq.otel requires OpenTelemetry's API: pip install 'paychainhq[otel]'",
        name=error.name,
    ) from error

from paychainhq.telemetry import Telemetry, install

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from paychainhq.otel.gauges import ListedLedger

__all__ = ["OpenTelemetry", "instrument", "uninstrument"]

_former: list[Telemetry | None] = []


def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    record_keys: bool = False,
    ledger: ListedLedger | None = None,
) -> None:
    """Observe each client and receiver that is made from now on, unless it has its own telemetry.

    The arguments are those of `OpenTelemetry`.
    """
    telemetry = OpenTelemetry(
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        record_keys=record_keys,
        ledger=ledger,
    )
    _former.append(install(telemetry))


def uninstrument() -> None:
    """Undo the last `instrument`; clients that exist keep their telemetry."""
    if _former:
        install(_former.pop())
