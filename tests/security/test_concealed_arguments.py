"""Secrets of any type in refused arguments: no frame of the package shows them."""

from __future__ import annotations

from collections import UserString, deque
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

import pytest
from yarl import URL

import paychainhq
import paychainhq.gateway.webhooks
import paychainhq.webhooks
import paychainhq_sync.gateway.webhooks
import paychainhq_sync.webhooks
from paychainhq import DashboardSession, PayChainError
from paychainhq.ledger import MemoryLedger
from tests.security.leaks import (
    API_KEY,
    BEARER,
    KEYS,
    PASSWORD,
    SESSION,
    WEBHOOK_SECRET,
    all_forms,
    shown,
    traced,
)
from tests.support.faces import Gateway, PayChainHQ

BODY = b"{}"
PROXY = f"http://me:{PASSWORD}@proxy.example.com"


class Held(str, Enum):  # noqa: UP042 (whose text differs from its value)
    """Secrets as members of an enum, as settings classes may have them."""

    KEY = API_KEY


def hidden(make: Callable[[], object]) -> PayChainError:
    """Assert that a call is refused, and that neither the error nor a frame shows a secret."""
    with pytest.raises(PayChainError) as caught:
        make()
    assert shown(traced(caught.value) + all_forms(caught.value)) == []
    return caught.value


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": API_KEY.encode()},
        {"api_key": bytearray(API_KEY.encode())},
        {"api_key": [API_KEY]},
        {"api_key": (API_KEY, [API_KEY.encode()])},
        {"api_key": {"live": {"key": API_KEY}}},
        {"api_key": {API_KEY}},
        {"api_key": deque([API_KEY])},
        {"api_key": Held.KEY, "timeout": 0},
        {"api_key": UserString(API_KEY), "timeout": 0},
        {"base_url": URL(PROXY)},
        {"proxy": URL(PROXY), "timeout": 0},
        {"proxy": [PROXY]},
        {"proxy": PROXY.encode()},
        {"dashboard": {"Cookie": {"session": SESSION}}},
        {"dashboard": [("Cookie", SESSION)]},
        {"dashboard": SESSION.encode()},
    ],
    ids=ascii,
)
def test_a_refused_client_shows_no_secret(settings: dict[str, Any]) -> None:
    """Secrets of any type stay hidden, whichever argument is refused."""
    for make in (PayChainHQ, PayChainHQ.from_env):
        hidden(lambda make=make: make(**{**KEYS, **settings}))  # type: ignore[misc]


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize(
    "settings",
    [
        {"client_token": API_KEY.encode()},
        {"oauth_token": [API_KEY]},
        {"webhook_secret": [WEBHOOK_SECRET, 5]},
        {"webhook_secret": WEBHOOK_SECRET.encode()},
        {"proxy": URL(PROXY), "timeout": 0},
    ],
    ids=ascii,
)
def test_a_refused_gateway_client_shows_no_secret(settings: dict[str, Any]) -> None:
    """The constructor and `from_env` of the gateway's client show no secret."""
    for make in (Gateway, Gateway.from_env):
        hidden(lambda make=make: make(**{"base_url": "https://gateway.example.com", **settings}))  # type: ignore[misc]


BAD_SECRETS: list[dict[str, Any]] = [
    {"secrets": WEBHOOK_SECRET, "bearer": BEARER + "\n"},
    {"secrets": WEBHOOK_SECRET, "bearer": BEARER.encode()},
    {"secrets": WEBHOOK_SECRET, "bearer": [BEARER]},
    {"secrets": WEBHOOK_SECRET, "bearer": {"token": [BEARER]}},
    {"secrets": [WEBHOOK_SECRET, ""]},
    {"secrets": (WEBHOOK_SECRET, 5)},
    {"secrets": deque([WEBHOOK_SECRET, None])},
    {"secrets": WEBHOOK_SECRET.encode(), "bearer": BEARER},
    {"secrets": {"new": WEBHOOK_SECRET}, "bearer": BEARER},
    {"secrets": [[WEBHOOK_SECRET]], "bearer": BEARER},
]


@pytest.mark.parametrize("given", BAD_SECRETS, ids=ascii)
def test_refused_webhook_settings_show_no_secret(given: dict[str, Any]) -> None:
    """`parse`, `sign` and the receivers of both faces show neither the secrets nor the token."""
    hidden(lambda: paychainhq.webhooks.parse(BODY, {}, **given))
    hidden(lambda: paychainhq.webhooks.Receiver(ledger=MemoryLedger(), **given))
    hidden(lambda: paychainhq_sync.webhooks.Receiver(ledger=MemoryLedger(), **given))
    signing: dict[str, Any] = {name: value for name, value in given.items() if name == "bearer"}
    hidden(
        lambda: paychainhq.webhooks.sign(
            BODY, **{"secret": b"x" if signing else given["secrets"], **signing}
        )
    )
    if not isinstance(given["secrets"], str):
        secrets: Any = {"secrets": given["secrets"]}
        hidden(lambda: paychainhq.gateway.webhooks.parse(BODY, {}, **secrets))
        for package in (paychainhq.gateway.webhooks, paychainhq_sync.gateway.webhooks):
            hidden(partial(package.Receiver, ledger=MemoryLedger(), **secrets))


def test_a_refused_neighbour_of_webhook_secrets() -> None:
    """A bad body, header, age or lease shows no secret."""
    secrets: Any = [WEBHOOK_SECRET]
    for more in ({"max_age": 0}, {"max_age": float("nan")}, {"bearer": 5}):
        arguments = {"secrets": secrets, "bearer": BEARER, **more}
        hidden(partial(paychainhq.webhooks.parse, BODY, {}, **arguments))
    for wrong in ({"max_age": 0}, {"lease": 1}, {"name": 5}, {"ledger": None}):
        settings: Any = {"secrets": secrets, "ledger": MemoryLedger(), **wrong}
        hidden(partial(paychainhq.gateway.webhooks.Receiver, **settings))
        hidden(partial(paychainhq_sync.gateway.webhooks.Receiver, **settings))
    hidden(lambda: paychainhq.webhooks.parse("text", {}, secrets=secrets, bearer=BEARER))  # type: ignore[arg-type]
    hidden(
        lambda: paychainhq.webhooks.Receiver(
            secrets=secrets, bearer=BEARER, ledger=MemoryLedger(), lease=0
        )
    )
    hidden(
        lambda: paychainhq.webhooks.sign(
            BODY, secret=WEBHOOK_SECRET, bearer=BEARER, webhook_id="a\nb"
        )
    )


def test_a_refused_session_header_shows_no_secret() -> None:
    """The error shows none of the headers, whichever is refused."""
    for headers in (
        {"Cookie": SESSION, "X": SESSION.encode()},
        {"Cookie": [SESSION]},
        {"Host": "x", "Cookie": SESSION},
        [SESSION],
    ):
        hidden(lambda headers=headers: DashboardSession(headers))  # type: ignore[misc]


def test_a_url_object_as_a_proxy() -> None:
    """The password of a URL object is concealed like that of a text."""
    client = paychainhq.PayChainHQ(api_key=API_KEY, proxy=URL(PROXY))  # type: ignore[arg-type]
    assert shown(repr(vars(client._caller.transport))) == []
    route = client._caller.transport.connection
    assert str(route.proxy) == "http://proxy.example.com"
    assert route.proxy_headers.keys() == {"Proxy-Authorization"}
