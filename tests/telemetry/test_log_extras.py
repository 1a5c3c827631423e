"""Facts of log records: each record of the package has them as `extra`, beside its sentence."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from paychainhq import InvoiceRequest, RateLimit, RetryPolicy
from paychainhq.ledger import MemoryLedger
from paychainhq.webhooks import Receiver
from tests.support.client import PRICES, client
from tests.support.raw_server import RawServer, close, http_response
from tests.webhooks.samples import SECRET, signed, webhook

pytestmark = pytest.mark.usefixtures("face")


def facts(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return the facts of all records, and check that none lacks them."""
    records = [record for record in caplog.records if record.name == "paychainhq"]
    return [vars(record)["paychainhq"] for record in records]


async def test_attempts_and_retries(caplog: pytest.LogCaptureFixture) -> None:
    """A record has the operation, the attempt, its status and duration, and the request id."""
    caplog.set_level(logging.DEBUG, "paychainhq")
    failing = http_response(b"", 503, {"x-request-id": "r1"})
    async with (
        RawServer(failing, close, http_response(PRICES, headers={"x-request-id": "r3"})) as server,
        client(server.url) as pay,
    ):
        prices: Any = await pay.prices.list()
    first, second, third = prices.response.attempts
    common = {"operation": "prices.list"}
    one = {**common, "attempt": 1, "status": 503, "elapsed": first.elapsed, "sent": "yes"}
    two = {**common, "attempt": 2, "status": None, "elapsed": second.elapsed, "sent": "unknown"}
    three = {**common, "attempt": 3, "status": 200, "elapsed": third.elapsed, "sent": "yes"}
    found = facts(caplog)
    waits = [fact.pop("wait") for fact in found if "wait" in fact]
    assert all(0 <= wait <= 0.01 for wait in waits)
    assert found == [
        one | {"request_id": "r1"},
        one | {"request_id": "r1"},
        two | {"request_id": None},
        two | {"request_id": None},
        three | {"request_id": "r3"},
    ]
    assert "attempt 3: GET /api/v1/prices: 200 in" in caplog.text  # the sentence stays


async def test_a_turn(caplog: pytest.LogCaptureFixture) -> None:
    """The wait for a turn has its seconds."""
    caplog.set_level(logging.DEBUG, "paychainhq")
    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, rate_limit=RateLimit(20, burst=1)) as pay,
    ):
        for _ in range(2):
            await pay.prices.list()
    [turn] = [fact for fact in facts(caplog) if "attempt" not in fact]
    assert turn["operation"] == "prices.list"
    assert 0 < turn["wait"] <= 0.05


async def test_a_job(caplog: pytest.LogCaptureFixture) -> None:
    """The warning of an outage has the facts of the request that showed it."""
    async with (
        RawServer(http_response(b"", 503)) as server,
        client(server.url, retry=RetryPolicy(first=0.001, cap=0.002)) as pay,
    ):
        requests = [
            InvoiceRequest(amount="1", token="USDC", chain="eth", reference=f"r{n}")
            for n in range(3)
        ]
        jobs = pay.invoices.create_many(requests, give_up_after=0.2)
        assert not any([outcome.ok async for outcome in jobs])
    [warning] = [fact for fact in facts(caplog) if fact["sent"] == "yes"]
    assert warning.items() >= {"operation": "invoices.create", "status": 503}.items()


@pytest.mark.async_only("its receiver is of the async face")
async def test_webhooks(caplog: pytest.LogCaptureFixture) -> None:
    """A record about a webhook has the event, once that is verified."""
    receiver = Receiver(secrets=SECRET, ledger=MemoryLedger())

    @receiver.on("invoice.paid")
    async def failing(_: object) -> None:
        raise ZeroDivisionError

    body = webhook("evt_1")
    await receiver.receive(body, {})
    await receiver.receive(body, signed(body))
    assert facts(caplog) == [
        {"event": None, "event_id": None},
        {"event": "invoice.paid", "event_id": "evt_1"},
    ]
