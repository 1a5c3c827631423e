"""Soak tool: a short soak of cancelled calls, failures of its checks, and two known deadlocks."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from paychainhq import RequestTimeoutError, ServerError, codec
from paychainhq.models import Invoice
from stress import soak
from tests.support.client import INVOICE, client
from tests.support.raw_server import RawServer, http_response, silence


@pytest.mark.parametrize("connections", ["1", "16"])
def test_a_short_soak(connections: str) -> None:
    """No response reaches another call, nothing is left behind, and warnings are errors."""
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "stress",
        "soak",
        "--calls",
        "3000",
        "--connections",
        connections,
        "--cancelled",
        "50",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "responses mixed up: 0; tasks left: 0; descriptors left: 0" in done.stdout


async def test_a_mixed_up_response_is_reported() -> None:
    """Control: a client that returns one invoice for another fails the check."""

    class Confused:
        """A client that gives every tenth call the response of the first."""

        invoices: Any

        def __init__(self) -> None:
            self.invoices = self

        async def get(self, invoice_id: str) -> Invoice:
            answered = "inv_0" if invoice_id.endswith("7") else invoice_id
            return codec.from_json(Invoice, {"id": answered, "status": "pending", "amount": "1"})

    confused: Any = Confused()
    job = soak.Soak(confused, 20, 0.0, random.Random(1))
    await job.caller()
    assert job.mixed_up == ["inv_7 got inv_0", "inv_17 got inv_0"]


async def test_a_leaked_task_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control: a task that is left behind fails the check."""
    left: list[asyncio.Task[None]] = []

    async def call(self: Any, invoice_id: str) -> str:
        if not left:
            left.append(asyncio.create_task(asyncio.Event().wait()))  # type: ignore[arg-type]
        return "succeeded"

    monkeypatch.setattr(soak.Soak, "_call", call)
    problems = await soak.soak("http://127.0.0.1:1", 10, 0.0, 1, 1)
    left[0].cancel()
    assert problems == ["1 tasks and 0 descriptors are left"]
    assert "tasks left: 1" in capsys.readouterr().out


@pytest.mark.parametrize("own_session", [False, True])
async def test_one_connection_and_a_deadline(own_session: bool) -> None:
    """Calls that time out with, or waiting for, the only connection do not block the next call."""
    async with RawServer(silence) as server, AsyncExitStack() as stack:
        settings: dict[str, Any] = {"max_connections": 1}
        if own_session:
            connector = aiohttp.TCPConnector(limit=1)
            settings["session"] = await stack.enter_async_context(
                aiohttp.ClientSession(connector=connector)
            )
        async with client(server.url, retry=None, timeout=0.1, **settings) as pay:
            calls = [pay.invoices.get(f"inv_{number}") for number in range(5)]
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(error) for error in found} == {RequestTimeoutError}
            server.script = [http_response(INVOICE)]
            assert (await pay.with_options(timeout=10).invoices.get("inv_123")).id == INVOICE["id"]


@pytest.mark.parametrize("own_session", [False, True])
async def test_one_connection_and_a_failed_response_with_a_large_body(own_session: bool) -> None:
    """The second attempt does not wait for the unread body of the first one's response."""
    large = http_response(b"x" * 5_000_000, 503)
    async with RawServer(large, http_response(INVOICE)) as server, AsyncExitStack() as stack:
        settings: dict[str, Any] = {"max_connections": 1}
        if own_session:
            connector = aiohttp.TCPConnector(limit=1)
            settings["session"] = await stack.enter_async_context(
                aiohttp.ClientSession(connector=connector)
            )
        async with client(server.url, timeout=30, **settings) as pay:
            assert (await pay.invoices.get("inv_123")).id == INVOICE["id"]
            assert len(server.requests) == 2
            server.script = [large]
            with pytest.raises(ServerError):
                await pay.with_options(retry=None).invoices.get("inv_123")
