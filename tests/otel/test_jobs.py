"""Spans of jobs and of the rounds of a watch, and the calls within them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.trace import SpanKind

import paychainhq_sync
from paychainhq import InvoiceRequest
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq.otel import spans
from tests.otel.recorded import Recorded, facts, failed, is_child, trace_id
from tests.support.client import INVOICE, PRICES, client, invoice
from tests.support.raw_server import RawServer, http_response
from tests.sync.support import ThreadedServer

pytestmark = pytest.mark.usefixtures("face")


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def requests(count: int) -> Iterator[InvoiceRequest]:
    for number in range(count):
        yield InvoiceRequest(amount="1", token="USDC", chain="eth", reference=f"order-{number}")


async def test_the_calls_of_a_job_are_its_children(recorded: Recorded) -> None:
    """Of 1,010 calls, 1,000 are in the trace of the job; each later one has a trace and a link."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
    ):
        with recorded.tracers.get_tracer("test").start_as_current_span("import"):
            outcomes = [
                outcome
                async for outcome in pay.invoices.create_many(requests(1010), concurrency=10)
            ]
    assert all(outcome.ok for outcome in outcomes)
    (outer,), (job,) = recorded.named("import"), recorded.named("invoices.create_many")
    assert is_child(job, outer)
    assert facts(job) == {"paychainhq.job.succeeded": 1010, "paychainhq.job.failed": 0}
    calls = recorded.named("invoices.create")
    children = [span for span in calls if is_child(span, job)]
    linked = [span for span in calls if span.parent is None]
    assert (len(children), len(linked)) == (1000, 10)
    assert all([link.context for link in span.links] == [job.context] for span in linked)
    assert len({trace_id(span) for span in linked}) == 10
    attempts = recorded.of_kind(SpanKind.CLIENT)
    assert len(attempts) == 1010
    assert {span.parent.span_id for span in attempts if span.parent} == {
        span.context.span_id for span in calls if span.context
    }


async def test_the_context_of_the_caller_is_untouched(recorded: Recorded) -> None:
    """A call between the outcomes of a job is no call of the job."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
    ):
        async for _ in pay.invoices.create_many(requests(2), concurrency=1):
            await invoice(pay)
        await invoice(pay)
    (job,) = recorded.named("invoices.create_many")
    calls = recorded.named("invoices.create")
    assert len(calls) == 5
    assert sum(is_child(span, job) for span in calls) == 2
    assert sum(span.parent is None and not span.links for span in calls) == 3


async def test_a_job_that_ends_early(recorded: Recorded) -> None:
    """A job that its caller closes has a span without an error."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
        pay.invoices.create_many(requests(100), concurrency=1) as outcomes,
    ):
        await anext(outcomes)
        await anext(outcomes)
    (job,) = recorded.named("invoices.create_many")
    assert not failed(job)
    assert facts(job)["paychainhq.job.succeeded"] >= 1


async def test_a_round_of_a_watch(recorded: Recorded, paychain_emulator: Emulator) -> None:
    """Each round is a span with its reads; a change has a lag."""
    async with client(paychain_emulator.url, telemetry=recorded.telemetry) as pay:
        ids = [(await invoice(pay)).id for _ in range(2)]
        changes = []
        async with pay.invoices.watch(ids, interval=0.01) as watch:
            async for change in watch:
                changes.append(change)
                if len(changes) == 2:
                    for id_ in ids:
                        paychain_emulator.pay(id_)
                        paychain_emulator.confirm(id_)
    rounds = recorded.named("invoices.watch")
    assert len(rounds) > 1
    assert sum(facts(span)["paychainhq.watch.changes"] for span in rounds) == len(changes)
    reads = [span for span in recorded.spans if span.name in ("invoices.get", "invoices.list")]
    assert reads
    assert all(any(is_child(read, span) for span in rounds) for read in reads)
    ((_, lags),) = recorded.metrics()["paychainhq.watch.lag"]
    assert lags == len(changes) - 2  # a first status has no lag


@pytest.mark.async_only("it uses threads and the blocking client itself")
def test_threads_of_the_sync_face(recorded: Recorded) -> None:
    """Calls in four threads have the span of their own thread as parent; none is an orphan."""
    tracer = recorded.tracers.get_tracer("test")
    with (
        ThreadedServer(http_response(PRICES)) as server,
        paychainhq_sync.PayChainHQ(
            api_key=API_KEY,
            business_id=BUSINESS_ID,
            base_url=server.url,
            telemetry=recorded.telemetry,
        ) as pay,
    ):

        def work(number: int) -> None:
            with tracer.start_as_current_span(f"thread {number}"):
                for _ in range(5):
                    pay.prices.list()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    traces: dict[int, list[str]] = {}
    for span in recorded.spans:
        traces.setdefault(trace_id(span), []).append(span.name.partition(" ")[0])
    assert (
        sorted(map(sorted, traces.values()))
        == [sorted(["thread", *["prices.list"] * 5, *["GET"] * 5])] * 4
    )
    outer = [span.context for span in recorded.spans if span.name.startswith("thread")]
    calls = recorded.named("prices.list")
    assert all(span.parent in outer for span in calls)


@pytest.mark.async_only("it is about tasks")
async def test_tasks_have_their_own_parents(recorded: Recorded) -> None:
    """Concurrent calls in tasks do not become each other's children."""
    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, telemetry=recorded.telemetry) as pay,
    ):
        await asyncio.gather(*(pay.prices.list() for _ in range(20)))
    assert all(span.parent is None for span in recorded.named("prices.list"))
    assert len({trace_id(span) for span in recorded.spans}) == 20


def test_the_limit_of_children() -> None:
    """The number of children in a job's trace is as documented."""
    assert spans._MOST_CHILDREN == 1000
