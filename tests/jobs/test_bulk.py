"""`create_many`: an outcome for every request, through failures and outages, in bounded memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from paychainhq import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConnectionFailedError,
    CustomerRequest,
    IdempotencyKeyMismatchError,
    InvalidArgumentError,
    InvoiceRequest,
    MissingCredentialError,
    Outcome,
    PayChainError,
    PermissionDeniedError,
    Progress,
    Request,
    RequestTimeoutError,
    Response,
    RetryPolicy,
    ServerError,
)
from paychainhq._core.idempotency import key_for_reference
from paychainhq._http.messages import Next
from paychainhq._jobs import retry_queue
from paychainhq._jobs.concurrency import AdaptiveConcurrency
from paychainhq.emulator import Emulator
from paychainhq.middleware import throttle
from paychainhq.models import Invoice
from tests.support.client import client as make_client
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, close, http_response, reference, silence

pytestmark = pytest.mark.usefixtures("face")

FAST = RetryPolicy(attempts=2, first=0.001, cap=0.002, attempt_timeout=30)
INVOICE = {"id": "inv_1", "status": "pending", "amount": "1"}

InvoiceOutcome = Outcome[InvoiceRequest, Invoice]


client = partial(make_client, retry=FAST, timeout=60)


def requests(count: int, start: int = 0) -> Iterator[InvoiceRequest]:
    return (
        InvoiceRequest(amount="5", token="USDC", chain="eth", reference=f"order-{n}")
        for n in range(start, start + count)
    )


async def outcomes_of(pay: PayChainHQ, given: Any, **options: Any) -> list[InvoiceOutcome]:
    return [outcome async for outcome in pay.invoices.create_many(given, **options)]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probe an absent server every few milliseconds."""
    monkeypatch.setattr(retry_queue, "_SHORTEST_PROBE_DELAY", 0.001)
    monkeypatch.setattr(retry_queue, "_LONGEST_PROBE_DELAY", 0.005)
    monkeypatch.setattr(throttle, "_PAUSE", 0.005)


@pytest.mark.async_only("makes no client")
def test_the_key_of_a_reference_never_changes() -> None:
    """The recipe of derived keys is pinned: every version of this package derives the same keys."""
    assert (
        key_for_reference("invoices.create", "biz_123", "order-1")
        == "pc1-38b143568bc8317fea12ebb838aaccdbe2e40aae"
    )
    assert (
        key_for_reference("invoices.create", "biz_123", 'Bestellung Ä/1 "x"')
        == "pc1-1267972e27ae797915588190a1ac9d6d21e7b621"
    )
    assert key_for_reference("customers.create", "biz_123", "order-1") != key_for_reference(
        "invoices.create", "biz_123", "order-1"
    )


async def test_every_request_has_its_outcome(paychain_emulator: Emulator) -> None:
    """Good and bad requests alike end as outcomes that hold the request; none stops the others."""
    given: list[Any] = list(requests(20))
    given.insert(3, InvoiceRequest(amount="-1", token="USDC", chain="eth", reference="negative"))
    given.insert(
        7, InvoiceRequest(amount="1", token="DOGE", chain="eth", reference="unknown-token")
    )
    async with client(paychain_emulator.url) as pay:
        outcomes = await outcomes_of(pay, given)
    assert len(outcomes) == 22
    by_reference = {
        outcome.request.reference: outcome
        for outcome in outcomes
        if isinstance(outcome.request, InvoiceRequest)
    }
    assert isinstance(by_reference["negative"].error, InvalidArgumentError)
    assert isinstance(by_reference["unknown-token"].error, BadRequestError)
    assert [outcome.ok for outcome in outcomes].count(False) == 2
    assert all(any(outcome.request is request for request in given) for outcome in outcomes)
    created = {outcome.result.id for outcome in outcomes if outcome.result}
    assert len(created) == 20


