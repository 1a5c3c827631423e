"""Parts of the pytest fixtures: settings of clients, the guard, and the sender of webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from unittest.mock import patch

from yarl import URL

from paychainhq import PayChainHQ, RetryPolicy
from paychainhq._core.settings import is_loopback
from paychainhq._http.messages import Request, Response
from paychainhq._http.sender import Sender
from paychainhq.emulator.deliveries import Delivery
from paychainhq.emulator.emulator import Emulator
from paychainhq.emulator.in_process import Target, WebhookResponse
from paychainhq.emulator.keys import (
    API_KEY,
    BUSINESS_ID,
    CONTRACT_KEY,
    PAYOUT_KEY,
    WEBHOOK_SECRET,
)
from paychainhq.errors import ConfigurationError

# Six attempts as by default, with waits of milliseconds: an outage costs a test no seconds.
_RETRY = RetryPolicy(first=0.001, cap=0.01)
# No delivery is made to this endpoint: it holds back all of them.
_RECORD_URL = "http://127.0.0.1:9/recorded-for-paychain_webhooks"


def settings(emulator: Emulator) -> dict[str, Any]:
    """Return the arguments of a client of the emulator."""
    return {
        "api_key": API_KEY,
        "payout_key": PAYOUT_KEY,
        "contract_key": CONTRACT_KEY,
        "dashboard": emulator.dashboard,
        "business_id": BUSINESS_ID,
        "base_url": emulator.url,
        "retry": _RETRY,
    }


def close(client: PayChainHQ) -> None:
    """Close a client whose event loop does not run any more, on a loop of another thread.

    The current loop of this thread belongs to the plugin that runs the tests.
    """
    thread = Thread(target=lambda: asyncio.run(client.close()))
    thread.start()
    thread.join()


@contextmanager
def guard() -> Iterator[set[str]]:
    """Refuse the attempts of all clients to hosts beyond loopback, and give these hosts."""
    refused: set[str] = set()
    send = Sender.send

    async def checked(sender: Sender, request: Request) -> Response:
        connection = sender._connection
        for url in (connection.base_url, connection.proxy or connection.base_url):
            host = URL(url).host or ""
            if not is_loopback(host):
                refused.add(host)
                raise ConfigurationError(
                    f"a test with the emulator would have sent a request to {host}",
                    **request.facts(),
                )
        return await send(sender, request)

    with patch.object(Sender, "send", checked):
        yield refused


class Webhooks:
    """Sender of the emulator's events to an application under test.

    Attributes:
        secret: The secret that signs the events, for the settings of the application.
    """

    def __init__(self, emulator: Emulator) -> None:
        self.secret = WEBHOOK_SECRET
        self._emulator = emulator
        self._endpoint_id = emulator.add_webhook(_RECORD_URL, secret=self.secret)
        emulator.hold_webhook(self._endpoint_id)
        self._posted: set[str] = set()

    def post(
        self, event: str, invoice_id: str = "inv_123", *, to: Target, path: str = "/"
    ) -> WebhookResponse:
        """Post an event by name, whatever the status of its invoice; see `Emulator.deliver`."""
        return self._emulator.deliver(event, invoice_id, to=to, path=path)

    async def apost(
        self, event: str, invoice_id: str = "inv_123", *, to: Target, path: str = "/"
    ) -> WebhookResponse:
        """Post as `post` does; an ASGI application runs on this event loop."""
        return await self._emulator.adeliver(event, invoice_id, to=to, path=path)

    def post_new(self, *, to: Target, path: str = "/") -> list[WebhookResponse]:
        """Post the events of all changes since the last time, the oldest first."""
        return [self._emulator.deliver(event, to=to, path=path) for event in self._new()]

    async def apost_new(self, *, to: Target, path: str = "/") -> list[WebhookResponse]:
        """Post as `post_new` does; an ASGI application runs on this event loop."""
        return [await self._emulator.adeliver(event, to=to, path=path) for event in self._new()]

    def _new(self) -> list[Delivery]:
        new = [
            delivery
            for delivery in self._emulator.deliveries
            if delivery.url == _RECORD_URL and delivery.id not in self._posted
        ]
        self._posted.update(delivery.id for delivery in new)
        return new
