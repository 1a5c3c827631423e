"""Telemetry of calls: each call and attempt, with its facts, however the call ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from paychainhq import (
    ConfigurationError,
    ConnectionFailedError,
    DecodeError,
    InvalidArgumentError,
    MissingCredentialError,
    NotFoundError,
    RequestTimeoutError,
    telemetry,
)
from paychainhq.ledger import MemoryLedger
from paychainhq.telemetry import CallObserver, Endpoint, Telemetry
from tests.gateway.samples import client as gateway_client
from tests.support.client import INVOICE, PRICES, client, error_body, invoice
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, close, http_response, silence
from tests.support.recorder import Recorded, Recorder

pytestmark = pytest.mark.usefixtures("face")

PATH = "/api/v1/businesses/biz_123/invoices"


@pytest.fixture
def installed() -> Iterator[Recorder]:
    """Return a recorder that observes all clients of the test."""
    recorder = Recorder()
    before = telemetry.install(recorder)
    yield recorder
    telemetry.install(before)


async def test_each_attempt_of_a_call() -> None:
    """A 503, a dropped connection and a success are three attempts of one call."""
    recorder = Recorder(lambda number: {"traceparent": f"00-{number}"})
    async with (
        RawServer(
            http_response(b"", 503), close, http_response(INVOICE, 200, {"x-request-id": "r"})
        ) as server,
        client(server.url, telemetry=recorder) as pay,
    ):
        await invoice(pay)
    template = "/api/v1/businesses/{business_id}/invoices"
    [call] = recorder.of("call")
    assert call.facts == (Endpoint("invoices.create", "POST", template, server.url),)
    business = server.requests[0].target
    assert [seen.facts for seen in recorder.of("attempt")] == [(n, business) for n in (1, 2, 3)]
    assert [request.headers["traceparent"] for request in server.requests] == [
        "00-1",
        "00-2",
        "00-3",
    ]
    first, second, third = recorder.attempts()
    assert (first.attempt.status, first.error, first.cancelled) == (503, None, False)
    assert (second.attempt.status, second.error) == (None, "ConnectionFailedError")
    assert (third.attempt.status, third.error, third.request_id) == (200, None, "r")
    [end] = recorder.calls()
    assert end.attempts == (first.attempt, second.attempt, third.attempt)
    assert (end.status, end.error, end.cancelled, end.sent) == (200, None, False, "yes")
    backoffs = second.attempt.waited["backoff"], third.attempt.waited["backoff"]
    assert end.waited["backoff"] == sum(backoffs)
    assert end.idempotency_key == server.requests[0].headers["idempotency-key"]
    assert sum(attempt.elapsed for attempt in end.attempts) <= end.elapsed
    starts = [attempt.started for attempt in end.attempts]
    assert starts == sorted(starts)


async def test_a_ledger_replays_a_response() -> None:
    """A replay is a call without an attempt."""
    recorder = Recorder()
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, telemetry=recorder, idempotency=MemoryLedger()) as pay,
    ):
        for _ in range(2):
            await invoice(pay, idempotency_key="once")
        statistics = pay.statistics()
    first, second = recorder.calls()
    assert (len(first.attempts), first.replayed) == (1, False)
    assert (second.attempts, second.replayed, second.error) == ((), True, None)
    assert second.idempotency_key == "once"
    assert (statistics.intents, statistics.answers, statistics.replays) == (1, 1, 1)
    assert statistics.calls == 2
    assert statistics.attempts == 1


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [({"id": 7}, 200, DecodeError), (error_body("NOT_FOUND"), 404, NotFoundError)],
)
async def test_a_response_that_is_an_error(
    body: object, status: int, kind: type[Exception]
) -> None:
    """The attempt has its status, and the call has its error."""
    recorder = Recorder()
    async with (
        RawServer(http_response(body, status)) as server,
        client(server.url, telemetry=recorder) as pay,
    ):
        with pytest.raises(kind):
            await pay.invoices.get("inv_1")
    [attempt], [call] = recorder.attempts(), recorder.calls()
    assert (attempt.attempt.status, attempt.error) == (status, None)
    assert (call.status, call.error, call.sent) == (status, kind.__name__, "yes")


async def test_a_call_that_sends_nothing() -> None:
    """Errors of arguments and credentials end a call without an attempt."""
    recorder = Recorder()
    async with client("http://127.0.0.1:1", telemetry=recorder, api_key=None) as pay:
        with pytest.raises(InvalidArgumentError):
            await pay.invoices.get("")
        with pytest.raises(MissingCredentialError):
            await pay.invoices.get("inv_1")
    assert [(end.error, end.attempts, end.sent) for end in recorder.calls()] == [
        ("InvalidArgumentError", (), "no"),
        ("MissingCredentialError", (), "no"),
    ]


async def test_a_deadline() -> None:
    """The end of the time is an error of the attempt and of the call."""
    recorder = Recorder()
    async with (
        RawServer(silence) as server,
        client(server.url, telemetry=recorder, timeout=0.2) as pay,
    ):
        with pytest.raises(RequestTimeoutError):
            await pay.prices.list()
    [attempt], [call] = recorder.attempts(), recorder.calls()
    assert (attempt.error, attempt.cancelled) == ("RequestTimeoutError", False)
    assert (call.error, call.cancelled, call.sent) == ("RequestTimeoutError", False, "unknown")


@pytest.mark.async_only("cancels a task")
async def test_a_cancelled_call_is_no_error() -> None:
    """A cancellation by the caller is on purpose."""
    recorder = Recorder()
    async with (
        RawServer(silence) as server,
        client(server.url, telemetry=recorder) as pay,
    ):
        task = asyncio.create_task(pay.prices.list())
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    [attempt], [call] = recorder.attempts(), recorder.calls()
    assert (attempt.error, attempt.cancelled) == (None, True)
    assert (call.error, call.cancelled) == (None, True)


async def test_requests_without_a_model_share_one_name() -> None:
    """The paths of `pay.request` are no names, of which there would be too many."""
    recorder = Recorder()
    async with (
        RawServer(http_response({})) as server,
        client(server.url, telemetry=recorder) as pay,
    ):
        for id_ in ("a", "b"):
            await pay.request("GET", f"/api/v1/x/{id_}", query={"secret": "no"})
    assert {seen.facts for seen in recorder.of("call")} == {
        (Endpoint("request", "GET", None, server.url),)
    }
    paths = [seen.facts for seen in recorder.of("attempt")]
    assert paths == [(1, "/api/v1/x/a"), (1, "/api/v1/x/b")]


async def test_installed_telemetry(installed: Recorder) -> None:
    """All clients that are made later are observed, until another telemetry is installed."""
    async with RawServer(http_response(PRICES)) as server:
        async with client(server.url) as pay:
            assert telemetry.install(None) is installed
            async with client(server.url) as unseen:
                await unseen.prices.list()
            await pay.with_options(timeout=30).prices.list()
            assert len(installed.calls()) == 1
            [(origin, statistics)] = installed.clients
            figures = statistics()
            assert figures is not None
            assert (origin, figures.calls, figures.attempts) == (server.url, 1, 1)
        assert statistics() is None


async def test_the_gateway(installed: Recorder) -> None:
    """The other client is observed too."""
    async with (
        RawServer(http_response({"data": []})) as server,
        gateway_client(server.url) as gateway,
    ):
        await gateway.applications.list()
        await gateway.payments.methods("1")  # without a model
    operations = [call.facts[0].operation for call in installed.of("call")]
    assert operations == ["applications.list", "payments.methods"]


def test_telemetry_of_another_kind() -> None:
    """An object without the hooks is refused by the constructor."""
    with pytest.raises(ConfigurationError, match="telemetry must be of a subclass"):
        PayChainHQ(telemetry=object())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="not str"):
        telemetry.install("x")  # type: ignore[arg-type]


class Choosy(Telemetry):
    """Telemetry that observes no call."""

    def call(self, endpoint: Endpoint, /) -> CallObserver | None:
        return None


class Broken(Recorder):
    """Telemetry with a hook that raises."""

    def __init__(self, hook: str) -> None:
        super().__init__()
        self.hook = hook
        if hook != "end":
            setattr(self, hook, _raise)

    def begin(self, *facts: Any, **more: Any) -> Recorded:
        made = super().begin(*facts, **more)
        if self.hook == "end":
            made.end = _raise  # type: ignore[method-assign]
        return made


def _raise(*_: object, **__: object) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("hook", ["client", "call", "headers", "end", None])
async def test_telemetry_never_changes_a_call(
    hook: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A hook that raises, or observes nothing, leaves the result as it is."""
    broken = Choosy() if hook is None else Broken(hook)
    async with (
        RawServer(http_response(b"", 503), http_response(PRICES)) as server,
        client(server.url, telemetry=broken) as pay,
    ):
        assert len(await pay.prices.list()) > 0
    async with client("http://127.0.0.1:1", telemetry=broken, retry=None) as pay:
        with pytest.raises(ConnectionFailedError):
            await pay.prices.list()
    failures = [record for record in caplog.records if "telemetry" in record.getMessage()]
    assert bool(failures) == (hook is not None)
    assert all(record.levelno == logging.WARNING and record.exc_info for record in failures)
