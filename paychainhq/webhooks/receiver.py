"""Receiving webhooks: each event is claimed, handled, marked done, and only then acknowledged."""

from __future__ import annotations

import asyncio
import logging
import secrets as random
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from weakref import WeakSet

from paychainhq import config, signing
from paychainhq.credentials import conceal
from paychainhq.errors import ConfigurationError, DecodeError, LedgerError, WebhookVerificationError
from paychainhq.ledger.claims import Claims
from paychainhq.models.webhooks import Event
from paychainhq.signing import Headers
from paychainhq.webhooks.events import parse
from paychainhq.webhooks.feed import Feed

if TYPE_CHECKING:
    from aiohttp import web
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger("paychainhq")

H = TypeVar("H")
Handler = Callable[[Event], Awaitable[object]]

WITHIN = 25.0  # the API waits 30 s for an answer
_LEASE = 60.0  # it asks again a minute later

OK, BAD_REQUEST, FAILED, HELD = 200, 400, 500, 503


class Keeper(Protocol):
    """A ledger that keeps claims: `SQLiteLedger`, `MemoryLedger`."""

    @property
    def claims(self) -> Claims: ...


class BaseReceiver(Generic[H]):
    """What the async and the blocking receiver have in common: everything but the waiting."""

    def __init__(
        self,
        *,
        secrets: str | Sequence[str],
        ledger: Keeper,
        bearer: str | None = None,
        max_age: float | None = None,
        lease: float = _LEASE,
    ) -> None:
        secrets, bearer = conceal(secrets), conceal(bearer)
        self._secrets, self._bearer = signing.checked_secrets(secrets), signing.checked_bearer(bearer)
        self._claims: Claims = getattr(ledger, "claims", None) or _no_claims()
        self._max_age = max_age if max_age is None else config.seconds("max_age", max_age)
        self._lease = config.seconds("lease", lease)
        self._handlers: dict[str, H] = {}
        self._feeds: WeakSet[Feed] = WeakSet()

    def on(self, event: str) -> Callable[[H], H]:
        """Handle the events of a name: `@receiver.on("invoice.paid")`.

        Args:

            event: The name; events of other names are acknowledged, and nothing else is done about them.

        Raises:

            ConfigurationError: It has a handler already.
        """
        if event in self._handlers:
            raise ConfigurationError(f"{event} has a handler already")

        def register(handler: H) -> H:
            self._handlers[event] = handler
            return handler

        return register

    def invoice_ids(self) -> Feed:
        """Return the ids of the invoices that webhooks name from now on, for `pay.invoices.watch(..., seen=...)`."""
        feed = Feed()
        self._feeds.add(feed)
        return feed

    def _opened(self, body: bytes, headers: Headers) -> tuple[Event, H] | int:
        """Return an event and its handler, or the status that answers what has none."""
        try:
            event = parse(body, headers, secrets=self._secrets, bearer=self._bearer, max_age=self._max_age)
        except WebhookVerificationError as error:
            log.warning("a webhook was refused: %s", error)
            return BAD_REQUEST
        except DecodeError as error:
            log.warning("a webhook is from the API, and is not understood: %s", error)
            return FAILED
        if event.invoice_id is not None:
            for feed in list(self._feeds):
                feed.name(event.invoice_id)
        handler = self._handlers.get(event.event)
        return OK if handler is None else (event, handler)

    def _claim(self, event: Event, holder: str) -> int | None:
        """Claim an event; returns None, or the status that answers what is not to be handled now."""
        claimed = self._claims.claim(event.id, holder, self._lease)
        return None if claimed == "claimed" else OK if claimed == "done" else HELD

    def _give_up(self, event: Event, holder: str) -> None:
        try:
            self._claims.release(event.id, holder)
        except LedgerError as error:
            log.warning("the claim on the event %s stays until it runs out: %s", event.id, error)


def _no_claims() -> Claims:
    raise ConfigurationError("ledger must keep claims, as paychainhq.ledger.SQLiteLedger does")


def new_holder() -> str:
    return random.token_hex(8)


class Receiver(BaseReceiver[Handler]):
    """Answers webhooks: 400 to what is not proven to be from the API, 2xx to what was handled, 500 to what failed.

    An event that has a handler is claimed by its id in the ledger, handled, marked done, and only then acknowledged. So each event
    is handled at least once, and exactly once unless a process dies in a handler; several processes may share the ledger's file.
    What another one is handling is answered with 503: it comes again.

    Args:

        secrets: The webhook secret, or several while it is being changed.
        ledger: Where claims are kept: an `SQLiteLedger`, which processes may share and which survives them, or a `MemoryLedger`.
        bearer: The token that the API sends along, if you have set one.
        max_age: Refuse a timestamp that is more seconds than that away from now; it is not signed (see `parse`).
        lease: Seconds after which the claim of a process that died runs out. A handler has 25 s, since the API waits 30.

    Raises:

        ConfigurationError: The settings cannot work.

    Source: reference/webhooks-events.
    """

    async def receive(self, body: bytes, headers: Headers) -> int:
        """Handle one webhook and return the HTTP status that answers it.

        Args:

            body: The raw body.
            headers: The headers; their names may be in any case.
        """
        headers = signing.held(headers)
        opened = self._opened(body, headers)
        if isinstance(opened, int):
            return opened
        event, handler = opened
        holder = new_holder()
        try:
            async with asyncio.timeout(WITHIN):
                status = await asyncio.to_thread(self._claim, event, holder)
                if status is None:
                    await self._handle(event, handler, holder)
        except Exception:  # the handler's own, or the ledger's: either way it has not been done
            log.exception("%s: the event %s was not handled, and will come again", event.event, event.id)
            return FAILED
        return OK if status is None else status

    async def _handle(self, event: Event, handler: Handler, holder: str) -> None:
        try:
            await handler(event)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(self._give_up, event, holder))
            raise
        await asyncio.to_thread(self._claims.settle, event.id)

    # --- in a web framework ---

    async def aiohttp(self, request: web.Request) -> web.Response:
        """Serve as a handler of aiohttp: `app.router.add_post("/webhooks", receiver.aiohttp)`."""
        from aiohttp import web

        return web.Response(status=await self.receive(await request.read(), request.headers))

    async def starlette(self, request: Request) -> Response:
        """Serve as an endpoint of Starlette or FastAPI: `app.add_route("/webhooks", receiver.starlette, methods=["POST"])`."""
        from starlette.responses import Response

        return Response(status_code=await self.receive(await request.body(), request.headers))
