"""Concurrent calls: each gets its own response, over a bounded number of connections."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial

import pytest

from paychainhq import InvoiceRequest, NotFoundError, PayChainHQ, RetryPolicy, ServerError
from paychainhq.emulator import Emulator
from tests.support.client import client as make_client
from tests.support.raw_server import RawServer, Recorded, http_response

CONNECTIONS = 8
TASKS = 64


client = partial(make_client, retry=RetryPolicy(), timeout=60, max_connections=CONNECTIONS)


# --- calls with recognizable responses ---


async def create_and_read(pay: PayChainHQ, n: int) -> None:
    amount = Decimal(n) + Decimal("0.000001")
    created = await pay.invoices.create(
        amount, "USDC", "eth", description=f"order {n}", idempotency_key=f"key-{n}"
    )
    assert created.amount.display == amount
    assert created.response is not None
    assert created.response.idempotency_key == f"key-{n}"
    seen, public = await asyncio.gather(
        pay.invoices.get(created.id), pay.invoices.get_public(created.id)
    )
    assert (seen.id, seen.amount.display) == (created.id, amount)
    assert (public.id, public.amount.display) == (created.id, amount)
    assert (await pay.invoices.cancel(created.id)).count == 1
    assert (await pay.invoices.get(created.id)).status == "cancelled"


async def create_customer(pay: PayChainHQ, n: int) -> None:
    customer = await pay.customers.create(f"customer {n}", f"{n}@example.com")
    assert (customer.external_ref, customer.email) == (f"customer {n}", f"{n}@example.com")
    assert await pay.customers.get(customer.id) == customer


async def read_prices(pay: PayChainHQ, n: int) -> None:
    symbol = ("USDC", "ETH", "SOL", "BTC")[n % 4]
    price, token = await asyncio.gather(pay.prices.get(symbol), pay.tokens.get(symbol))
    assert (price.symbol, token.symbol) == (symbol, symbol)


async def fail(pay: PayChainHQ, n: int) -> None:
    """Make a call whose error names the requested id, so that a mix-up with another call shows."""
    with pytest.raises(NotFoundError) as caught:
        await pay.request("GET", f"/api/v1/nothing/{n}")
    assert caught.value.message == f"there is no GET /api/v1/nothing/{n}"


MIXED: list[Callable[[PayChainHQ, int], Awaitable[None]]] = [
    create_and_read,
    create_customer,
    read_prices,
    fail,
]


async def work(pay: PayChainHQ, numbers: range) -> None:
    await asyncio.gather(*(MIXED[n % len(MIXED)](pay, n) for n in numbers))


async def test_mixed_calls_at_once(paychain_emulator: Emulator) -> None:
    """64 tasks over 8 connections, with failures in between: each response fits its request."""
    for kind in ("drop", "truncate", "reset", 503, "in_progress", 429):
        paychain_emulator.fault("invoices.create", kind, 2)
        paychain_emulator.fault("invoices.get", kind if kind != "in_progress" else 500, 2)
    async with client(
        paychain_emulator.url, retry=RetryPolicy(attempts=30, first=0.001, cap=0.01)
    ) as pay:
        await work(pay, range(TASKS))
        listed = [invoice.status async for invoice in pay.invoices.list(limit=5)]
    assert Counter(listed) == {"cancelled": TASKS // 4, "pending": 1}


class Echo:
    """Server that returns requested ids in random order, and counts connections and requests."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.server = RawServer(self)
        self.under_way = self.most = self.most_connections = 0
        self.failing: set[str] = set()

    async def __call__(self, request: Recorded, writer: asyncio.StreamWriter) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.most_connections = max(self.most_connections, len(self.server._connections))
        for _ in range(self.random.randrange(12)):
            await asyncio.sleep(0)
        id_ = request.target.rpartition("/")[2]
        fails = id_ in self.failing
        self.failing.discard(id_)
        self.under_way -= 1
        writer.write(
            http_response(
                {"id": id_, "status": "pending", "amount": "1"}, status=503 if fails else 200
            )
        )
        if self.random.random() < 0.2:  # some connections end with their response
            await writer.drain()
            writer.close()


