"""Pytest fixtures of the package, in test suites of users."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import paychainhq_sync
from paychainhq import ConfigurationError, PayChainHQ, webhooks
from paychainhq.emulator import Emulator, Webhooks
from paychainhq.emulator.kit import guard

CLIENTS = """
import asyncio, unittest
import pytest
from paychainhq import ConfigurationError, PayChainHQ, ServerError
from paychainhq.emulator import API_KEY
import paychainhq_sync

@pytest.mark.asyncio
async def test_asyncio(paychain, paychain_emulator):
    invoice = await paychain.invoices.create("1", "USDC", "eth")
    paychain_emulator.pay(invoice.id)
    assert (await paychain.invoices.get(invoice.id)).status == "confirming"

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_anyio(paychain):
    assert (await paychain.prices.list())[0].symbol

def test_run(paychain):
    for _ in range(2):
        assert asyncio.run(paychain.api_keys.list())

def test_sync(paychain_sync, paychain_emulator):
    paychain_emulator.fault("*", 503, times=5)
    assert paychain_sync.prices.list()
    paychain_emulator.fault("*", 503, times=6)
    with pytest.raises(ServerError):
        paychain_sync.prices.list()
    assert len(paychain_emulator.requests) == 12

@pytest.mark.asyncio
async def test_unused(paychain):
    pass

# --- fails ---

SETTINGS = {"api_key": API_KEY, "business_id": "b", "base_url": "https://api.example.com"}

@pytest.mark.asyncio
async def test_guarded_async(paychain_emulator):
    async with PayChainHQ(**SETTINGS) as pay:
        with pytest.raises(ConfigurationError) as raised:
            await pay.prices.list()
    assert raised.value.sent == "no"

def test_guarded_sync(paychain_emulator):
    with paychainhq_sync.PayChainHQ(**SETTINGS) as pay:
        with pytest.raises(ConfigurationError):
            pay.prices.list()

@pytest.mark.asyncio
async def test_guarded_proxy(paychain_guard):
    given = {**SETTINGS, "base_url": "http://127.0.0.1:9", "allow_insecure_http": True}
    async with PayChainHQ(**given, proxy="http://proxy.example.com:1") as pay:
        with pytest.raises(ConfigurationError):
            await pay.prices.list()
"""


def test_the_fixtures_in_a_suite(tmp_path: Path) -> None:
    """Clients work under each runner without a warning, and guarded tests fail at their end."""
    (tmp_path / "test_theirs.py").write_text(CLIENTS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    report = tmp_path / "report.xml"
    others = ["-p", "no:cacheprovider", "--rootdir", str(tmp_path), f"--junitxml={report}"]
    command = [sys.executable, "-W", "error", "-m", "pytest", *others, str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path
    )
    cases = ET.parse(report).iter("testcase")
    problems = {
        str(case.get("name")): "".join(str(child.get("message")) for child in case)
        for case in cases
        if len(case)
    }
    guarded = ["test_guarded_async", "test_guarded_proxy", "test_guarded_sync"]
    assert sorted(problems) == guarded, done.stdout
    assert "requests to api.example.com" in problems["test_guarded_async"]
    assert "requests to proxy.example.com" in problems["test_guarded_proxy"]
    assert "8 passed" in done.stdout


async def test_the_asynchronous_client(paychain: PayChainHQ, paychain_emulator: Emulator) -> None:
    """The client retries at once, and has a credential for each operation."""
    paychain_emulator.fault("*", 503, times=5)
    assert await paychain.invoices.get("inv_123")
    assert await paychain.api_keys.list()
    assert len(paychain_emulator.requests) == 7


def test_the_blocking_client(paychain_sync: paychainhq_sync.PayChainHQ) -> None:
    """The client is the one of the other face."""
    assert paychain_sync.invoices.get("inv_123").status == "pending"


async def test_the_guard_names_the_host(paychain_emulator: Emulator) -> None:
    """The call raises before anything is sent, and the host is reported."""
    pay = PayChainHQ(api_key="key", business_id="b", base_url="https://api.example.com")
    with guard() as refused:
        async with pay:
            with pytest.raises(ConfigurationError, match=r"api\.example\.com"):
                await pay.prices.list()
    assert refused == {"api.example.com"}
    assert paychain_emulator.requests == ()


# --- webhooks ---


class App:
    """WSGI and ASGI applications that record events."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.events: list[tuple[str, str]] = []

    def _note(self, body: bytes, headers: dict[str, str]) -> None:
        event = webhooks.parse(body, headers, secrets=self.secret)
        self.events.append((event.event, str(event.invoice_id)))

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        headers = {
            name[5:].replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        self._note(environ["wsgi.input"].read(), headers)
        start_response("204 No Content", [])
        return []

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self._note((await receive())["body"], headers)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


@pytest.fixture
def app(paychain_webhooks: Webhooks) -> App:
    return App(paychain_webhooks.secret)


def test_new_events_are_posted(
    paychain_webhooks: Webhooks, paychain_emulator: Emulator, app: App
) -> None:
    """Each event is posted once, in order, and the emulator sends none of them itself."""
    paychain_emulator.pay("inv_123")
    paychain_emulator.confirm("inv_123")
    responses = paychain_webhooks.post_new(to=app.wsgi)
    assert [response.status for response in responses] == [204, 204]
    assert app.events == [("invoice.confirming", "inv_123"), ("invoice.paid", "inv_123")]
    assert paychain_webhooks.post_new(to=app.wsgi) == []
    assert {delivery.attempts for delivery in paychain_emulator.deliveries} == {0}
    assert paychain_webhooks.post("invoice.failed", to=app.asgi).status == 204
    assert app.events[-1] == ("invoice.failed", "inv_123")


async def test_new_events_are_posted_on_the_running_loop(
    paychain_webhooks: Webhooks, paychain_emulator: Emulator, app: App
) -> None:
    """An ASGI application runs on the loop of the test."""
    paychain_emulator.pay("inv_123")
    (response,) = await paychain_webhooks.apost_new(to=app.asgi)
    assert response.status == 204
    await paychain_webhooks.apost("invoice.paid", to=app.asgi)
    assert [name for name, _ in app.events] == ["invoice.confirming", "invoice.paid"]
