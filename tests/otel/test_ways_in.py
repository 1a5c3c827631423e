"""Ways to turn telemetry on: by argument, by `instrument()`, without code; and none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider

import paychainhq.otel
from tests.otel.recorded import Recorded
from tests.otel.test_webhooks import deliver
from tests.support.client import INVOICE, PRICES, client, error_body
from tests.support.raw_server import RawServer, http_response
from tests.sync.support import ThreadedServer, run_program
from tests.webhooks.samples import signed, webhook


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def instrumented(recorded: Recorded) -> Iterator[Recorded]:
    paychainhq.otel.instrument(tracer_provider=recorded.tracers, meter_provider=recorded.meters)
    try:
        yield recorded
    finally:
        paychainhq.otel.uninstrument()


@pytest.mark.usefixtures("face")
async def test_clients_that_are_made_later(instrumented: Recorded) -> None:
    """`instrument()` observes later clients, and `uninstrument()` leaves them as they are."""
    async with RawServer(http_response(PRICES)) as server, client(server.url) as pay:
        paychainhq.otel.uninstrument()
        await pay.prices.list()
        assert len(instrumented.spans) == 2
        async with client(server.url) as other:
            await other.prices.list()
        assert len(instrumented.spans) == 2


@pytest.mark.usefixtures("face")
async def test_receivers(instrumented: Recorded) -> None:
    """`instrument()` observes receivers; an argument takes precedence."""
    own, body = Recorded(), webhook()
    assert await deliver(own, own.telemetry, (body, signed(body))) == [200]
    assert instrumented.spans == []
    assert len(own.named("webhook handle")) == 1
    assert await deliver(own, None, (body, signed(body))) == [200]
    assert len(instrumented.named("webhook handle")) == 1


@pytest.mark.usefixtures("face")
async def test_an_application_without_an_sdk() -> None:
    """Without an SDK nothing is observed, and no header is added."""
    telemetry = paychainhq.otel.OpenTelemetry()
    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, telemetry=telemetry) as pay,
    ):
        await pay.prices.list()
    assert "traceparent" not in server.requests[0].headers


LATE = """
import asyncio, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from paychainhq import PayChainHQ
from paychainhq.otel import OpenTelemetry

async def main():
    async with PayChainHQ(
        api_key="pk_test_x", base_url=sys.argv[1], telemetry=OpenTelemetry()
    ) as pay:
        await pay.prices.list()
        await asyncio.sleep(1)
        exporter = InMemorySpanExporter()
        trace.set_tracer_provider(TracerProvider())
        trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
        await pay.prices.list()
        print([span.name for span in exporter.get_finished_spans()])

asyncio.run(main())
"""


def test_an_sdk_that_is_configured_later() -> None:
    """Calls are observed from a second after the application has configured its SDK."""
    with ThreadedServer(http_response(PRICES)) as server:
        done = run_program(LATE, server.url)
    assert done.stdout == "['GET /api/v1/prices', 'prices.list']\n", done.stderr
    assert [("traceparent" in request.headers) for request in server.requests] == [False, True]


APP = """
import sys
from paychainhq_sync import PayChainHQ

with PayChainHQ(api_key="pk_test_x", business_id="biz_123", base_url=sys.argv[1]) as pay:
    pay.invoices.create("1", "USDC", "eth")
"""


def test_a_program_without_code_for_telemetry(tmp_path: Path) -> None:
    """Under `opentelemetry-instrument` the spans of a program's calls are exported."""
    app = tmp_path / "app.py"
    app.write_text(APP, encoding="utf-8")
    command = [
        str(Path(sys.executable).with_name("opentelemetry-instrument")),
        *("--traces_exporter", "console", "--metrics_exporter", "console"),
        *("--logs_exporter", "none", sys.executable, "app.py"),
    ]
    busy = http_response(error_body("SERVICE_UNAVAILABLE"), 503, {"Retry-After": "0"})
    with ThreadedServer(busy, http_response(INVOICE)) as server:
        done = subprocess.run(
            [*command, server.url],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    for expected in (
        '"name": "invoices.create"',
        '"name": "POST /api/v1/businesses/{business_id}/invoices"',
        '"http.request.resend_count": 1',
        '"name": "paychainhq.client.call.duration"',
    ):
        assert expected in done.stdout
    sent = [request.headers["traceparent"].split("-") for request in server.requests]
    assert len({trace for _, trace, _, _ in sent}) == 1
    assert len({span for _, _, span, _ in sent}) == 2


def test_an_environment_without_opentelemetry() -> None:
    """Without OpenTelemetry's API the import names the extra, and clients work."""
    program = """
import sys
sys.modules["opentelemetry"] = None
import paychainhq, paychainhq.telemetry
paychainhq.PayChainHQ(api_key="pk_test_x")
try:
    import paychainhq.otel
except ModuleNotFoundError as error:
    print(error)
"""
    done = run_program(program)
    assert "pip install 'paychainhq[otel]'" in done.stdout, done.stderr


async def test_suppressed_instrumentation(recorded: Recorded) -> None:
    """A call in a context in which instrumentation is suppressed is not observed."""
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
    ):
        with suppress_instrumentation():
            await pay.prices.list()
        await pay.prices.list()
    assert len(recorded.named("prices.list")) == 1


async def test_a_sampler_that_drops() -> None:
    """A dropped trace is propagated as not sampled."""
    from opentelemetry.sdk.trace import sampling

    dropping = TracerProvider(sampler=sampling.ALWAYS_OFF, shutdown_on_exit=False)
    telemetry = paychainhq.otel.OpenTelemetry(tracer_provider=dropping)
    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, telemetry=telemetry) as pay,
    ):
        await pay.prices.list()
    *_, flags = server.requests[0].headers["traceparent"].split("-")
    assert int(flags, 16) & 1 == 0
