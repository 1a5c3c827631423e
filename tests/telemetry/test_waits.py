"""Waits of calls: each attempt has the seconds that the call waited before, by reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from paychainhq import (
    Attempt,
    Next,
    RateLimit,
    Request,
    RequestTimeoutError,
    Response,
    RetryPolicy,
)
from paychainhq._core.statistics import Counters
from paychainhq._http.messages import Middleware
from paychainhq.ledger import MemoryLedger
from paychainhq.middleware.rate_limit import Limiter
from paychainhq.middleware.retry import Retry, RetryBudget
from paychainhq.operations import OPERATIONS
from tests.support.client import INVOICE, PRICES, client, invoice
from tests.support.clocks import run_timeless
from tests.support.raw_server import RawServer, http_response
from tests.support.recorder import Recorder

pytestmark = pytest.mark.usefixtures("face")


def waits(
    calls: int,
    chain: Callable[[], Sequence[Middleware]],
    statuses: Sequence[int] = (200,),
    seconds: float = 0.0,
    deadline: float = 1e9,
) -> list[list[dict[str, float]]]:
    """Return the waits of concurrent calls by attempt, with those after the last one, if any.

    The clock is simulated: an attempt takes `seconds`, and nothing else takes any time.
    """
    script = list(statuses)

    async def send(request: Request) -> Response:
        await asyncio.sleep(seconds)
        status = script.pop(0) if len(script) > 1 else script[0]
        request.attempts.append(Attempt(status, None, "yes", seconds, waited=request.waits.copy()))
        request.waits.clear()
        return Response(status, {"Retry-After": "3"} if status == 429 else {}, b"")

    def linked(middleware: Middleware, inner: Next) -> Next:
        return lambda request: middleware(request, inner)

    async def run() -> list[list[dict[str, float]]]:
        inner: Next = send
        for middleware in reversed(chain()):
            inner = linked(middleware, inner)

        async def call() -> list[dict[str, float]]:
            request = Request(
                operation=OPERATIONS["prices.list"],
                path="/",
                headers={},
                body=None,
                idempotency_key=None,
                deadline=deadline,
                retry=RetryPolicy(first=2.0, cap=2.0),
            )
            with suppress(RequestTimeoutError):
                await inner(request)
            found = [dict(attempt.waited) for attempt in request.attempts]
            return [*found, request.waits] if request.waits else found

        return list(await asyncio.gather(*(call() for _ in range(calls))))

    return [[rounded(waited) for waited in call] for call in run_timeless(run())]


def rounded(waited: dict[str, float]) -> dict[str, float]:
    return {reason: round(seconds, 3) for reason, seconds in waited.items()}


@pytest.mark.async_only("runs the limiter itself")
def test_turns() -> None:
    """Under `RateLimit(5, burst=1)`, three calls wait for 0, 200 and 400 ms."""
    found = waits(3, lambda: [Limiter([RateLimit(5, burst=1)], 100)], seconds=0.002)
    assert found == [[{}], [{"turn": 0.2}], [{"turn": 0.4}]]


@pytest.mark.async_only("runs the limiter itself")
def test_slots() -> None:
    """A call waits for the connection of another."""
    found = waits(3, lambda: [Limiter([], 1)], seconds=0.5)
    assert found == [[{}], [{"slot": 0.5}], [{"slot": 1.0}]]


@pytest.mark.async_only("runs the limiter itself")
def test_turns_and_slots() -> None:
    """Each reason has its own part of a wait."""
    found = waits(2, lambda: [Limiter([RateLimit(5, burst=1)], 1)], seconds=0.5)
    assert found == [[{}], [{"turn": 0.2, "slot": 0.3}]]


@pytest.mark.async_only("runs the middleware itself")
def test_backoffs_and_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry waits for its backoff, and another call of the operation for the server's pause."""
    monkeypatch.setattr("random.uniform", lambda _, most: most)

    def chain() -> list[Middleware]:
        return [Retry(RetryBudget(), Counters()), Limiter([], 100)]

    assert waits(1, chain, [503, 503, 200]) == [[{}, {"backoff": 2.0}, {"backoff": 2.0}]]
    assert waits(1, chain, [429, 200]) == [[{}, {"backoff": 5.0}]]
    found = waits(2, lambda: [Limiter([], 1)], [429, 200], seconds=0.5)
    assert found == [[{}], [{"slot": 0.5, "pace": 3.0}]]


@pytest.mark.async_only("runs the limiter itself")
def test_a_wait_without_an_attempt() -> None:
    """A deadline before the turn ends a call whose waits are known all the same."""
    found = waits(2, lambda: [Limiter([], 1)], [429, 200], seconds=0.5, deadline=2.0)
    assert found == [[{}], [{"slot": 0.5}]]


async def test_three_reads_under_a_rate_limit() -> None:
    """The waits of real calls are in their attempts, in telemetry and in the statistics."""
    recorder = Recorder()
    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, rate_limit=RateLimit(2, burst=1), telemetry=recorder) as pay,
    ):
        lists: list[Any] = await asyncio.gather(*(pay.prices.list() for _ in range(3)))
        statistics = pay.statistics()
    ends = sorted(recorder.calls(), key=lambda end: end.elapsed)
    turns = [end.waited.get("turn", 0.0) for end in ends]
    assert turns[0] < 0.1 < turns[1] < turns[2] - 0.1
    assert all(end.waited.get("turn", 0.0) <= end.elapsed for end in ends)
    of_results = sorted(
        attempt.waited.get("turn", 0.0) for prices in lists for attempt in prices.response.attempts
    )
    assert of_results == turns
    assert statistics.waits["turn"] == pytest.approx(sum(turns))


async def test_a_ledger() -> None:
    """The commit of an intent is a wait before the attempt, that of the answer one after it."""

    class Slow(MemoryLedger):
        async def begin(self, intent: Any) -> Any:
            await asyncio.sleep(0.05)
            return await super().begin(intent)

        async def finish(self, intent: Any, answer: Any) -> None:
            await asyncio.sleep(0.05)
            await super().finish(intent, answer)

    recorder = Recorder()
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, telemetry=recorder, idempotency=Slow()) as pay,
    ):
        await invoice(pay)
        statistics = pay.statistics()
    [end] = recorder.calls()
    before = end.attempts[0].waited["ledger"]
    assert before > 0.04
    assert end.waited["ledger"] > before + 0.04
    assert statistics.waits["ledger"] == pytest.approx(end.waited["ledger"])
