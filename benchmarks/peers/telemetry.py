"""Telemetry by OpenTelemetry: of paychainhq, and of aiohttp by its usual instrumentation.

No provider is set globally: each peer passes its own, so that all run in one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider as SDKMeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, sampling
from opentelemetry.sdk.trace import TracerProvider as SDKTracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NoOpTracerProvider, TracerProvider

from benchmarks.peers import Work, aiohttp_by_hand, paychainhq_async
from benchmarks.work import Target
from paychainhq.otel import OpenTelemetry

Peer = AbstractAsyncContextManager[Work]


class _Nowhere(SpanExporter):
    """Exporter that drops all spans: the cost of a network is not measured."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def _all_spans() -> TracerProvider:
    provider = SDKTracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Nowhere(), max_queue_size=65536))
    return provider


def _all_metrics() -> MeterProvider:
    return SDKMeterProvider([InMemoryMetricReader()])


def _create(target: Target, tracers: TracerProvider | None, meters: MeterProvider | None) -> Peer:
    telemetry = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
    return paychainhq_async.create(target, telemetry=telemetry)


def without_sdk(target: Target) -> Peer:
    return _create(target, None, None)


def not_sampled(target: Target) -> Peer:
    tracers = SDKTracerProvider(sampler=sampling.ALWAYS_OFF)
    return _create(target, tracers, NoOpMeterProvider())


def metrics(target: Target) -> Peer:
    return _create(target, NoOpTracerProvider(), _all_metrics())


def spans(target: Target) -> Peer:
    return _create(target, _all_spans(), NoOpMeterProvider())


def spans_and_metrics(target: Target) -> Peer:
    return _create(target, _all_spans(), _all_metrics())


def aiohttp(target: Target) -> Peer:
    """Create invoices by hand-written aiohttp with one span and one metric a request."""
    config = create_trace_config(tracer_provider=_all_spans(), meter_provider=_all_metrics())
    return aiohttp_by_hand.opened(target, trace_configs=[config])
