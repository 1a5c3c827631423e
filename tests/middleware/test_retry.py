"""Retries: failures that cause them, their number and waits, and failures that never do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from socket import create_server

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paychainhq import (
    APIError,
    ConnectionFailedError,
    DuplicateRequestError,
    Next,
    PayChainError,
    RateLimitError,
    Request,
    RequestTimeoutError,
    Response,
    RetryPolicy,
    ServerError,
)
from paychainhq._attempts import Attempt
from paychainhq._core.statistics import Counters
from paychainhq.emulator import API_KEY, Emulator
from paychainhq.middleware import throttle
from paychainhq.middleware.retry import Retry, RetryBudget
from paychainhq.operations import OPERATIONS
from tests.support.client import (
    CREATED_KEY,
    HASTY,
    INVOICE,
    PRICES,
    QUICK,
    client,
    error_body,
    info,
    invoice,
    states,
)
from tests.support.clocks import run_timeless, skipping_clock
from tests.support.raw_server import (
    Behaviour,
    RawServer,
    close,
    cut,
    http_response,
    reset,
    silence,
)

pytestmark = pytest.mark.usefixtures("face")

BUSY = http_response(error_body("INTERNAL_ERROR"), 503)
LIMITED = http_response(error_body("RATE_LIMIT_EXCEEDED"), 429, {"Retry-After": "1"})
IN_PROGRESS = http_response(error_body("IDEMPOTENCY_REQUEST_IN_PROGRESS"), 409)

PASSING: dict[str, Behaviour] = {
    "close": close,
    "reset": reset,
    "cut": cut(http_response(INVOICE)),
    "silence": silence,
    "408": http_response(error_body("X"), 408),
    "425": http_response(error_body("X"), 425),
    "429": http_response(error_body("X"), 429, {"Retry-After": "0"}),
    "500": http_response(b"", 500),
    "503": BUSY,
    "in progress": IN_PROGRESS,
}
each_passing = pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)


@pytest.mark.async_only("fakes the clock of the loop")
async def test_one_key_through_all_failures() -> None:
    """A POST with one failure of each kind succeeds in time, with one key in all attempts."""
    script = [close, cut(http_response(INVOICE)), BUSY, LIMITED, silence, http_response(INVOICE)]
    async with RawServer(*script) as server, client(server.url, retry=HASTY) as pay:
        with skipping_clock() as clock:
            result = await invoice(pay)
    assert len(server.requests) == 6
    assert {request.headers["idempotency-key"] for request in server.requests} == {
        result.response.idempotency_key
    }
    assert len({request.body for request in server.requests}) == 1
    assert [attempt.status for attempt in result.response.attempts] == [
        None,
        200,
        503,
        429,
        None,
        200,
    ]
    assert sum(1 <= wait < 1.1 for wait in clock.waits) == 1


async def test_one_invoice_through_all_failures() -> None:
    """Drop, cut response, 503, 429 and timeout: the emulator has created exactly one invoice."""
    with Emulator() as emulator:
        for kind in ("drop", "truncate", 503, "429:0", "slow:0.25"):
            emulator.fault("invoices.create", kind)
        patient = RetryPolicy(attempts=90, attempt_timeout=0.2, first=0.02, cap=0.02)
        async with client(emulator.url, api_key=API_KEY, retry=patient) as pay:
            before = {found.id async for found in pay.invoices.list()}
            created = await invoice(pay)
            after = {found.id async for found in pay.invoices.list()}
        creates = [
            request for request in emulator.requests if request.operation == "invoices.create"
        ]
    assert after - before == {created.id}
    assert {request.headers["Idempotency-Key"] for request in creates} == {
        created.response.idempotency_key
    }


@each_passing
async def test_reads_and_keyed_mutations_are_retried(failure: Behaviour) -> None:
    """A read, and a mutation with a key, are sent again after a transient failure."""
    async with (
        RawServer(failure, http_response(PRICES)) as reads,
        RawServer(failure, http_response(INVOICE)) as mutations,
        client(reads.url, retry=HASTY if failure is silence else QUICK) as reading,
        client(mutations.url, retry=HASTY if failure is silence else QUICK) as writing,
    ):
        prices, made = await asyncio.gather(reading.prices.list(), invoice(writing))
        assert len(info(prices).attempts) == len(made.response.attempts) == 2
    assert len(reads.requests) == len(mutations.requests) == 2


@each_passing
async def test_unkeyed_mutations_are_sent_once(failure: Behaviour) -> None:
    """A mutation without a key is never sent again once it may have left."""
    async with (
        RawServer(failure) as server,
        client(
            server.url,
            dashboard=Emulator().dashboard,
            retry=HASTY if failure is silence else QUICK,
        ) as pay,
    ):
        ends = await asyncio.gather(
            pay.api_keys.create("x", ["business:read"]),
            pay.api_keys.revoke("key_123"),
            pay.request("POST", "/api/v1/new", body={}),
            return_exceptions=True,
        )
        for error in ends:
            assert isinstance(error, PayChainError)
            assert error.sent in ("yes", "unknown")
            assert error.idempotency_key is None
    assert len(server.requests) == 3


async def test_unkeyed_mutation_that_never_left() -> None:
    """A refused connection is retried also without a key; the mutation is sent once it works."""
    with create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    calls: list[Request] = []

    async def watch(request: Request, send: Next) -> Response:
        calls.append(request)
        return await send(request)

    settings = {
        "dashboard": Emulator().dashboard,
        "middleware": [watch],
        "retry": RetryPolicy(attempts=10_000, first=0.001, cap=0.001),
    }
    async with client(f"http://127.0.0.1:{port}", **settings) as pay:
        call = asyncio.create_task(pay.api_keys.create("x", ["business:read"]))
        while not (calls and calls[0].attempts):
            await asyncio.sleep(0)
        async with RawServer(http_response(CREATED_KEY), port=port) as server:
            created = await call
    assert len(server.requests) == 1
    assert info(created).attempts[0].sent == "no"
    assert info(created).attempts[-1].status == 200


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_a_permanent_refusal_is_not_retried(status: int) -> None:
    """A response that rejects the request itself causes no retry."""
    async with (
        RawServer(http_response(error_body("SOME_CODE"), status)) as server,
        client(server.url) as pay,
    ):
        for call in (pay.invoices.get("inv_123"), invoice(pay)):
            with pytest.raises(APIError) as caught:
                await call
            assert caught.value.status == status
    assert len(server.requests) == 2


async def test_a_duplicate_after_a_retry() -> None:
    """A duplicate in response to a retry proves an earlier success: the error has the key."""
    async with (
        RawServer(close, http_response(error_body("DUPLICATE_REQUEST"), 409)) as server,
        client(server.url) as pay,
    ):
        with pytest.raises(DuplicateRequestError) as caught:
            await invoice(pay, idempotency_key="order-7")
    assert (caught.value.sent, caught.value.idempotency_key, len(caught.value.attempts)) == (
        "yes",
        "order-7",
        2,
    )
    assert "order-7" in str(caught.value)


async def test_no_hidden_retry() -> None:
    """A kept-alive connection lost after the request is one attempt, and one request."""
    once = {"retry": None, "dashboard": Emulator().dashboard}
    async with RawServer(http_response(PRICES), close) as server, client(server.url, **once) as pay:
        for call in (pay.prices.list, lambda: pay.api_keys.revoke("key_123")):
            server.script = [http_response(PRICES), close]
            server.requests.clear()
            await pay.prices.list()
            with pytest.raises(ConnectionFailedError) as caught:
                await call()
            assert (len(caught.value.attempts), caught.value.sent) == (1, "unknown")
            assert len(server.requests) == 2


async def test_attempts_are_the_requests_of_the_server() -> None:
    """The error lists exactly the server's requests, also over lost keep-alive connections."""
    async with (
        RawServer(http_response(PRICES), close, close, close) as server,
        client(server.url, retry=RetryPolicy(3, 2, 0.001)) as pay,
    ):
        await pay.prices.list()
        with pytest.raises(ConnectionFailedError) as caught:
            await pay.prices.list()
    assert len(caught.value.attempts) == len(server.requests) - 1 == 3


