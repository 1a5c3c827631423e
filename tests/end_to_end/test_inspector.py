"""Inspector of the emulator in a real browser: live, operable, and closed to other pages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from paychainhq import PayChainHQ, ServerError, webhooks
from paychainhq.emulator import API_KEY, BUSINESS_ID, WEBHOOK_SECRET, Emulator
from tests.support.browser import browser, needs_browser

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = needs_browser

# Counts the movements of elements that no user has caused.
MOVEMENTS = """
window.moved = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries())
    if (!entry.hadRecentInput)
      window.moved.push(entry.sources.map((source) => String(source.node?.textContent)));
}).observe({ type: "layout-shift", buffered: true });
"""

# Every way of a page on another origin to read from the emulator, or to control it.
HOSTILE = """<title>evil</title><iframe src="ADDRESS/"></iframe><iframe name="target"></iframe>
<form id="form" action="ADDRESS/pay" method="post" enctype="text/plain" target="target">
<input name='{"invoiceId": "inv_123", "x": "' value='"}'></form>
<script>
const body = '{"invoiceId": "inv_123"}', headers = { "Content-Type": "application/json" };
const send = (name, options) => fetch("ADDRESS/" + name, options).then(
  (response) => response.type === "opaque" ? "opaque" : response.text(), () => "refused");
form.submit();
for (const kind of ["ready", "message", "invoice"])
  new EventSource("ADDRESS/events").addEventListener(kind, () => { document.title = "owned"; });
