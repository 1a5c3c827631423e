"""Telemetry with exporters in memory, and readers of its spans and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from paychainhq.otel import OpenTelemetry

Point = tuple[Mapping[str, Any], Any]


class Recorded:
    """Telemetry whose spans and metrics stay in memory."""

    def __init__(self, **settings: Any) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = OpenTelemetry(
            tracer_provider=self.tracers, meter_provider=self.meters, **settings
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        """Return the ended spans, in the order of their starts."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name."""
        return [span for span in self.spans if span.name == name]

    def of_kind(self, kind: SpanKind) -> list[ReadableSpan]:
        """Return the spans of a kind."""
        return [span for span in self.spans if span.kind is kind]

    def metrics(self) -> dict[str, list[Point]]:
        """Return the attributes and the value of each point, by the name of the metric.

        The value of a histogram is its count.
        """
        found: dict[str, list[Point]] = {}
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        value = getattr(point, "count", None)
                        value = getattr(point, "value", None) if value is None else value
                        found.setdefault(metric.name, []).append(
                            (dict(point.attributes or {}), value)
                        )
        return found

    def everything(self) -> str:
        """Return all spans and metrics as text."""
        data = self._reader.get_metrics_data()
        shown = [span.to_json() for span in self.spans]
        return "\n".join([*shown, "" if data is None else data.to_json()])


def trace_id(span: ReadableSpan) -> int:
    """Return the id of a span's trace."""
    assert span.context is not None
    return int(span.context.trace_id)


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    """Return whether a span is the child of another one."""
    assert parent.context is not None
    return span.parent is not None and span.parent.span_id == parent.context.span_id


def failed(span: ReadableSpan) -> bool:
    """Return whether a span has the status of an error."""
    return span.status.status_code is StatusCode.ERROR


def facts(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})
