"""Programs on anyio: its runner, task groups and scopes, FastAPI, and its pytest plugin."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from fastapi import FastAPI, Request
from starlette.middleware.base import BaseHTTPMiddleware

import paychainhq_sync
from paychainhq import PayChainHQ, RequestTimeoutError
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq.ledger import SQLiteLedger
from paychainhq.models import Invoice
from paychainhq.typing import InvoiceRequestDict
from tests.support.client import PRICES, client
from tests.support.raw_server import RawServer, http_response, silence
from tests.webhooks.test_frameworks import asgi_server

ORDER = ("1", "USDC", "eth")


def rows(count: int) -> list[InvoiceRequestDict]:
    return [
        {"reference": f"r{n}", "amount": "1", "token": "USDC", "chain": "eth"} for n in range(count)
    ]


def settings(emulator: Emulator) -> dict[str, Any]:
    return {"api_key": API_KEY, "business_id": BUSINESS_ID, "base_url": emulator.url}


@pytest.mark.parametrize("use_uvloop", [False, True])
def test_a_program_of_anyio(use_uvloop: bool, paychain_emulator: Emulator) -> None:
    """`anyio.run` runs calls in task groups, and in portals from other threads."""

    async def main() -> list[str]:
        made: list[str] = []
        async with PayChainHQ(**settings(paychain_emulator)) as pay:

            async def create() -> None:
                made.append((await pay.invoices.create(*ORDER)).id)

            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(create)
            await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(create))
        return made

    made = anyio.run(main, backend_options={"use_uvloop": use_uvloop})
    assert len(set(made)) == 51


async def test_limits_of_time() -> None:
    """A scope ends a call in time; the client's own deadline inside a scope is its own error."""
    async with RawServer(silence) as server, client(server.url, retry=None) as pay:
        began = anyio.current_time()
        with anyio.move_on_after(0.3) as scope:
            await pay.prices.list()
        assert scope.cancelled_caught
        assert anyio.current_time() - began < 5
        with anyio.fail_after(10) as outer, pytest.raises(RequestTimeoutError):
            await pay.with_options(timeout=0.2).prices.list()
        assert not outer.cancel_called
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_failed_task_of_a_group_ends_the_calls_of_the_others() -> None:
    """The group raises the one error; the cancelled call leaves nothing, and the next succeeds."""
    async with RawServer(silence, http_response(PRICES)) as server, client(server.url) as pay:

        async def fail() -> None:
            while not server.requests:
                await anyio.sleep(0.01)
            raise KeyError("mine")

        with pytest.raises(ExceptionGroup) as caught:
            async with anyio.create_task_group() as group:
                group.start_soon(pay.prices.list)
                group.start_soon(fail)
        assert [type(error) for error in caught.value.exceptions] == [KeyError]
        await pay.prices.list()


@pytest.mark.parametrize("with_ledger", [False, True])
async def test_a_job_in_a_scope(
    with_ledger: bool, paychain_emulator: Emulator, tmp_path: Path
) -> None:
    """A job that a scope ends leaves no task; a repeat completes it without a second invoice."""
    ledger = SQLiteLedger(tmp_path / "jobs.db") if with_ledger else None
    async with PayChainHQ(**settings(paychain_emulator), idempotency=ledger) as pay:
        earlier = {item.id async for item in pay.invoices.list()}
        before = asyncio.all_tasks()
        with anyio.CancelScope() as scope:
            async for _ in pay.invoices.create_many(rows(100), concurrency=4):
                scope.cancel()
        assert scope.cancelled_caught
        assert asyncio.all_tasks() == before
        made: set[str] = set()
        async with pay.invoices.create_many(rows(100)) as outcomes:
            async for outcome in outcomes:
                made.add(outcome.unwrap().id)
        assert len(made) == 100
        listed = {item.id async for item in pay.invoices.list()}
        assert len(listed - earlier) == 100
    if ledger is not None:
        ledger.close()


async def test_a_job_with_several_consumers(paychain_emulator: Emulator) -> None:
    """A memory stream hands the outcomes to several tasks; the failure of one ends all."""
    async with PayChainHQ(**settings(paychain_emulator)) as pay:

        async def run(store: Callable[[Invoice], None]) -> None:
            send, receive = anyio.create_memory_object_stream[Invoice](10)

            async def create() -> None:
                async with send, pay.invoices.create_many(rows(200)) as outcomes:
                    async for outcome in outcomes:
                        await send.send(outcome.unwrap())

            async def save(mine: Any) -> None:
                async with mine:
                    async for invoice in mine:
                        await anyio.lowlevel.checkpoint()
                        store(invoice)

            async with anyio.create_task_group() as group, receive:
                group.start_soon(create)
                for _ in range(4):
                    group.start_soon(save, receive.clone())

        stored: set[str] = set()
        await run(lambda invoice: stored.add(invoice.id))
        assert len(stored) == 200
        before = asyncio.all_tasks()
        with pytest.raises(ExceptionGroup, match="unhandled errors"):
            await run(lambda _: stored.remove("missing"))
        assert asyncio.all_tasks() == before


async def test_fastapi(paychain_emulator: Emulator) -> None:
    """Async and sync endpoints call both faces at once, below a middleware of Starlette."""
    app = FastAPI()
    blocking = paychainhq_sync.PayChainHQ(**settings(paychain_emulator))

    async def forward(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=forward)
    async with PayChainHQ(**settings(paychain_emulator)) as pay:

        @app.post("/async")
        async def of_async() -> str:
            return (await pay.invoices.create(*ORDER)).id

        @app.post("/sync")
        def of_sync() -> str:
            return blocking.invoices.create(*ORDER).id

        @app.post("/portal")
        def of_portal() -> str:
            return anyio.from_thread.run(pay.invoices.create, *ORDER).id

        async with asgi_server(app) as url, aiohttp.ClientSession() as session:

            async def post(path: str) -> tuple[int, str]:
                async with session.post(url.replace("/webhooks", path)) as response:
                    return response.status, await response.text()

            paths = ["/async", "/sync", "/portal"] * 20
            answers = await asyncio.gather(*map(post, paths))
        await anyio.to_thread.run_sync(blocking.close)
    assert [status for status, _ in answers] == [200] * 60
    assert len({text for _, text in answers}) == 60


MARKED = """
import anyio
import pytest
from paychainhq import ConfigurationError, PayChainHQ
from paychainhq.emulator import API_KEY, BUSINESS_ID

pytestmark = pytest.mark.anyio

@pytest.fixture
async def pay(paychain_emulator):
    async with PayChainHQ(
        api_key=API_KEY, business_id=BUSINESS_ID, base_url=paychain_emulator.url
    ) as client:
        yield client

async def test_a_call(pay):
    made = await pay.invoices.create("1", "USDC", "eth")
    with anyio.fail_after(10):
        assert (await pay.invoices.get(made.id)).status == "pending"
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_pytest_plugin(backend: str, tmp_path: Path) -> None:
    """Marked tests pass on asyncio; those of trio, the plugin's default too, name the reason."""
    backends = f"@pytest.fixture\ndef anyio_backend():\n    return {backend!r}\n"
    (tmp_path / "test_marked.py").write_text(MARKED + backends, encoding="utf-8")
    done = subprocess.run(
        [*f"{sys.executable} -m pytest -q -p no:cacheprovider -p no:asyncio".split(), tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if backend == "asyncio":
        assert done.returncode == 0, done.stdout
    else:
        assert done.returncode == 1
        assert "ConfigurationError: no asyncio event loop is running" in done.stdout