@pytest.mark.parametrize(
    ("request_", "argument"),
    [
        ({"amount": "1", "token": "USDC", "chain": "eth"}, "reference"),
        ({"amount": "1", "token": "USDC", "chain": "eth", "reference": ""}, "reference"),
        ({"amount": "1", "token": "USDC", "chain": "eth", "reference": 7}, "reference"),
        ({"amount": "1", "token": "USDC", "reference": "r"}, "chain"),
        (
            {"amount": "1", "token": "USDC", "chain": "eth", "reference": "r", "colour": "red"},
            "colour",
        ),
        ({"amount": 1.5, "token": "USDC", "chain": "eth", "reference": "r"}, "amount"),
        (InvoiceRequest(amount="1", token="USDC", chain="eth", reference=""), "reference"),
        (CustomerRequest(external_ref="c", reference="r"), "request"),
        ("order-1", "request"),
        (None, "request"),
    ],
)
async def test_an_invalid_request_is_an_outcome_and_sends_nothing(
    request_: Any, argument: str
) -> None:
    """The outcome of invalid input has an error that names the argument."""
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        [outcome] = await outcomes_of(pay, [request_])
        assert isinstance(outcome.error, InvalidArgumentError)
        assert outcome.error.argument == argument
        assert outcome.error.sent == "no"
        assert outcome.request is request_
        assert server.requests == []


@pytest.mark.async_only("takes an async iterable")
async def test_mappings_async_iterables_and_empty_jobs(paychain_emulator: Emulator) -> None:
    """Requests may be mappings, come from an async iterable, or be empty."""

    async def stream() -> AsyncIterator[Mapping[str, Any]]:
        for n in range(5):
            yield {
                "reference": f"m{n}",
                "amount": n + 1,
                "token": "USDC",
                "chain": "eth",
                "metadata": {"n": n},
            }

    async with client(paychain_emulator.url) as pay:
        outcomes = await outcomes_of(pay, stream())
        assert sorted(
            str(outcome.result.amount.display) for outcome in outcomes if outcome.result
        ) == ["1", "2", "3", "4", "5"]
        assert await outcomes_of(pay, []) == []


async def test_a_job_that_runs_again_creates_nothing_twice(paychain_emulator: Emulator) -> None:
    """The key is derived from the reference, so that the second run sends the same keys."""
    async with client(paychain_emulator.url) as pay:
        first = {
            reference(outcome): outcome.result for outcome in await outcomes_of(pay, requests(10))
        }
        again = {
            reference(outcome): outcome.result for outcome in await outcomes_of(pay, requests(12))
        }
        assert {name: again[name] for name in first} == first
        page = await pay.invoices.list()
        assert page.pagination is not None
        assert page.pagination.total == 13


async def test_the_same_reference_twice_in_a_job(paychain_emulator: Emulator) -> None:
    """The same body has the same result; another body is an error."""
    same = [
        *requests(1),
        *requests(1),
        InvoiceRequest(amount="6", token="USDC", chain="eth", reference="order-0"),
    ]
    async with client(paychain_emulator.url) as pay:
        outcomes = await outcomes_of(pay, same, concurrency=1)
    assert outcomes[0].result == outcomes[1].result
    assert isinstance(outcomes[2].error, IdempotencyKeyMismatchError)


async def test_a_single_failure_costs_no_request_an_error(paychain_emulator: Emulator) -> None:
    """A transient failure puts the request back into the queue, under the same key."""
    for kind in ("drop", "truncate", "503", "429", "reset", "in_progress", "500", "408"):
        paychain_emulator.fault("invoices.create", kind, times=6)
    async with client(paychain_emulator.url) as pay:
        outcomes = await outcomes_of(pay, requests(30), concurrency=8)
        assert [outcome.error for outcome in outcomes if not outcome.ok] == []
        page = await pay.invoices.list()
        assert page.pagination is not None
        assert page.pagination.total == 31


