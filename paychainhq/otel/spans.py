"""Observers: the span and the metrics of one call, attempt, job, round or delivery."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import attrs
from opentelemetry import context, trace

# The key by which instrumentations of HTTP clients recognize a request that has its span already.
# `opentelemetry.instrumentation.utils` shares it, but is no part of the API.
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY as HAS_SPAN
from opentelemetry.trace import INVALID_SPAN, Link, SpanKind, Status, StatusCode

from paychainhq.otel.propagation import headers

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from paychainhq.otel.attributes import Attributes
    from paychainhq.otel.metrics import Instruments, Measurements
    from paychainhq.telemetry import (
        AttemptEnd,
        CallEnd,
        DeliveryEnd,
        JobEnd,
        RoundEnd,
    )

_FAILED = Status(StatusCode.ERROR)
# Calls whose spans are children of the span of their job. Each later call has a trace of its own,
# with a link: a trace of a million spans can be neither sampled nor shown.
_MOST_CHILDREN = 1000


@attrs.define
class Recorder:
    """Tracer and instruments of one telemetry."""

    tracer: Tracer
    instruments: Instruments
    measurements: Measurements
    records_keys: bool


@attrs.define
class _Parent:
    """Span of the job or the round whose calls are in progress, and their number."""

    span: Span
    calls: int = 0


_parent: ContextVar[_Parent | None] = ContextVar("paychainhq_otel_parent", default=None)


def _end(span: Span, error: str | None, facts: dict[str, Any]) -> None:
    """End a span, with further attributes."""
    if error is not None:
        facts = {**facts, "error.type": error}
        span.set_status(_FAILED)
    if facts:
        span.set_attributes(facts)
    span.end()


class Call:
    """Call in progress."""

    __slots__ = ("_attributes", "_recorder", "_span", "_token")

    def __init__(self, recorder: Recorder, attributes: Attributes, here: Context) -> None:
        self._recorder, self._attributes = recorder, attributes
        links = None
        if (parent := _parent.get()) is not None:
            parent.calls += 1
            if parent.calls > _MOST_CHILDREN:
                here = trace.set_span_in_context(INVALID_SPAN, here)
                links = [Link(parent.span.get_span_context())]
        self._span = recorder.tracer.start_span(
            attributes.operation, here, SpanKind.INTERNAL, attributes.call, links
        )
        self._token = context.attach(trace.set_span_in_context(self._span, here))

    def attempt(self, number: int, path: str) -> Attempt:
        here, span = context.get_current(), None
        # Samplers let a span follow its parent: if that is dropped, an attempt needs none.
        if self._span.is_recording():
            attributes = self._attributes
            facts = {**attributes.attempt, "url.full": attributes.origin + path}
            if number > 1:
                facts["http.request.resend_count"] = number - 1
            span = self._recorder.tracer.start_span(
                attributes.attempt_name, here, SpanKind.CLIENT, facts
            )
            here = trace.set_span_in_context(span, here)
        return Attempt(self._recorder, self._attributes, number > 1, span, here)

    def end(self, end: CallEnd) -> None:
        recorder, attributes = self._recorder, self._attributes
        instruments, add = recorder.instruments, recorder.measurements.add
        add(instruments.calls, end.elapsed, attributes.of_call(end.error))
        for reason, seconds in end.waited.items():
            add(instruments.waits, seconds, attributes.of_wait(reason))
        if end.replayed:
            instruments.replays.add(1, attributes.call)
        context.detach(self._token)
        if self._span.is_recording():
            _end(self._span, end.error, self._facts(end))

    def _facts(self, end: CallEnd) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        if len(end.attempts) != 1:
            facts["paychainhq.attempts"] = len(end.attempts)
            facts["paychainhq.sent"] = end.sent
        for reason, seconds in end.waited.items():
            facts[f"paychainhq.wait.{reason}"] = seconds
        if end.replayed:
            facts["paychainhq.replayed"] = True
        if self._recorder.records_keys and end.idempotency_key is not None:
            facts["paychainhq.idempotency_key"] = end.idempotency_key
        return facts


class Attempt:
    """Attempt in progress.

    Args:
        recorder: The recorder of its metrics.
        attributes: The attributes of its operation.
        is_retry: Whether it is not the first one of its call.
        span: Its span, or None.
        here: The context with the span to propagate.

    Attributes:
        headers: The headers that propagate the span.
    """

    __slots__ = ("_attributes", "_is_retry", "_recorder", "_span", "_token", "headers")

    def __init__(
        self,
        recorder: Recorder,
        attributes: Attributes,
        is_retry: bool,
        span: Span | None,
        here: Context,
    ) -> None:
        self._recorder, self._attributes = recorder, attributes
        self._is_retry, self._span = is_retry, span
        self.headers = headers(here)
        self._token = context.attach(context.set_value(HAS_SPAN, True, here))

    def end(self, end: AttemptEnd) -> None:
        attempt, recorder, span = end.attempt, self._recorder, self._span
        status = attempt.status
        error = str(status) if status is not None and status >= 400 else end.error
        labels = self._attributes.of_request(status, error)
        recorder.measurements.add(recorder.instruments.requests, attempt.elapsed, labels)
        if self._is_retry:
            recorder.instruments.retries.add(1, self._attributes.call)
        context.detach(self._token)
        if span is not None:
            facts: dict[str, Any] = {}
            if status is not None:
                facts["http.response.status_code"] = status
            if end.request_id is not None:
                facts["paychainhq.request_id"] = end.request_id
            _end(span, error, facts)


class _Group:
    """Job or round in progress; its context belongs to it alone."""

    def __init__(self, recorder: Recorder, name: str) -> None:
        self._span = recorder.tracer.start_span(name)
        context.attach(trace.set_span_in_context(self._span))
        _parent.set(_Parent(self._span))


class Job(_Group):
    """Job in progress."""

    def end(self, end: JobEnd) -> None:
        _end(
            self._span,
            end.error,
            {"paychainhq.job.succeeded": end.ok, "paychainhq.job.failed": end.failed},
        )


class Round(_Group):
    """Round of a watch in progress."""

    def __init__(self, recorder: Recorder, name: str) -> None:
        super().__init__(recorder, name)
        self._lags = recorder.instruments.lags

    def end(self, end: RoundEnd) -> None:
        for lag in end.lags:
            self._lags.record(lag)
        _end(
            self._span,
            end.error,
            {
                "paychainhq.watch.invoices": end.watched,
                "paychainhq.watch.changes": end.changes,
                "paychainhq.watch.behind": end.behind,
            },
        )


class Delivery:
    """Delivery of a webhook in progress."""

    def __init__(self, recorder: Recorder) -> None:
        self._instruments = recorder.instruments
        self._span = recorder.tracer.start_span("webhook handle", None, SpanKind.CONSUMER)
        self._token = context.attach(trace.set_span_in_context(self._span))

    def end(self, end: DeliveryEnd) -> None:
        facts: dict[str, Any] = {"paychainhq.webhook.outcome": end.outcome}
        if end.event is not None:
            facts["paychainhq.webhook.event"] = end.event
        self._instruments.events.add(1, facts)
        if end.handled is not None:
            self._instruments.handlers.record(end.handled, facts)
        context.detach(self._token)
        _end(self._span, end.error, facts)
