"""Header injection: no text of the caller's becomes another header or request."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
import pytest

import paychainhq_sync.webhooks
from paychainhq import (
    ConfigurationError,
    ConnectionFailedError,
    DashboardSession,
    InvalidArgumentError,
    Next,
    Request,
    Response,
    WebhookVerificationError,
    gateway,
    webhooks,
)
from paychainhq.emulator import Emulator
from paychainhq.ledger import MemoryLedger
from tests.gateway.samples import client as gateway_client
from tests.security.conftest import Way
from tests.support import faces
from tests.support.calls import CALLS, KEYED, authorized, call
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, http_response

SPLIT = [
    "a\r\nX-Evil: 1",
    "a\nX-Evil: 1",
    "a\rX-Evil: 1",
    "a\x00b",
    "a\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
    "a\n",
]
BREAKS = [*SPLIT, "a\x85b", "a\u2028b"]
each_break = pytest.mark.parametrize("text", BREAKS, ids=ascii)
each_face = pytest.mark.usefixtures("face")


def package() -> Any:
    return webhooks if faces.current == "async" else paychainhq_sync.webhooks


# Every place where the caller's text reaches a header, except the idempotency keys of calls.
HEADERS: dict[str, Callable[[str], object]] = {
    "api_key": lambda text: PayChainHQ(api_key=text),
    "payout_key": lambda text: PayChainHQ(payout_key=text),
    "contract_key": lambda text: PayChainHQ(contract_key=text),
    "a dashboard header": lambda text: DashboardSession({"Cookie": text}),
    "the name of one": lambda text: DashboardSession({text: "x"}),
    "base_url, for Host": lambda text: PayChainHQ(base_url=f"https://api.example.com{text}"),
    "base_url, within": lambda text: PayChainHQ(base_url=f"https://{text}.example.com"),
    "the proxy": lambda text: PayChainHQ(proxy=f"http://{text}.example.com"),
    "the bearer of parse": lambda text: package().parse(b"{}", {}, secrets="s", bearer=text),
    "the bearer of a receiver": lambda text: package().Receiver(
        secrets="s", ledger=MemoryLedger(), bearer=text
    ),
    "the bearer of sign": lambda text: package().sign(b"{}", secret="s", bearer=text),
    "client_token": lambda text: gateway_client("https://api.example.com", client_token=text),
    "oauth_token": lambda text: gateway_client("https://api.example.com", oauth_token=text),
    "base_url of a gateway, for Host": lambda text: gateway_client(
        f"https://api.example.com{text}"
    ),
    "the event of a gateway's sign": lambda text: gateway.webhooks.sign(
        b"{}", secret="s", event=text
    ),
    "the id of sign": lambda text: package().sign(b"{}", secret="s", webhook_id=text),
}


@each_face
@each_break
@pytest.mark.parametrize("place", HEADERS)
def test_text_with_a_line_break_is_refused(place: str, text: str) -> None:
    """The error is raised by the constructor or function that gets the text."""
    with pytest.raises(ConfigurationError):
        HEADERS[place](text)


@each_face
@pytest.mark.parametrize("place", HEADERS)
def test_plain_text_is_accepted(place: str) -> None:
    """The same places accept plain text, so it is the line break that is refused."""
    with suppress(WebhookVerificationError):  # `parse` refuses the empty webhook, but not its token
        HEADERS[place](":443" if "for Host" in place else "plain")


@each_face
@pytest.mark.parametrize(
    "key",
    [*BREAKS, "", "a b", " a", "schl\u00fcssel", "a" * 300, 7, b"a"],
    ids=lambda key: ascii(key)[:30],
)
async def test_an_idempotency_key_that_would_break_a_header(key: Any) -> None:
    """A key with illegal characters or over 255 characters is refused by each operation."""
    async with RawServer(http_response({})) as server, authorized(server) as pay:
        for name in KEYED:
            with pytest.raises(InvalidArgumentError, match="idempotency_key"):
                await call(pay, name, {**CALLS[name], "idempotency_key": key})
        with pytest.raises(InvalidArgumentError, match="idempotency_key"):
            await pay.request("POST", "/api/v1/x", idempotency_key=key)
    assert server.accepted == 0


def test_a_bearer_token_of_the_emulators_webhooks() -> None:
    """A token that would break a header is refused before the emulator sends it."""
    with Emulator() as emulator:
        for text in BREAKS:
            with pytest.raises(ValueError, match="bearer"):
                emulator.add_webhook("http://127.0.0.1:1", secret="s", bearer=text)


@pytest.mark.parametrize("text", SPLIT, ids=ascii)
async def test_an_idempotency_key_set_by_a_middleware(way: Way, text: str) -> None:
    """A key that a middleware sets past the checks cannot split a request: nothing is sent."""

    async def changing(request: Request, send: Next) -> Response:
        return await send(attrs.evolve(request, idempotency_key=text))

    async with (
        RawServer(http_response({})) as server,
        way.client(server.url, middleware=[changing], retry=None) as pay,
    ):
        with pytest.raises(ConnectionFailedError):
            await pay.request("POST", "/api/v1/x", idempotency_key="k")
    assert server.requests == []