# --- waits ---

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def http_date(seconds: float) -> str:
    return format_datetime(NOON + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.async_only("fakes the clock of the loop")
@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("7", 7),
        ("0", 0),
        ("1.5", 1.5),
        (http_date(9), 9),
        (http_date(-9), 0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1e3", None),
        ("NaN", None),
        ("\u0663", None),
        ("Sun, 99 Mar 2026 12:00:00 GMT", None),
        ("99999999999", 86_400),
        ("9" * 400, None),
    ],
)
async def test_retry_after(written: str, wanted: float | None) -> None:
    """Seconds, or a date by the server's clock, are the shortest wait; nonsense is ignored."""
    busy = http_response(error_body("X"), 503, {"Retry-After": written, "Date": http_date(0)})
    async with (
        RawServer(busy, http_response(PRICES), busy) as server,
        client(server.url, timeout=100_000) as pay,
    ):
        with skipping_clock() as clock:
            await pay.prices.list()
        (wait,) = clock.waits
        assert (wanted or 0) <= wait <= (wanted or 0) + QUICK.first
        with pytest.raises(ServerError) as caught:
            await pay.with_options(retry=None).prices.list()
        assert caught.value.retry_after == wanted


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_beyond_the_deadline(status: int) -> None:
    """A wait beyond the deadline does not start: the error comes at once, and has the wait."""
    async with (
        RawServer(http_response(error_body("X"), status, {"Retry-After": "30"})) as server,
        client(server.url) as pay,
    ):
        with skipping_clock() as clock, pytest.raises((RateLimitError, ServerError)) as caught:
            await pay.prices.list()
    assert vars(caught.value)["retry_after"] == 30
    assert clock.waits == []
    assert len(server.requests) == 1


