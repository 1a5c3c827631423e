"""Example shop: driven over HTTP, and in a real browser, from the order to its payment."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from paychainhq import webhooks
from paychainhq.emulator import API_KEY
from tests.support.browser import browser, needs_browser

ROOT = Path(__file__).parents[2]
# Webhooks alone, with a watch that polls every ten minutes; or polling alone, without webhooks.
WAYS = {
    "by webhook": ["--interval", "600"],
    "webhooks are lost": ["--interval", "0.5", "--no-webhooks"],
}


class Shop:
    """The shop's process."""

    def __init__(self, process: Process, url: str) -> None:
        self.url = url
        self._process = process

    async def log(self) -> str:
        """Close the shop, and return its log."""
        self._process.terminate()
        _, log = await self._process.communicate()
        return log.decode()


@asynccontextmanager
async def open_shop(*options: str, seconds: float = 0.7) -> AsyncIterator[Shop]:
    process = await asyncio.create_subprocess_exec(
        *[
            sys.executable,
            str(ROOT / "examples" / "shop"),
            "--port",
            "0",
            "--seconds",
            str(seconds),
            *options,
        ],
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        yield Shop(process, line.split()[-1])
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize("way", WAYS)
async def test_an_order_is_paid_once(way: str) -> None:
    """The page has address and amount, no key and no API address; the order is shipped once."""
    async with open_shop(*WAYS[way]) as shop, aiohttp.ClientSession(shop.url) as session:
        async with session.post("/orders", data={"article": "Grinder"}) as response:
            page, path = await response.text(), response.url.path
            assert response.status == 200
        assert "<svg" in page
        assert re.search(r'id="amount">189(\.00)?</span> USDC', page)
        assert re.search(r'id="address">0x[0-9a-f]{40}<', page)
        assert re.search(r'new Date\("20\d\d-\d\d-\d\dT', page)
        assert not [
            word for word in (API_KEY, "pk_", "whsec", "/api/", "x-api-key") if word in page
        ]
        seen: list[str] = []
        while "paid" not in seen:
            async with session.get(f"{path}/state") as response:
                status = (await response.json())["status"]
            if status not in seen[-1:]:
                seen.append(status)
            await asyncio.sleep(0.02)
        assert seen[-2:] == ["confirming", "paid"]
        assert (await shop.log()).count("ship the order") == 1


async def test_unknown_requests_to_the_shop() -> None:
    """Unknown articles, orders and senders of webhooks are refused."""
    async with open_shop() as shop, aiohttp.ClientSession(shop.url) as session:
        async with session.post("/orders", data={"article": "A bridge"}) as response:
            assert response.status == 400
        for path in ("/orders/unknown", "/orders/unknown/state"):
            async with session.get(path) as response:
                assert response.status == 404
        body = b'{"id": "evt_1", "event": "invoice.paid", "data": {"invoiceId": "inv_123"}}'
        async with session.post(
            "/webhooks", data=body, headers=webhooks.sign(body, secret="guessed")
        ) as response:
            assert response.status == 400


@needs_browser
@pytest.mark.parametrize("way", WAYS)
async def test_the_page_in_a_real_browser(way: str) -> None:
    """The page follows the order up to its payment, and connects only to the shop."""
    requested: list[str] = []
    async with open_shop(*WAYS[way], seconds=2.0) as shop, browser() as opened:
        from playwright.async_api import Request, expect

        page = await opened.new_page()

        def note(request: Request) -> None:
            requested.append(request.url)

        page.on("request", note)
        await page.goto(shop.url)
        await page.get_by_role("button", name="Coffee").click()
        status = page.locator("#status")
        await expect(status).to_have_text("Waiting for your payment")
        await expect(page.locator("#amount")).to_have_text(re.compile(r"24\.5"))
        await expect(page.locator("#qr svg")).to_be_visible()
        await expect(page.locator("#left")).to_have_text(re.compile(r"^(30:00|29:\d\d)$"))
        await expect(status).to_have_text("Seen, waiting for confirmations", timeout=20_000)
        await expect(status).to_have_text("Paid. Thank you!", timeout=20_000)
        await expect(page.locator("#address")).to_be_hidden()
        pictures = ROOT / "demo-output"
        pictures.mkdir(exist_ok=True)
        await page.screenshot(path=pictures / f"shop, {way}.png")
        assert {url.startswith(shop.url) for url in requested} == {True}
        assert (await shop.log()).count("ship the order") == 1
