"""Spans of calls and attempts: one for each, with the facts of the conventions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from paychainhq import (
    DecodeError,
    InvalidArgumentError,
    NotFoundError,
    RateLimit,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
)
from paychainhq.ledger import MemoryLedger, SQLiteLedger
from tests.gateway.samples import client as gateway_client
from tests.otel.recorded import Recorded, facts, failed, is_child, trace_id
from tests.support.client import INVOICE, PRICES, client, error_body, invoice
from tests.support.raw_server import RawServer, close, http_response, silence
from tests.support.samples import BY_NAME

pytestmark = pytest.mark.usefixtures("face")

CREATE = "POST /api/v1/businesses/{business_id}/invoices"
LIST = BY_NAME["invoices.list"].response
BUSY = http_response(error_body("SERVICE_UNAVAILABLE"), 503, {"x-request-id": "req_1"})


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


async def test_a_span_for_the_call_and_for_each_attempt(recorded: Recorded) -> None:
    """A 503, a dropped connection and a success give four spans of one trace."""
    async with (
        RawServer(BUSY, close, http_response(INVOICE, headers={"x-request-id": "req_3"})) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
    ):
        with recorded.tracers.get_tracer("test").start_as_current_span("order") as order:
            await invoice(pay)
    address = urlsplit(server.url)
    parent, call, *attempts = recorded.spans
    assert parent.context == order.get_span_context()
    assert (call.name, call.kind) == ("invoices.create", SpanKind.INTERNAL)
    assert is_child(call, parent)
    assert not failed(call)
    assert len(attempts) == 3
    assert facts(call)["paychainhq.operation"] == "invoices.create"
    assert facts(call)["paychainhq.attempts"] == 3
    assert facts(call)["paychainhq.sent"] == "yes"
    assert facts(call)["paychainhq.wait.backoff"] > 0
    for span in attempts:
        assert (span.name, span.kind) == (CREATE, SpanKind.CLIENT)
        assert is_child(span, call)
        assert facts(span)["http.request.method"] == "POST"
        assert facts(span)["url.template"] == CREATE.partition(" ")[2]
        assert facts(span)["url.full"] == f"{server.url}{server.requests[0].target}"
        assert facts(span)["server.address"] == address.hostname
        assert facts(span)["server.port"] == address.port
    given = [facts(span) for span in attempts]
    assert [found.get("http.request.resend_count") for found in given] == [None, 1, 2]
    assert [found.get("http.response.status_code") for found in given] == [503, None, 200]
    assert [found.get("error.type") for found in given] == ["503", "ConnectionFailedError", None]
    assert [found.get("paychainhq.request_id") for found in given] == ["req_1", None, "req_3"]
    assert [failed(span) for span in attempts] == [True, True, False]


async def test_each_attempt_propagates_its_own_span(recorded: Recorded) -> None:
    """Three attempts send three `traceparent`s of one trace, each that of its span."""
    async with (
        RawServer(BUSY, close, http_response(INVOICE)) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
    ):
        await invoice(pay)
    sent = [request.headers["traceparent"].split("-") for request in server.requests]
    spans = recorded.of_kind(SpanKind.CLIENT)
    assert [span for _, _, span, _ in sent] == [
        trace.format_span_id(span.context.span_id) for span in spans if span.context
    ]
    assert {trace for _, trace, _, _ in sent} == {trace.format_trace_id(trace_id(spans[0]))}
    assert len({span for _, _, span, _ in sent}) == 3


async def test_one_attempt_needs_no_summary(recorded: Recorded) -> None:
    """The span of a call with one attempt and no wait has the operation only."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
    ):
        await invoice(pay)
    call, _ = recorded.spans
    assert facts(call) == {"paychainhq.operation": "invoices.create"}


async def test_neither_ids_nor_queries_are_in_names(recorded: Recorded) -> None:
    """The path of `pay.request` is in no name and no metric; a query is nowhere."""
    async with (
        RawServer(http_response({}), http_response(LIST)) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
    ):
        await pay.request("GET", "/api/v1/new/abc123", query={"page": "secret7"})
        await pay.invoices.list(status="pending", page=77)
    assert "?" in server.requests[0].target
    names = ["request", "GET", "invoices.list", "GET /api/v1/businesses/{business_id}/invoices"]
    assert [span.name for span in recorded.spans] == names
    assert facts(recorded.spans[1])["url.full"] == f"{server.url}/api/v1/new/abc123"
    assert "secret7" not in recorded.everything()
    assert "77" not in facts(recorded.spans[3])["url.full"].removeprefix(server.url)
    assert "abc123" not in str(recorded.metrics())


@pytest.mark.parametrize("records", [False, True])
async def test_idempotency_keys_are_recorded_on_request(*, records: bool) -> None:
    """The idempotency key is in the span of the call only with `record_keys`."""
    recorded = Recorded(record_keys=records)
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
    ):
        await invoice(pay, idempotency_key="order-1")
    call, _ = recorded.spans
    assert facts(call).get("paychainhq.idempotency_key") == ("order-1" if records else None)
    assert ("order-1" in recorded.everything()) is records


