"""Telemetry of jobs, of the rounds of a watch and of webhooks, around their calls."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import paychainhq_sync.gateway.webhooks
import paychainhq_sync.webhooks
from paychainhq import AuthenticationError, InvoiceRequest, gateway
from paychainhq.emulator import Emulator
from paychainhq.ledger import MemoryLedger
from paychainhq.webhooks import Event, Receiver
from tests.gateway.samples import NOTICE
from tests.support import faces
from tests.support.client import INVOICE, client, error_body
from tests.support.raw_server import RawServer, http_response
from tests.support.recorder import Recorder, current
from tests.webhooks.samples import SECRET, signed, webhook

pytestmark = pytest.mark.usefixtures("face")

BAD = http_response(error_body("VALIDATION_ERROR"), 400)


def requests(count: int) -> list[InvoiceRequest]:
    return [
        InvoiceRequest(amount="5", token="USDC", chain="eth", reference=f"order-{n}")
        for n in range(count)
    ]


async def test_a_job() -> None:
    """Its calls run within it, although no task of theirs is the caller's."""
    recorder = Recorder()
    async with (
        RawServer(BAD, http_response(INVOICE)) as server,
        client(server.url, telemetry=recorder) as pay,
    ):
        outcomes = [outcome async for outcome in pay.invoices.create_many(requests(200))]
        await pay.invoices.get("inv_1")
    [job], [end] = recorder.of("job"), recorder.jobs()
    assert job.facts == ("invoices.create_many",)
    assert (end.ok, end.failed, end.error, end.cancelled) == (199, 1, None, False)
    assert len(outcomes) == 200
    *calls, last = recorder.of("call")
    assert len(calls) == 200
    assert {call.parent for call in calls} == {job}
    assert last.parent is None  # the job leaves nothing behind


async def test_a_job_that_ends_early() -> None:
    """A job that its caller closes is cancelled; one without a valid key has an error."""
    recorder = Recorder()
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, telemetry=recorder) as pay,
    ):
        async with pay.invoices.create_many(requests(50), concurrency=1) as outcomes:
            async for _ in outcomes:
                break
        server.script = [http_response(error_body("UNAUTHORIZED"), 401)]
        with pytest.raises(AuthenticationError):
            async for _ in pay.invoices.create_many(requests(5), concurrency=1):
                pass
    closed, refused = recorder.jobs()
    assert (closed.error, closed.cancelled) == (None, True)
    assert (refused.error, refused.cancelled, refused.failed) == ("AuthenticationError", False, 1)


@pytest.mark.parametrize("business_id", ["biz_123", None])
async def test_the_rounds_of_a_watch(business_id: str | None, paychain_emulator: Emulator) -> None:
    """Each round has its reads or pages within it, and the lags of its changes."""
    recorder = Recorder()
    emulator = paychain_emulator
    async with (
        client(emulator.url) as creating,
        client(emulator.url, telemetry=recorder, business_id=business_id) as pay,
    ):
        invoices = [
            await creating.invoices.create("100", "USDC", "eth", "base-mainnet") for _ in range(3)
        ]
        changes = 0
        async for change in pay.invoices.watch(invoices, interval=0.02):
            changes += 1
            if changes == 1:
                watched = pay.statistics().watched
            if change.previous is None:
                emulator.pay(change.invoice_id)
            elif change.current == "confirming":
                emulator.confirm(change.invoice_id)
        statistics = pay.statistics()
    ends = recorder.rounds()
    assert [seen.facts for seen in recorder.of("round")] == [("invoices.watch",)] * len(ends)
    assert sum(end.changes for end in ends) == changes == statistics.changes
    assert (ends[0].watched, ends[0].lags) == (3, ())
    lags = [lag for end in ends for lag in end.lags]
    assert len(lags) == changes - 3
    assert all(0 < lag < 60 for lag in lags)
    assert all(end.error is None and not end.cancelled and end.behind >= 0 for end in ends)
    assert {call.parent for call in recorder.of("call")} <= set(recorder.of("round"))
    assert (watched, statistics.watched, statistics.rounds) == (3, 0, len(ends))