async def test_no_more_connections_than_allowed() -> None:
    """At most 8 connections exist, all 8 are used, and each response reaches its own call."""
    echo = Echo(1)
    async with (
        echo.server as server,
        client(server.url, retry=RetryPolicy(first=0.001, cap=0.002)) as pay,
    ):
        found = await asyncio.gather(*(pay.invoices.get(f"inv_{n}") for n in range(TASKS * 4)))
    assert [invoice.id for invoice in found] == [f"inv_{n}" for n in range(TASKS * 4)]
    assert echo.most <= echo.most_connections == CONNECTIONS


async def test_views_at_once() -> None:
    """Views used at the same time keep their own options, and share their client's connections."""
    echo = Echo(2)
    echo.failing = {f"{kind}_{n}" for kind in ("plain", "firm") for n in range(10)}
    async with (
        echo.server as server,
        client(server.url, retry=RetryPolicy(first=0.001, cap=0.002)) as pay,
    ):
        plain = pay.with_options(retry=None, timeout=30)
        businesses = [
            pay.with_options(business_id=f"biz_{n}", retry=RetryPolicy(attempts=1))
            for n in range(10)
        ]
        results = await asyncio.gather(
            *(pay.invoices.get(f"firm_{n}") for n in range(20)),
            *(plain.invoices.get(f"plain_{n}") for n in range(20)),
            *(view.businesses.invoice_settings() for view in businesses),
            return_exceptions=True,
        )
    assert [result.id for result in results[:20]] == [f"firm_{n}" for n in range(20)]  # type: ignore[union-attr]
    assert [isinstance(result, ServerError) for result in results[20:40]] == [True] * 10 + [
        False
    ] * 10
    assert [len(result.attempts) for result in results[20:30]] == [1] * 10  # type: ignore[union-attr]
    targets = Counter(request.target for request in server.requests if "settings" in request.target)
    assert targets == {f"/api/v1/businesses/biz_{n}/settings/invoices": 1 for n in range(10)}
    assert echo.most_connections <= CONNECTIONS


async def test_jobs_lists_and_calls_at_once(paychain_emulator: Emulator) -> None:
    """Two jobs, a list and single calls share 3 connections, and all end."""
    async with client(paychain_emulator.url, max_connections=3) as pay:

        async def job(name: str) -> set[str]:
            requests = (
                InvoiceRequest(amount="5", token="USDC", chain="eth", reference=f"{name}-{n}")
                for n in range(40)
            )
            return {
                outcome.result.id
                async for outcome in pay.invoices.create_many(requests)
                if outcome.result
            }

        async def walk() -> int:
            return len([invoice async for invoice in pay.invoices.list(limit=2)])

        one, other, same, seen, _ = await asyncio.gather(
            job("a"), job("b"), job("a"), walk(), work(pay, range(16))
        )
        assert one == same
        assert len(one) == len(other) == 40
        assert not one & other
        assert seen >= 1


# --- threads ---


def test_a_client_in_each_thread(paychain_emulator: Emulator) -> None:
    """Two clients in two loops in two threads do not affect each other."""
    together = threading.Barrier(2)

    def run(first: int) -> None:
        async def main() -> None:
            async with client(paychain_emulator.url) as pay:
                together.wait(30)
                await work(pay, range(first, first + TASKS))

        asyncio.run(main())

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, (0, 1000))) == [None, None]


RACE = """
import asyncio, sys, threading
from paychainhq import PayChainHQ, Response
from tests.support.samples import SAMPLES
from tests.support.calls import CALLS, DASHBOARD_HEADERS, call
from paychainhq import DashboardSession

sys.setswitchinterval(1e-6)
together = threading.Barrier(4)
failures = []
DATA = {sample.operation: __import__("json").dumps(sample.response).encode() for sample in SAMPLES}

async def answering(request, send):
    return Response(200, {}, DATA[request.operation.name])

async def main():
    session = DashboardSession(DASHBOARD_HEADERS)
    async with PayChainHQ(api_key="k", business_id="biz_123", dashboard=session, middleware=[answering]) as pay:
        together.wait(30)
        for name in DATA:
            await call(pay, name, CALLS[name])

def run():
    try:
        asyncio.run(main())
    except BaseException as error:
        failures.append(repr(error))

threads = [threading.Thread(target=run) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
sys.exit("\\n".join(failures) or 0)
"""  # noqa: E501


def test_threads_that_use_every_model_first() -> None:
    """Decoders are made at the first use: four threads at once get correct results."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RACE],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
