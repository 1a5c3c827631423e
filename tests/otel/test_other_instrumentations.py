"""Instrumentations of aiohttp beside the package's own: one span an attempt, none doubled."""

from __future__ import annotations

import pytest

from tests.support.client import INVOICE, error_body
from tests.support.raw_server import http_response
from tests.sync.support import ThreadedServer, run_program

HEAD = """
import asyncio, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter, url = InMemorySpanExporter(), sys.argv[1]
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

async def create():
    from paychainhq import PayChainHQ
    async with PayChainHQ(api_key="pk_test_x", business_id="biz_123", base_url=url) as pay:
        await pay.invoices.create("1", "USDC", "eth")

def show():
    spans = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time)
    print(*(f"{span.instrumentation_scope.name}: {span.kind.name}" for span in spans), sep="\\n")
"""

AIOHTTP = """
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
AioHttpClientInstrumentor().instrument()
"""

OURS = """
import paychainhq.otel
paychainhq.otel.instrument()
"""

SENTRY = """
import warnings

with warnings.catch_warnings():  # of eventlet, which Sentry imports
    warnings.simplefilter("ignore")
    import sentry_sdk
from sentry_sdk.transport import Transport

class Keep(Transport):
    kept = []
    def capture_envelope(self, envelope):
        self.kept.append(envelope)

sentry_sdk.init("http://key@localhost/1", transport=Keep, traces_sample_rate=1.0)

async def create(create=create):
    with sentry_sdk.start_transaction(name="order"):
        await create()

def show(show=show):
    show()
    for envelope in Keep.kept:
        for item in envelope.items:
            spans = (item.payload.json or {}).get("spans", [])
            print(*(f"sentry: {span['op']}" for span in spans), sep="\\n")
"""

COMMUNITY = ["opentelemetry.instrumentation.aiohttp_client: CLIENT"] * 2
SPANS = ["paychainhq: INTERNAL", *["paychainhq: CLIENT"] * 2]
OF_SENTRY = ["sentry: http.client"] * 2


@pytest.mark.parametrize(
    ("active", "expected"),
    [
        ([AIOHTTP], COMMUNITY),
        ([OURS], SPANS),
        ([AIOHTTP, OURS], SPANS),
        ([OURS, AIOHTTP], SPANS),
        ([SENTRY], OF_SENTRY),
        ([SENTRY, OURS], SPANS + OF_SENTRY),
        ([OURS, AIOHTTP, SENTRY], SPANS + OF_SENTRY),
    ],
    ids=["aiohttp", "ours", "aiohttp, ours", "ours, aiohttp", "sentry", "sentry, ours", "all"],
)
def test_spans_of_two_attempts(active: list[str], expected: list[str]) -> None:
    """Each has one span an attempt; OpenTelemetry's for aiohttp leaves them to the package."""
    busy = http_response(error_body("SERVICE_UNAVAILABLE"), 503, {"Retry-After": "0"})
    with ThreadedServer(busy, http_response(INVOICE)) as server:
        done = run_program("".join([HEAD, *active, "asyncio.run(create())\nshow()"]), server.url)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line] == expected
    assert len(server.requests) == 2
