"""Statistics of a client: counts of its calls and attempts, without any telemetry."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from paychainhq import DecodeError, NotFoundError, Statistics
from paychainhq.middleware import throttle
from tests.gateway.samples import client as gateway_client
from tests.support.client import HASTY, INVOICE, PRICES, client, error_body, invoice
from tests.support.raw_server import RawServer, http_response, silence

pytestmark = pytest.mark.usefixtures("face")

NONE = {
    "calls": 0,
    "failed": 0,
    "attempts": 0,
    "retries": 0,
    "rate_limited": 0,
    "in_flight": 0,
    "waiting": 0,
    "waits": {},
    "rates": {},
    "retry_budgets": {},
    "intents": 0,
    "answers": 0,
    "replays": 0,
    "watched": 0,
    "rounds": 0,
    "changes": 0,
    "behind": 0.0,
}


async def test_a_new_client() -> None:
    """All figures of a client without a call are zero, in plain JSON types."""
    async with client("http://127.0.0.1:1") as pay:
        statistics = pay.statistics()
    assert isinstance(statistics, Statistics)
    assert statistics.to_dict() == json.loads(statistics.to_json()) == NONE


async def test_counts() -> None:
    """Calls of views count too; a decode error is a failed call of a successful attempt."""
    script = (
        http_response(b"", 503),
        http_response(PRICES),
        http_response({"id": 7}),
        http_response(error_body("X"), 404),
    )
    async with RawServer(*script) as server, client(server.url) as pay:
        await pay.with_options(timeout=60).prices.list()
        with pytest.raises(DecodeError):
            await pay.invoices.get("inv_1")
        with pytest.raises(NotFoundError):
            await pay.request("GET", "/api/v1/x")
        statistics = pay.statistics()
    assert (statistics.calls, statistics.failed) == (3, 2)
    assert (statistics.attempts, statistics.retries, statistics.in_flight) == (4, 1, 0)
    assert "backoff" in statistics.waits
    assert statistics.retry_budgets == {"prices.list": 99.1}


async def test_a_call_in_progress() -> None:
    """A call that waits for its response holds a slot, for which others wait."""
    async with (
        RawServer(silence) as server,
        client(server.url, retry=HASTY, max_connections=2) as pay,
    ):
        calls = asyncio.gather(*(invoice(pay) for _ in range(3)), return_exceptions=True)
        while len(server.requests) < 2 or not pay.statistics().waiting:
            await asyncio.sleep(0.01)
        statistics = pay.statistics()
        server.script = [http_response(INVOICE)]
        await calls
        assert pay.statistics().waiting == 0
    assert (statistics.calls, statistics.in_flight, statistics.waiting) == (3, 2, 1)


async def test_a_limited_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 429 is counted, and its operation has an adaptive rate."""
    monkeypatch.setattr(throttle, "_PAUSE", 0.05)
    async with (
        RawServer(http_response(b"", 429), http_response(PRICES)) as server,
        client(server.url) as pay,
    ):
        await pay.prices.list()
        statistics = pay.statistics()
    assert (statistics.rate_limited, statistics.retries) == (1, 1)
    assert statistics.rates.keys() == {"prices.list"}
    assert all(rate > 0 for rate in statistics.rates.values())


async def test_the_gateway() -> None:
    """The other client has the same statistics."""
    async with (
        RawServer(http_response({"data": []})) as server,
        gateway_client(server.url) as gateway,
    ):
        await gateway.applications.list()
        assert gateway.statistics().calls == 1


async def test_statistics_from_other_threads() -> None:
    """A monitoring thread reads them while calls run and operations appear."""
    async with RawServer(http_response({})) as server, client(server.url) as pay:

        def read() -> int:
            return max(pay.statistics().calls for _ in range(200))

        with ThreadPoolExecutor(4) as threads:
            reads = [threads.submit(read) for _ in range(8)]
            await asyncio.gather(*(pay.request("GET", f"/api/v1/{'x' * n}") for n in range(1, 60)))
            found = await asyncio.gather(*map(asyncio.wrap_future, reads))
        assert max(found) <= pay.statistics().calls == 59
