"""Propagation of a span to the server, by headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import baggage, propagate, trace

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator

_W3C = {"traceparent", "tracestate", "baggage"}
_usual: TextMapPropagator | None = None


def headers(here: Context) -> dict[str, str]:
    """Return the headers that propagate the span of a context.

    Usually that is one `traceparent`, which is written here at a third of the cost.
    """
    span = trace.get_current_span(here).get_span_context()
    propagator = propagate.get_global_textmap()
    if not _is_usual(propagator) or span.trace_state or baggage.get_all(here):
        carrier: dict[str, str] = {}
        propagate.inject(carrier, here)
        return carrier
    if not span.is_valid:
        return {}
    return {"traceparent": f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"}


def _is_usual(propagator: TextMapPropagator) -> bool:
    """Return whether a propagator writes the headers of the W3C, as the default one does."""
    global _usual  # noqa: PLW0603 (a cache)
    if propagator is not _usual:
        if propagator.fields != _W3C:
            return False
        _usual = propagator
    return True
