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
from paychainhq.emulator import API_KEY, BUSINESS_ID
from tests.support.browser import browser, needs_browser

ROOT = Path(__file__).parents[2]
# Webhooks alone, with a watch that polls every ten minutes; or polling alone, without webhooks.
WAYS = {
    "by webhook": ["--interval", "600"],
    "webhooks are lost": ["--interval", "0.5", "--no-webhooks"],
}


class Shop:
    """The shop's process."""

    def __init__(self, process: Process, url: str, inspector: str) -> None:
        self.url = url
        self._inspector = inspector
        self._process = process

    async def control(self, name: str, **body: str) -> str:
        """Send a control request for the newest invoice, and return the invoice's status."""
        origin = self._inspector.removesuffix("/_emulator/")
        invoices = f"{origin}/api/v1/businesses/{BUSINESS_ID}/invoices"
        async with aiohttp.ClientSession() as session:
            async with session.get(invoices, headers={"x-api-key": API_KEY}) as response:
                body["invoiceId"] = (await response.json())["data"][0]["id"]
            async with session.post(f"{self._inspector}{name}", json=body) as response:
                return str((await response.json())["status"])

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
        lines = [(await process.stdout.readline()).decode().split()[-1] for _ in range(2)]
        yield Shop(process, *lines)
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
        assert re.search(r'id="amount">189.00</span> USDC', page)
        assert re.search(r'id="address">0x[0-9a-f]{40}<', page)
        assert re.search(r'datetime="20\d\d-\d\d-\d\dT', page)
        assert re.search(
            r'href="ethereum:0x\w{40}@8453/transfer\?address=0x\w{40}&amp;uint256=189000000"', page
        )
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
    async with open_shop(*WAYS[way], seconds=3600) as shop, browser() as opened:
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
        await shop.control("pay")
        await expect(status).to_have_text("Seen, waiting for confirmations")
        await shop.control("confirm")
        await expect(status).to_have_text("Paid. Thank you!")
        await expect(page.locator("#address")).to_be_hidden()
        pictures = ROOT / "demo-output"
        pictures.mkdir(exist_ok=True)
        await page.screenshot(path=pictures / f"shop, {way}.png")
        assert {url.startswith(shop.url) for url in requested} == {True}
        assert (await shop.log()).count("ship the order") == 1


@needs_browser
async def test_a_payment_in_parts() -> None:
    """The page shows the missing part and a link for it; without scripts, it shows all the same."""
    async with open_shop(*WAYS["by webhook"], seconds=3600) as shop, browser() as opened:
        from playwright.async_api import expect

        phone = await opened.new_context(
            viewport={"width": 320, "height": 700},
            color_scheme="dark",
            permissions=["clipboard-read", "clipboard-write"],
        )
        page = await phone.new_page()
        await page.goto(shop.url)
        await page.get_by_role("button", name="Coffee").click()
        status, amount = page.get_by_role("status").first, page.locator("#amount")
        link = page.get_by_role("link", name="Open in your wallet")
        await expect(amount).to_have_text("24.50")
        await expect(link).to_have_attribute("href", re.compile("^ethereum:.*=24500000$"))
        await page.get_by_role("button", name="Copy the amount").click()
        await expect(page.locator("#notice")).to_have_text("Copied: 24.50")
        assert await page.evaluate("navigator.clipboard.readText()") == "24.50"

        assert await shop.control("pay", amount="10") == "confirming"
        await expect(status).to_have_text("Seen, waiting for confirmations")
        await expect(page.locator("[aria-current=step]")).to_have_text("Confirmation")
        assert await shop.control("confirm") == "partially_paid"
        await expect(status).to_have_text("Partially paid: a part is missing")
        await expect(amount).to_have_text("14.50")
        await expect(link).to_have_attribute("href", re.compile("^ethereum:.*=14500000$"))
        await expect(page.locator("progress")).to_have_attribute("value", "10")
        size = "[document.documentElement.scrollWidth, getComputedStyle(document.body).color]"
        assert await page.evaluate(size) == [320, "rgb(230, 233, 239)"]
        await shop.control("pay")
        assert await shop.control("confirm") == "paid"
        await expect(status).to_have_text("Paid. Thank you!")
        await expect(link).to_have_count(0)

        plain = await opened.new_context(java_script_enabled=False)
        page = await plain.new_page()
        await page.goto(shop.url)
        await page.get_by_role("button", name="Grinder").click()
        await expect(page.locator("#amount")).to_have_text("189.00")
        await expect(page.locator("#left")).to_have_text(re.compile(r"until \d\d:\d\d UTC"))
        await expect(page.get_by_role("button", name="Copy")).to_have_count(0)
        assert await shop.control("expire") == "expired"
        assert '<meta http-equiv="refresh" content="5">' in await page.content()
        while "Expired" not in str(await page.locator("#status").text_content()):
            await page.reload()
        await expect(page.locator("#address")).to_have_count(0)
        assert (await shop.log()).count("ship the order") == 1