async def test_an_outage_in_the_middle_costs_no_request_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The server goes away during the job and returns: each request has exactly one invoice."""
    caplog.set_level(logging.WARNING, "paychainhq")
    state = str(tmp_path / "state.db")
    emulator = Emulator(state=state).__enter__()
    port = int(emulator.url.rpartition(":")[2])
    outcomes: list[InvoiceOutcome] = []
    async with client(emulator.url) as pay:
        job = pay.invoices.create_many(requests(200), concurrency=8)
        async for outcome in job:
            outcomes.append(outcome)
            if len(outcomes) == 50:
                emulator.__exit__(None, None, None)
                restarting = asyncio.create_task(_restart_when_missed(state, port, caplog))
        emulator = await restarting
        page = await pay.invoices.list()
        assert page.pagination is not None
        assert page.pagination.total == 201
    emulator.__exit__(None, None, None)
    assert [outcome.error for outcome in outcomes if not outcome.ok] == []
    assert len({outcome.result.id for outcome in outcomes if outcome.result}) == 200


async def _restart_when_missed(state: str, port: int, caplog: pytest.LogCaptureFixture) -> Emulator:
    while "intake pauses" not in caplog.text:
        await asyncio.sleep(0)
    return Emulator(state=state, port=port).__enter__()


@pytest.mark.async_only("counts what the loop has read")
async def test_an_outage_pauses_the_intake_and_one_request_probes() -> None:
    """During an outage one request at a time is sent, always another, and the intake pauses."""
    taken = under_way = most = 0
    limit = 4

    def source() -> Iterator[InvoiceRequest]:
        nonlocal taken
        for request in requests(50):
            taken += 1
            yield request

    async def behave(_: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        under_way += 1
        if len(server.requests) > 2 * limit:  # all earlier requests are long over
            most = max(most, under_way)
        await asyncio.sleep(0)
        if len(server.requests) > 40:
            server.script = [http_response(INVOICE)]
        under_way -= 1
        writer.write(http_response({}, 503))

    async with RawServer(behave) as server, client(server.url) as pay:
        outcomes = await outcomes_of(pay, source(), concurrency=limit)
    assert all(outcome.ok for outcome in outcomes)
    assert len(outcomes) == 50
    assert most == 1
    sent = [request.headers["idempotency-key"] for request in server.requests[:41]]
    assert len(set(sent)) == 41


async def test_a_server_that_never_comes_back_ends_the_job() -> None:
    """After `give_up_after` without a success the other requests end unsent, with that error."""
    async with RawServer(
        http_response(INVOICE),
        http_response(INVOICE),
        http_response({"error": {"code": "X", "message": "down"}}, 503),
    ) as server:
        async with client(server.url) as pay:
            outcomes = await outcomes_of(pay, requests(30), concurrency=3, give_up_after=0.02)
        failed = [outcome for outcome in outcomes if not outcome.ok]
        assert len(outcomes) == 30
        assert len(failed) == 28
        assert all(isinstance(outcome.error, ServerError) for outcome in failed)
        for outcome in failed:
            assert isinstance(outcome.request, InvoiceRequest)
            assert outcome.error is not None
            assert outcome.error.idempotency_key == key_for_reference(
                "invoices.create", "biz_123", outcome.request.reference or ""
            )
        assert {outcome.error.sent for outcome in failed if outcome.error} == {"yes", "no"}
        sent = {request.headers["idempotency-key"] for request in server.requests}
        unsent = {
            outcome.error.idempotency_key
            for outcome in failed
            if outcome.error and outcome.error.sent == "no"
        }
        assert not sent & unsent


async def test_giving_up_reports_that_a_request_may_have_been_received() -> None:
    """A request with one timeout and then only refusals is not reported as unsent."""
    async with RawServer(silence) as server:
        pay = client(server.url, timeout=2)
        job = pay.invoices.create_many(requests(1), give_up_after=3)
        waiting = asyncio.ensure_future(anext(job))
        while not server.requests:
            await asyncio.sleep(0)
    outcome = await waiting
    await job.aclose()
    await pay.close()
    assert isinstance(outcome.error, (ConnectionFailedError, RequestTimeoutError))
    assert outcome.error.sent == "unknown"


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationError), (403, PermissionDeniedError)]
)
@pytest.mark.parametrize("concurrency", [1, 3, "auto"])
async def test_a_job_ends_with_the_first_refusal_of_its_key(
    status: int, kind: type[PayChainError], concurrency: Any
) -> None:
    """Each started request has its outcome; then the error is raised, with the job's progress."""
    refusal = http_response({"error": {"code": "X", "message": "no"}}, status)
    outcomes: list[InvoiceOutcome] = []
    async with (
        RawServer(*[http_response(INVOICE)] * 20, refusal) as server,
        client(server.url, max_connections=16) as pay,
    ):
        with pytest.raises(kind) as caught:
            async for outcome in pay.invoices.create_many(requests(2000), concurrency=concurrency):
                outcomes.append(outcome)
        assert len(outcomes) >= len(
            {request.headers["idempotency-key"] for request in server.requests}
        )
    failed = [outcome for outcome in outcomes if not outcome.ok]
    assert len(outcomes) - len(failed) == 20
    assert 1 <= len(failed) <= (16 if concurrency == "auto" else concurrency)  # begun by then
    assert all(isinstance(outcome.error, kind) for outcome in failed)
    assert (
        f"{len(outcomes) - len(failed)} results and {len(failed)} errors"
        in caught.value.__notes__[0]
    )