window.tried = Promise.all([
  send(""), send("requests"), send("pay", { method: "POST", body, headers }),
  send("pay", { method: "POST", body, mode: "no-cors" }),
  send("reset", { method: "POST", mode: "no-cors" }),
]);
</script>"""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@asynccontextmanager
async def inspector(
    opened: Browser, emulator: Emulator, query: str = "", **options: Any
) -> AsyncIterator[Page]:
    """Open the page; nothing on it fails, and it sends requests to the emulator only."""
    context = await opened.new_context(**options)
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(emulator.url) else problems.append(request.url)
        ),
    )
    await page.add_init_script(MOVEMENTS)
    await page.goto(f"{emulator.url}/_emulator/{query}")
    if options.get("java_script_enabled", True):
        await page.locator("body.live").wait_for()
    yield page
    await context.close()
    assert problems == []


class Shop:
    """Server on another origin: a receiver of webhooks, and a hostile page."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.page = b""
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                event = webhooks.parse(body, self.headers, secrets=WEBHOOK_SECRET)
                shop.events.append(event.event)
                self._respond(b"")

            def do_GET(self) -> None:
                self._respond(shop.page)

            def _respond(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    thread = Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


async def test_from_an_invoice_to_a_fault(emulator: Emulator, shop: Shop) -> None:
    """An invoice appears, is paid and confirmed, its webhooks arrive, and a fault hits the client.

    Nothing moves while rows arrive.
    """
    async with (
        PayChainHQ(
            api_key=API_KEY, business_id=BUSINESS_ID, base_url=emulator.url, retry=None
        ) as pay,
        browser() as opened,
        inspector(opened, emulator) as page,
    ):
        from playwright.async_api import expect

        await page.get_by_label("URL").fill(shop.url)
        await page.get_by_label("Secret").fill(WEBHOOK_SECRET)
        await page.get_by_role("button", name="Add endpoint").click()
        await expect(page.get_by_role("table", name="endpoints")).to_contain_text(shop.url)
        invoice = await pay.invoices.create("24.50", "USDC", "eth")
        row = page.locator(f'tr[data-key="{invoice.id}"]')
        await expect(row).to_contain_text("pending")
        await expect(page.get_by_role("table", name="requests")).to_contain_text("invoices.create")

        # by keyboard: the focus stays on the button while its row changes
        await row.get_by_role("button", name="Pay").focus()
        await page.keyboard.press("Enter")
        await expect(row).to_contain_text("confirming")
        await expect(row.get_by_role("button", name="Pay")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(row.locator(".badge")).to_have_text("paid")
        deliveries = page.get_by_role("table", name="deliveries")
        await expect(deliveries).to_contain_text("invoice.paid")
        await expect(deliveries.get_by_text("1 of 6")).to_have_count(2)
        await deliveries.get_by_role("button", name="Resend").first.click()
        await expect(deliveries).to_contain_text("2 of 6")
        assert sorted(shop.events) == ["invoice.confirming", "invoice.paid", "invoice.paid"]

        await page.get_by_label("Operation").select_option("invoices.get")
        await page.get_by_label("Times").fill("5")
        await page.get_by_role("button", name="Arm fault").click()
        faults = page.get_by_role("table", name="faults")
        await expect(faults).to_contain_text("invoices.get")
        with pytest.raises(ServerError):
            await pay.invoices.get(invoice.id)
        await expect(faults.locator("tbody td").last).to_have_text("1")
        await page.get_by_role("button", name="Clear faults").click()
        await expect(faults).not_to_contain_text("invoices.get")
        assert (await pay.invoices.get(invoice.id)).is_settled

        assert await page.evaluate("window.moved") == []

        await page.get_by_role("link", name="invoices.create").click()
        await expect(page.locator("#curl")).to_contain_text("$PAYCHAIN_API_KEY")
        await expect(page.locator("body")).not_to_contain_text(API_KEY)


async def test_hostile_content_and_hostile_pages(emulator: Emulator, shop: Shop) -> None:
    """Markup in an invoice is text, and a page of another origin neither reads nor controls."""
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>alert(1)</script>"
    async with (
        PayChainHQ(api_key=API_KEY, business_id=BUSINESS_ID, base_url=emulator.url) as pay,
        browser() as opened,
    ):
        from playwright.async_api import expect

        async with inspector(opened, emulator) as page:
            invoice = await pay.invoices.create("1", "USDC", "eth", metadata={"<b>x": hostile})
            await page.get_by_role("link", name=invoice.id).click()
            shown = page.locator("article")
            await expect(shown).to_contain_text(json.dumps(hostile))
            await page.get_by_role("link", name="invoices.create").click()
            await expect(page.locator("article pre").first).to_contain_text("<img src=x")
            assert await page.locator("img, script:not([src])").count() == 0
            assert await page.title() == "PayChainHQ emulator"

        # for readers without scripts: lists, details and pages are links
        async with inspector(opened, emulator, java_script_enabled=False) as page:
            await page.get_by_role("link", name=invoice.id).click()
            await expect(page.locator("article")).to_contain_text(str(invoice.deposit_address))
            assert await page.get_by_role("button", name="Pay").count() == 0
            await page.get_by_label("Status").select_option("paid")
            await page.get_by_role("button", name="Filter").click()
            await expect(page.locator("#invoices")).to_contain_text("page 1 of 1, 0 in all")

        shop.page = HOSTILE.replace("ADDRESS", f"{emulator.url}/_emulator").encode()
        context = await opened.new_context()
        foreign = await context.new_page()
        await foreign.goto(shop.url)
        tried = await foreign.evaluate("window.tried")
        assert tried == ["refused", "refused", "refused", "opaque", "opaque"]
        assert await foreign.title() == "evil"
        await context.close()
        assert (await pay.invoices.get("inv_123")).status == "pending"
        assert (await pay.invoices.get(invoice.id)).status == "pending"


async def test_ten_thousand_invoices(emulator: Emulator) -> None:
    """The page stays small; rows under the pointer stay in place; it fits on a phone."""

    def insert(control: Any) -> None:
        with control.state.transaction():
            for number in range(10_000):
                control.state.run(
                    "INSERT INTO invoices (id, status, token, chain, network_id, raw, decimals, "
                    "deposit_address, expires_at, tolerance_bps, tolerance_max_usd, created_at) "
                    "SELECT ?, status, token, chain, network_id, raw, decimals, deposit_address, "
                    "expires_at, 0, '0', created_at FROM invoices WHERE id = 'inv_123'",
                    f"inv_{number:08}",
                )

    emulator._read(insert)
    async with (
        PayChainHQ(api_key=API_KEY, business_id=BUSINESS_ID, base_url=emulator.url) as pay,
        browser() as opened,
        inspector(
            opened, emulator, viewport={"width": 320, "height": 700}, color_scheme="dark"
        ) as page,
    ):
        from playwright.async_api import expect

        pager = page.locator('[data-part="invoices-pager"]')
        await expect(pager).to_contain_text("page 1 of 667, 10,001 in all")
        assert await page.locator("tr").count() < 100
        rows = page.locator("#invoices tbody tr")
        await rows.nth(3).hover()
        newest = await rows.first.get_attribute("data-key")
        outcomes = [
            outcome
            async for outcome in pay.invoices.create_many(
                {"amount": "1", "token": "USDC", "chain": "eth", "reference": f"r{number}"}
                for number in range(200)
            )
        ]
        assert {outcome.ok for outcome in outcomes} == {True}
        await expect(page.locator("#invoices-newer")).to_have_text("15 newer")
        assert await rows.first.get_attribute("data-key") == newest
        await page.locator("h1").hover()
        await expect(pager).to_contain_text("page 1 of 681, 10,201 in all")
        await expect(page.locator("#invoices-newer")).to_have_text("")
        assert await rows.first.get_attribute("data-key") != newest
        await pager.get_by_role("link", name="Older").click()
        await expect(pager).to_contain_text("page 2 of 681")
        await page.get_by_label("Status").select_option("cancelled")
        await expect(pager).to_contain_text("0 in all")
        size = "[document.documentElement.scrollWidth, getComputedStyle(document.body).color]"
        assert await page.evaluate(size) == [320, "rgb(230, 233, 239)"]
        assert await page.evaluate("window.moved") == []
