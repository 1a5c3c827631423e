"""Collector that writes spans and metrics to files, one JSON document a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult


class SpanFile(SpanExporter):
    """Exporter of spans to a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._file.writelines(f"{span.to_json(indent=None)}\n" for span in spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._file.close()


class MetricFile(MetricExporter):
    """Exporter of metrics to a file, one line for each collection."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("w", encoding="utf-8")

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any
    ) -> MetricExportResult:
        self._file.write(f"{metrics_data.to_json(indent=None)}\n")
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        self._file.flush()
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        self._file.close()


def providers(folder: Path, seconds: float) -> tuple[TracerProvider, MeterProvider]:
    """Return providers that write `spans.jsonl` and `metrics.jsonl` to a folder.

    Args:
        folder: The folder.
        seconds: The time between two collections of metrics.
    """
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(SpanFile(folder / "spans.jsonl")))
    reader = PeriodicExportingMetricReader(
        MetricFile(folder / "metrics.jsonl"), export_interval_millis=seconds * 1e3
    )
    return tracers, MeterProvider([reader])