async def test_limited_until_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 429 without a time, whose pause exceeds the deadline, is the error of the call."""
    monkeypatch.setattr(throttle, "_PAUSE", 60.0)  # instead of 1 s: deadlines are ample
    async with (
        RawServer(http_response(error_body("X"), 429)) as server,
        client(server.url, timeout=30) as pay,
    ):
        with pytest.raises(RateLimitError) as caught:
            await pay.prices.list()
        assert (states(caught.value), caught.value.retry_after, len(server.requests)) == (
            [429],
            None,
            1,
        )
        with pytest.raises(RequestTimeoutError) as unsent:
            await pay.with_options(timeout=10).prices.list()
        assert (unsent.value.sent, len(server.requests)) == ("no", 1)


async def test_without_a_policy() -> None:
    """`retry=None` makes one attempt of every call, on the client and on a view."""
    async with RawServer(BUSY) as server, client(server.url, retry=None) as pay:
        for face in (pay, pay.with_options(retry=QUICK).with_options(retry=None)):
            with pytest.raises(ServerError):
                await face.prices.list()
    assert len(server.requests) == 2


async def test_last_failure_is_raised() -> None:
    """The error after the last attempt is that of the last failure, and lists all failures."""
    async with (
        RawServer(close, BUSY, silence) as server,
        client(server.url, retry=RetryPolicy(3, 2, 0.001)) as pay,
    ):
        with pytest.raises(RequestTimeoutError) as caught:
            await pay.prices.list()
    assert states(caught.value) == [
        "the server closed the connection before it responded",
        503,
        "timed out",
    ]


async def test_budget() -> None:
    """Without retries in the budget, the first failure is raised; ten successes earn a retry."""
    async with (
        RawServer(BUSY) as server,
        client(server.url, retry=RetryPolicy(51, first=0.000_001, cap=0.000_001)) as pay,
    ):
        for made in (51, 51, 1):
            with pytest.raises(ServerError) as caught:
                await pay.prices.list()
            assert len(caught.value.attempts) == made
        server.script = [http_response(PRICES)]
        for _ in range(11):
            await pay.prices.list()
        server.script = [BUSY]
        with pytest.raises(ServerError) as caught:
            await pay.prices.list()
        assert len(caught.value.attempts) == 2


# --- schedule ---

OUTCOMES = st.lists(
    st.one_of(
        st.sampled_from([200, 404, 500, 503, "lost", "refused", "slow"]),
        st.tuples(st.sampled_from([429, 503]), st.floats(0, 100)),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.async_only("makes no client")
@given(
    outcomes=OUTCOMES,
    policy=st.builds(
        RetryPolicy, st.integers(1, 8), st.just(20.0), st.floats(0.01, 10), st.floats(0.01, 30)
    ),
    timeout=st.floats(0.1, 200),
    keyed=st.booleans(),
)
def test_schedule(
    outcomes: list[int | str | tuple[int, float]], policy: RetryPolicy, timeout: float, keyed: bool
) -> None:
    """Any failures: bounded attempts and waits, nothing after the deadline, and one key."""
    started: list[float] = []
    ended: list[float] = []
    pauses: list[float] = []

    async def attempt(request: Request) -> Response:
        loop = asyncio.get_running_loop()
        assert request is call
        outcome = outcomes[min(len(started), len(outcomes) - 1)]
        started.append(loop.time())
        await asyncio.sleep(0.5)
        ended.append(loop.time())
        status, after = outcome if isinstance(outcome, tuple) else (outcome, 0.0)
        pauses.append(after)
        if isinstance(status, int):
            request.attempts.append(Attempt(status, None, "yes", 0.5))
            return Response(status, {"Retry-After": f"{after:.6f}"} if after else {}, b"")
        request.attempts.append(
            Attempt(None, status, "no" if status == "refused" else "unknown", 0.5)
        )
        raise (RequestTimeoutError if status == "slow" else ConnectionFailedError)(
            status, **request.facts()
        )

    call = Request(
        operation=OPERATIONS["invoices.create"],
        path="/",
        headers={},
        body=b"{}",
        idempotency_key="key" if keyed else None,
        deadline=timeout,
        retry=policy,
    )

    async def run() -> PayChainError | Response:
        try:
            return await Retry(RetryBudget(), Counters())(call, attempt)
        except (ConnectionFailedError, RequestTimeoutError) as error:
            return error

    end = run_timeless(run())
    if isinstance(end, PayChainError):
        assert (end.idempotency_key, len(end.attempts)) == (call.idempotency_key, len(started))
    else:
        assert end.status == call.attempts[-1].status
    assert 1 <= len(started) <= policy.attempts
    for number, (before, after) in enumerate(pairwise(zip(started, ended, strict=True))):
        ceiling = min(policy.first * 2**number, policy.cap)
        assert pauses[number] - 1e-6 <= after[0] - before[1] <= pauses[number] + ceiling + 1e-6
        assert after[0] < timeout
    if not keyed:
        assert all(attempt.sent == "no" for attempt in call.attempts[:-1])