async def test_errors_of_a_call(recorded: Recorded) -> None:
    """The span has the class of the error, also of one after the response or before the request."""
    async with (
        RawServer(
            http_response({"id": 5}), http_response(error_body("NOT_FOUND"), 404), BUSY
        ) as server,
        client(server.url, telemetry=recorded.telemetry, retry=None) as pay,
    ):
        for error in (DecodeError, NotFoundError, ServerError):
            with pytest.raises(error):
                await invoice(pay)
        with pytest.raises(InvalidArgumentError):
            await pay.invoices.create("-1", "USDC", "eth")
    calls, attempts = recorded.of_kind(SpanKind.INTERNAL), recorded.of_kind(SpanKind.CLIENT)
    assert [facts(span).get("error.type") for span in calls] == [
        "DecodeError",
        "NotFoundError",
        "ServerError",
        "InvalidArgumentError",
    ]
    assert [facts(span).get("error.type") for span in attempts] == [None, "404", "503"]
    assert all(failed(span) for span in calls)
    assert [failed(span) for span in attempts] == [False, True, True]
    assert facts(calls[3])["paychainhq.attempts"] == 0
    assert facts(calls[3])["paychainhq.sent"] == "no"
    assert all(span.status.description is None for span in recorded.spans)
    assert all(span.events == () for span in recorded.spans)


async def test_a_deadline_is_an_error(recorded: Recorded) -> None:
    """A call that passes its deadline has the class of the timeout."""
    async with (
        RawServer(silence) as server,
        client(server.url, telemetry=recorded.telemetry, timeout=0.3, retry=None) as pay,
    ):
        with pytest.raises(RequestTimeoutError):
            await invoice(pay)
    call, _ = recorded.spans
    assert facts(call)["error.type"] == "RequestTimeoutError"


@pytest.mark.async_only("it cancels a task")
async def test_a_cancelled_call_is_no_error(recorded: Recorded) -> None:
    """Both spans of a cancelled call end without an error."""
    async with (
        RawServer(silence) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
    ):
        call = asyncio.create_task(invoice(pay))
        while not server.requests:
            await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert [failed(span) for span in recorded.spans] == [False, False]
    assert [facts(span).get("error.type") for span in recorded.spans] == [None, None]
    ((attributes, count),) = recorded.metrics()["paychainhq.client.call.duration"]
    assert (attributes, count) == ({"paychainhq.operation": "invoices.create"}, 1)


async def test_a_replay_of_the_ledger(
    recorded: Recorded, ledger: MemoryLedger | SQLiteLedger
) -> None:
    """A call whose response is in the ledger has a span without an attempt, and is counted."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, telemetry=recorded.telemetry, idempotency=ledger) as pay,
    ):
        for _ in range(2):
            await invoice(pay, idempotency_key="order-1")
    first, attempt, second = recorded.spans
    assert is_child(attempt, first)
    assert facts(second)["paychainhq.replayed"] is True
    assert facts(second)["paychainhq.attempts"] == 0
    assert not failed(second)
    assert recorded.metrics()["paychainhq.ledger.replays"] == [
        ({"paychainhq.operation": "invoices.create"}, 1)
    ]


async def test_the_waits_of_a_call(recorded: Recorded) -> None:
    """Under a limit of two a second, three reads wait for about 0, 500 and 1,000 ms."""
    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, telemetry=recorded.telemetry, rate_limit=RateLimit(2, burst=1)) as pay,
    ):
        await asyncio.gather(*(pay.prices.list() for _ in range(3)))
    waits = sorted(
        facts(span).get("paychainhq.wait.turn", 0.0) for span in recorded.named("prices.list")
    )
    assert waits[0] < 0.1 < waits[1] < waits[2] - 0.1
    of_turns = {
        "paychainhq.operation": "prices.list",
        "paychainhq.wait.reason": "turn",
    }
    # A process that the system stops for a moment seems to wait, too.
    assert [
        count >= 2
        for attributes, count in recorded.metrics()["paychainhq.client.wait.duration"]
        if attributes == of_turns
    ] == [True]


async def test_calls_of_the_gateway(recorded: Recorded) -> None:
    """The gateway's client takes the same telemetry."""
    async with (
        RawServer(http_response(error_body("X"), 404)) as server,
        gateway_client(server.url, telemetry=recorded.telemetry) as gateway,
    ):
        with pytest.raises(NotFoundError):
            await gateway.payments.get("550e8400-e29b-41d4-a716-446655440000")
    assert [span.kind for span in recorded.spans] == [SpanKind.INTERNAL, SpanKind.CLIENT]


async def test_a_retry_limit(recorded: Recorded, tmp_path: Path) -> None:
    """Each attempt of a call that fails in the end is counted."""
    policy: Any = RetryPolicy(attempts=2, first=0.001)
    async with (
        RawServer(BUSY) as server,
        client(server.url, telemetry=recorded.telemetry, retry=policy) as pay,
    ):
        with pytest.raises(ServerError):
            await invoice(pay)
    metrics = recorded.metrics()
    assert metrics["paychainhq.client.retries"] == [
        ({"paychainhq.operation": "invoices.create"}, 1)
    ]
    ((attributes, count),) = metrics["http.client.request.duration"]
    assert count == 2
    assert attributes["error.type"] == "503"
    assert attributes["http.response.status_code"] == 503