async def test_a_job_without_its_credential_ends_at_once() -> None:
    """A missing key is an error of the job, not of one request."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, api_key=None, payout_key="k") as pay,
    ):
        with pytest.raises(MissingCredentialError):
            await outcomes_of(pay, requests(2000))
        assert server.requests == []


@pytest.mark.async_only("counts turns of the loop")
async def test_memory_is_bounded_by_the_concurrency() -> None:
    """Backpressure: workers, and with them the intake, pause until outcomes are consumed."""
    taken = 0

    def endless() -> Iterator[InvoiceRequest]:
        nonlocal taken
        for request in requests(10**9):
            taken += 1
            yield request

    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        job = pay.invoices.create_many(endless(), concurrency=4)
        for _ in range(3):
            await anext(job)
        for _ in range(500):
            await asyncio.sleep(0)
        assert taken <= 3 + 4 + 4 + 1
        await job.aclose()


async def test_closing_a_job_cancels_its_requests() -> None:
    """No request goes on after the generator is closed."""
    async with RawServer(http_response(INVOICE), silence) as server, client(server.url) as pay:
        job = pay.invoices.create_many(requests(10), concurrency=3)
        await anext(job)
        before = asyncio.all_tasks()
        await job.aclose()
        assert not [task for task in before if not task.done() and "_work" in repr(task)]


async def test_a_failure_of_the_callers_iterable_comes_after_the_outcomes_of_earlier_requests(
    paychain_emulator: Emulator,
) -> None:
    """Requests read earlier have their outcomes; then the caller's exception is raised."""

    def broken() -> Iterator[InvoiceRequest]:
        yield from requests(5)
        raise LookupError("the file ends here")

    outcomes = []
    async with client(paychain_emulator.url) as pay:
        with pytest.raises(LookupError):
            async for outcome in pay.invoices.create_many(broken()):
                outcomes.append(outcome)
    assert len(outcomes) == 5
    assert all(outcome.ok for outcome in outcomes)


async def test_a_failure_of_the_callers_middleware_ends_the_job_and_does_not_hang() -> None:
    """An error that belongs to no request is raised by the job."""

    async def broken(request: Request, send: Next) -> Response:
        raise ZeroDivisionError

    async with RawServer(close) as server, client(server.url, middleware=[broken]) as pay:
        with pytest.raises(ZeroDivisionError):
            await outcomes_of(pay, requests(5))


async def test_invalid_settings_are_refused_at_once(paychain_emulator: Emulator) -> None:
    """The arguments of a job are validated before it starts."""
    async with client(paychain_emulator.url, business_id=None) as pay:
        with pytest.raises(InvalidArgumentError, match="business_id"):
            pay.invoices.create_many([])
        settings: list[dict[str, Any]] = [
            {"concurrency": 0},
            {"concurrency": "many"},
            {"give_up_after": -1},
            {"ledger": "jobs.db"},
        ]
        for bad in settings:
            with pytest.raises(ConfigurationError):
                pay.invoices.create_many([], business_id="biz_123", **bad)


async def test_customers_are_created_in_the_same_way(paychain_emulator: Emulator) -> None:
    """`customers.create_many` is the same job with another operation."""
    wanted = [CustomerRequest(external_ref=f"c{n}", reference=f"c{n}") for n in range(5)]
    async with client(paychain_emulator.url) as pay:
        first = [outcome.result async for outcome in pay.customers.create_many(wanted)]
        again = [outcome.result async for outcome in pay.customers.create_many(wanted)]
    ids = {customer.external_ref: customer.id for customer in first if customer}
    assert len(ids) == 5
    assert ids == {customer.external_ref: customer.id for customer in again if customer}


