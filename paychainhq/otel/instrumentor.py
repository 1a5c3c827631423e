"""Instrumentor for `opentelemetry-instrument`, whose package defines the base class."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from paychainhq.otel import instrument, uninstrument


class PayChainHQInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Instrumentor of all clients and receivers that are made after it has run."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: the instrumentor is part of the package that it instruments."""
        return ()

    def _instrument(self, **settings: Any) -> None:
        instrument(
            tracer_provider=settings.get("tracer_provider"),
            meter_provider=settings.get("meter_provider"),
        )

    def _uninstrument(self, **_: Any) -> None:
        uninstrument()
