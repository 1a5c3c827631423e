"""Shop with payment by PayChainHQ: orders, payment pages, webhooks, and a watch as fallback.

The page sends its requests to the shop, and the shop to PayChainHQ: no key and no address of the
API reaches a browser.
"""

from __future__ import annotations

import asyncio
import html
import logging
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

from aiohttp import web
from orders import Orders
from payment_page import payment_page, state_of

from paychainhq import PayChainError, PayChainHQ
from paychainhq.ledger import SQLiteLedger
from paychainhq.models import Invoice, SupportedToken
from paychainhq.webhooks import Event, Receiver

FOLDER = Path(__file__).parent
NETWORK, TOKEN = "base-mainnet", "USDC"
ARTICLES = {"Coffee, 1 kg": "24.50", "Grinder": "189.00"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the page's address alone gives access to the order
}

log = logging.getLogger("shop")


class Shop:
    """Pages of the shop, and the two sources of payment notifications."""

    def __init__(
        self,
        pay: PayChainHQ,
        ledger: SQLiteLedger,
        orders: Orders,
        webhook_secret: str,
        interval: float = 5.0,
    ) -> None:
        self._pay = pay
        self._orders = orders
        self._interval = interval
        self._receiver = Receiver(secrets=webhook_secret, ledger=ledger)
        self._receiver.on("invoice.paid")(self._paid)
        self._following: set[asyncio.Task[None]] = set()
        self._token: SupportedToken

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self._front)
        app.router.add_get("/{file:shop\\.(?:css|js)}", self._file)
        app.router.add_post("/orders", self._order)
        app.router.add_get("/orders/{id}", self._payment_page)
        app.router.add_get("/orders/{id}/state", self._state)
        app.router.add_post("/webhooks", self._receiver.aiohttp)
        app.cleanup_ctx.append(self._run)
        return app

    async def _run(self, app: web.Application) -> AsyncIterator[None]:
        networks = {network.network_id: network for network in await self._pay.networks.list()}
        tokens = networks[NETWORK].supported_tokens
        self._token = next(token for token in tokens if token.symbol == TOKEN)
        for order in self._orders.open():
            self._follow(order["invoice_id"] or await self._invoice(order["id"]))
        yield
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    # --- pages ---

    async def _front(self, request: web.Request) -> web.Response:
        items = "".join(
            f'<button name="article" value="{html.escape(name)}">{html.escape(name)}, {price} '
            "USDC</button> "
            for name, price in ARTICLES.items()
        )
        page = (
            '<!doctype html><html lang="en"><title>Shop</title><link rel="icon" href="data:,">'
            '<link rel="stylesheet" href="/shop.css"><meta name="viewport" '
            'content="width=device-width"><h1>Shop</h1>'
            f'<form method="post" action="/orders">{items}</form>'
        )
        return web.Response(text=page, content_type="text/html", headers=HEADERS)

    async def _file(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(FOLDER / request.match_info["file"], headers=HEADERS)

    async def _order(self, request: web.Request) -> web.Response:
        article = str((await request.post()).get("article", ""))
        if article not in ARTICLES:
            raise web.HTTPBadRequest(text="There is no such article.")
        order_id = self._orders.add(article, ARTICLES[article])
        self._follow(await self._invoice(order_id))
        raise web.HTTPSeeOther(f"/orders/{order_id}")

    async def _payment_page(self, request: web.Request) -> web.Response:
        order = self._orders.get(request.match_info["id"])
        if order is None or order["address"] is None:
            raise web.HTTPNotFound(text="There is no such order.")
        return web.Response(text=payment_page(order), content_type="text/html", headers=HEADERS)

    async def _state(self, request: web.Request) -> web.Response:
        order = self._orders.get(request.match_info["id"])
        if order is None:
            raise web.HTTPNotFound(text="There is no such order.")
        return web.json_response(state_of(order), headers=HEADERS)

    # --- requests to PayChainHQ, and its events ---

    async def _invoice(self, order_id: str) -> Invoice:
        """Create the invoice of an order.

        The key is derived from the order: a repeat after a crash returns the same invoice.
        """
        order = self._orders.get(order_id)
        assert order is not None
        invoice = await self._pay.invoices.create(
            order["price"],
            TOKEN,
            "eth",
            network_id=NETWORK,
            expires_in=1800,
            metadata={"order": order_id},
            idempotency_key=f"shop-{order_id}",
        )
        self._orders.invoiced(order_id, invoice, invoice.payment_uri(self._token))
        return invoice

    async def _paid(self, event: Event) -> None:
        """Handle a webhook. Only the current state of the invoice counts, not the event."""
        await self._note(await event.fetch(self._pay))

    def _follow(self, invoice: Invoice | str) -> None:
        """Watch an invoice, so that a lost webhook costs no order.

        With many open invoices, one watch for all of them needs fewer requests.
        """
        task = asyncio.create_task(self._watch(invoice))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def _watch(self, invoice: Invoice | str) -> None:
        seen = self._receiver.invoice_ids()  # invoices of incoming webhooks are read immediately
        try:
            async for change in self._pay.invoices.watch(
                [invoice], interval=self._interval, seen=seen
            ):
                if change.invoice is not None:
                    await self._note(change.invoice)
        except PayChainError:
            log.exception("the watch of invoice %s has failed", invoice)

    async def _note(self, invoice: Invoice) -> None:
        if invoice.is_settled:
            if self._orders.mark_paid(invoice.id, invoice.status):
                log.info("ship the order of invoice %s", invoice.id)
            return
        if invoice.paid_amount is None:  # lists do not have it
            invoice = await self._pay.invoices.get(invoice.id)
        received = Decimal(0) if invoice.paid_amount is None else invoice.paid_amount.display
        missing = invoice.amount.display - received
        uri = invoice.payment_uri(self._token, amount=missing) if missing > 0 else None
        self._orders.update(invoice.id, invoice.status, received, uri)