async def test_progress_is_reported_and_adds_up(
    paychain_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an interval the callback is called after each outcome, the last time at the end."""
    monkeypatch.setattr("paychainhq._jobs.progress._INTERVAL", 0.0)
    reported: list[Progress] = []
    wanted: list[Any] = [*requests(9), {"amount": "5"}]
    async with client(paychain_emulator.url) as pay:
        outcomes = [
            outcome
            async for outcome in pay.invoices.create_many(
                wanted, concurrency=3, progress=reported.append
            )
        ]
    assert [progress.ok + progress.failed for progress in reported[:-1]] == list(
        range(1, len(outcomes) + 1)
    )
    assert (reported[-1].ok, reported[-1].failed, reported[-1].concurrency) == (9, 1, 0)
    assert {progress.concurrency for progress in reported} <= {0, 1, 2, 3}
    assert [progress.elapsed for progress in reported] == sorted(
        progress.elapsed for progress in reported
    )


@pytest.mark.parametrize(("kind", "total"), [(list, 5), (iter, 5), (chain, None)])
async def test_progress_has_the_total_if_the_requests_have_a_length(
    kind: Any, total: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a length, the progress has a total and an expected end; otherwise it has neither."""
    monkeypatch.setattr("paychainhq._jobs.progress._INTERVAL", 0.0)
    reported: list[Progress] = []
    given = kind(list(requests(5)))
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        async for _ in pay.invoices.create_many(given, progress=reported.append):
            pass
    assert {progress.total for progress in reported} == {total}
    assert reported[-1].eta == (None if total is None else 0)


def test_rate_and_expected_end() -> None:
    """The rate counts all outcomes; the expected end needs a rate and a total."""
    progress = Progress(ok=30, failed=10, concurrency=4, elapsed=20.0, total=100)
    assert (progress.rate, progress.eta) == (2.0, 30.0)
    assert Progress(30, 10, 4, 20.0).eta is None
    begun = Progress(0, 0, 4, 0.0, 100)
    assert (begun.rate, begun.eta) == (0.0, None)
    assert Progress(7, 0, 4, 7.0, 5).eta == 0


async def test_progress_is_reported_once_a_second_and_at_the_end(
    paychain_emulator: Emulator,
) -> None:
    """A job shorter than a second reports progress only at its end."""
    reported: list[Progress] = []
    async with client(paychain_emulator.url) as pay:
        async for _ in pay.invoices.create_many(requests(5), progress=reported.append):
            pass
    assert reported[-1].ok == 5
    assert len(reported) <= 2


async def test_the_concurrency_of_a_job_adapts() -> None:
    """A slow server gets more than the initial eight requests at once, up to the connections."""
    under_way = most = 0

    async def slow(_: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        writer.write(http_response(INVOICE))

    async with RawServer(slow) as server, client(server.url, max_connections=20) as pay:
        outcomes = [outcome.ok async for outcome in pay.invoices.create_many(requests(600))]
    assert outcomes == [True] * 600
    assert 8 < most <= 20


@pytest.mark.parametrize(
    ("status", "trouble"), [(429, [False] * 4), (503, [True, False, False, False, False])]
)
async def test_a_429_is_left_to_the_adaptive_rate(
    status: int, trouble: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 429 leaves the concurrency as it is, since the rate drops; another failure lowers it."""
    noted: list[bool] = []

    def note(self: AdaptiveConcurrency, now: float, took: float, *, trouble: bool) -> None:
        noted.append(trouble)

    monkeypatch.setattr(AdaptiveConcurrency, "note", note)
    refusal = http_response({"error": {"code": "NOT_NOW", "message": "no"}}, status)
    async with (
        RawServer(refusal, http_response(INVOICE)) as server,
        client(server.url, max_connections=1) as pay,
    ):
        assert all(outcome.ok for outcome in await outcomes_of(pay, requests(4)))
    assert noted == trouble