async def receive(receiver: Any, body: bytes, headers: dict[str, str] | None = None) -> int:
    headers = signed(body) if headers is None else headers
    if faces.current == "async":
        return int(await receiver.receive(body, headers))
    return int(await asyncio.to_thread(receiver.receive, body, headers))


def made(recorder: Recorder, handler: Any, ledger: MemoryLedger | None = None) -> Any:
    kind = Receiver if faces.current == "async" else paychainhq_sync.webhooks.Receiver
    receiver = kind(secrets=SECRET, ledger=ledger or MemoryLedger(), telemetry=recorder)
    receiver.on("invoice.paid")(handler)
    return receiver


async def test_deliveries() -> None:
    """Each webhook has its event and outcome, and its handler runs within the delivery."""
    recorder, within = Recorder(), []

    def handler(event: Event) -> None:
        within.append(current.get())
        if event.id == "evt_bad":
            raise ZeroDivisionError

    receiver = made(recorder, handler)
    deliveries: list[tuple[bytes, dict[str, str] | None]] = [
        (webhook("evt_1"), None),
        (webhook("evt_1"), None),
        (webhook("evt_bad"), None),
        (webhook("evt_2", "invoice.cancelled"), None),
        (webhook("evt_3"), {}),
        (b"no event", None),
    ]
    statuses = [await receive(receiver, body, headers) for body, headers in deliveries]
    ends = recorder.deliveries()
    assert [end.status for end in ends] == statuses
    assert [(end.event, end.outcome, end.status, end.error) for end in ends] == [
        ("invoice.paid", "done", 200, None),
        ("invoice.paid", "duplicate", 200, None),
        ("invoice.paid", "failed", 500, "ZeroDivisionError"),
        ("invoice.cancelled", "ignored", 200, None),
        (None, "refused", 400, "WebhookVerificationError"),
        (None, "failed", 500, "DecodeError"),
    ]
    assert [end.handled is not None for end in ends] == [True, False, True, False, False, False]
    assert all(0 <= (end.handled or 0) <= end.elapsed and not end.cancelled for end in ends)
    first, _, third, *_ = recorder.of("delivery")
    assert within == [first, third]


async def test_an_event_of_another_process() -> None:
    """An event that another receiver is handling is held."""
    ledger, recorder = MemoryLedger(), Recorder()
    ledger.claims.claim("evt_1", "another", 60.0)
    receiver = made(recorder, print, ledger)
    assert await receive(receiver, webhook("evt_1")) == 503
    [end] = recorder.deliveries()
    assert (end.outcome, end.event, end.handled) == ("held", "invoice.paid", None)


async def test_a_delivery_of_the_gateway() -> None:
    """An event of the gateway goes by the status of its payment, which is signed."""
    recorder, body = Recorder(), json.dumps({"payment": NOTICE}).encode()
    module = gateway if faces.current == "async" else paychainhq_sync.gateway
    receiver = module.webhooks.Receiver(secrets=SECRET, ledger=MemoryLedger(), telemetry=recorder)
    receiver.on(NOTICE["status"])(print)
    headers = gateway.webhooks.sign(body, secret=SECRET)
    assert await receive(receiver, body, headers) == 200
    [end] = recorder.deliveries()
    assert (end.event, end.outcome) == (NOTICE["status"], "done")


@pytest.mark.async_only("cancels a task")
async def test_a_cancelled_delivery() -> None:
    """A delivery whose task is cancelled has no error."""
    recorder, started = Recorder(), asyncio.Event()

    async def handler(_: Event) -> None:
        started.set()
        await asyncio.Event().wait()

    body = webhook()
    task = asyncio.create_task(made(recorder, handler).receive(body, signed(body)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [end] = recorder.deliveries()
    assert (end.error, end.cancelled, end.outcome) == (None, True, "failed")
