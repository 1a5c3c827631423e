"""Propagation: the headers of the usual propagators, and of others."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import baggage, context, propagate
from opentelemetry.context import Context
from opentelemetry.propagators import textmap
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from paychainhq.otel.propagation import headers
from tests.otel.recorded import Recorded
from tests.support.client import PRICES, client
from tests.support.raw_server import RawServer, http_response


class Single(TraceContextTextMapPropagator):
    """Propagator of a single header with the ids in decimals."""

    fields = {"x-span"}  # noqa: RUF012 (a property of the base)

    def inject(
        self,
        carrier: Any,
        context: Context | None = None,
        setter: textmap.Setter[Any] = textmap.default_setter,
    ) -> None:
        setter.set(carrier, "x-span", str(get_current_span(context).get_span_context().span_id))


def test_the_usual_headers_are_those_of_the_propagator() -> None:
    """The headers that the package writes are those that OpenTelemetry would write."""
    tracer = Recorded().tracers.get_tracer("test")
    with tracer.start_as_current_span("x"):
        here = context.get_current()
        carrier: dict[str, str] = {}
        propagate.inject(carrier, here)
        assert headers(here) == carrier
        assert list(carrier) == ["traceparent"]
        more = baggage.set_baggage("shop", "7", here)
        assert headers(more) == {**carrier, "baggage": "shop=7"}
    assert headers(Context()) == {}


async def test_another_propagator(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt has the headers of the application's propagator, and no others."""
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", Single())
    recorded = Recorded()
    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
    ):
        await pay.prices.list()
    _, attempt = recorded.spans
    assert attempt.context is not None
    assert server.requests[0].headers["x-span"] == str(attempt.context.span_id)
    assert "traceparent" not in server.requests[0].headers
