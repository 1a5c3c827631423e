"""Keys and their destination: invalid ones are refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from paychainhq import (
    ConfigurationError,
    DashboardSession,
    InvalidArgumentError,
    MissingCredentialError,
)
from paychainhq._core.credentials import Auth
from paychainhq._core.settings import resolve_base_url
from tests.support.client import PRICES, client
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, http_response

pytestmark = pytest.mark.usefixtures("face")

KINDS = ["api_key", "payout_key", "contract_key"]
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("auth", [*KINDS, "dashboard"])
async def test_missing_credential(auth: Auth) -> None:
    """A call without its credential is refused before anything is sent; the error names both."""
    every: dict[str, Any] = {kind: f"the_{kind}" for kind in KINDS} | {
        "dashboard": DashboardSession({"Cookie": "x"})
    }
    async with (
        RawServer(http_response({})) as server,
        client(server.url, **(every | {auth: None})) as pay,
    ):
        with pytest.raises(MissingCredentialError) as caught:
            await pay.request("GET", "/api/v1/new", auth=auth)
        assert server.requests == []
    assert (caught.value.argument, caught.value.operation, caught.value.sent) == (
        auth,
        "GET /api/v1/new",
        "no",
    )
    assert f"GET /api/v1/new needs {auth}, which this client does not have" in str(caught.value)


async def test_public_operations_need_no_key() -> None:
    """A client without any key reads public operations, and sends no credential."""
    async with RawServer(http_response(PRICES)) as server, PayChainHQ(base_url=server.url) as pay:
        await pay.prices.list()
    assert "x-api-key" not in server.requests[0].headers


async def test_missing_business_id() -> None:
    """Without a business of client or call nothing is sent; each call and view can name one."""
    async with RawServer(http_response([])) as server, client(server.url, business_id=None) as pay:
        with pytest.raises(InvalidArgumentError) as caught:
            await pay.businesses.get()
        assert server.requests == []
        assert (caught.value.argument, caught.value.operation) == ("business_id", "businesses.get")
        for call in (
            pay.contract_integrations.list(business_id="biz_7"),
            pay.with_options(business_id="biz_7").contract_integrations.list(),
        ):
            await call
    assert {request.target for request in server.requests} == {
        "/api/v1/businesses/biz_7/contract-integrations"
    }


# --- keys ---


@each_kind
@pytest.mark.parametrize(
    "key",
    ["", " ", "a\nb", "a\r\nX-Evil: 1", " secret", "secret ", "a\tb", "a\x00", "clé", b"abc", 5],
)
def test_a_key_that_is_no_header_value(kind: str, key: Any) -> None:
    """A key that no header can hold is refused by an error with the argument, without the key."""
    with pytest.raises(ConfigurationError) as caught:
        PayChainHQ(**{kind: key})
    assert kind in str(caught.value)
    assert "secret" not in str(caught.value)


@each_kind
def test_live_key_in_the_sandbox(kind: str) -> None:
    """A live key is refused for a sandbox on another host, and accepted on this machine."""
    live: dict[str, Any] = {kind: "pk_live_abc", "environment": "sandbox"}
    with pytest.raises(ConfigurationError, match=rf"{kind} is marked _live_"):
        PayChainHQ(base_url="https://sandbox.example.com", **live)
    for url in ("http://127.0.0.1:8787", "http://localhost:8787", "http://[::1]:8787"):
        PayChainHQ(base_url=url, **live)
    PayChainHQ(base_url="https://sandbox.example.com", **(live | {kind: "pk_test_abc"}))
    PayChainHQ(**(live | {"environment": "live"}))


@pytest.mark.async_only("makes no client")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"": "x"},
        {"Bad Name": "x"},
        {"Host": "x"},
        {"content-length": "5"},
        {"Idempotency-Key": "x"},
        {"X": "a\nb"},
        {"X": ""},
        {"X": 5},
        "x",
    ],
)
def test_an_invalid_dashboard_session(headers: Any) -> None:
    """A session without headers, or with framing headers or line breaks, is refused."""
    with pytest.raises(ConfigurationError):
        DashboardSession(headers)


async def test_dashboard_session() -> None:
    """A session's headers are sent with dashboard operations only, and without a key."""
    session = DashboardSession({"Cookie": "session=abc; b=c", "X-Step-Up": "1 2"})
    async with RawServer(http_response([])) as server, client(server.url, dashboard=session) as pay:
        await pay.api_keys.list()
        await pay.request("GET", "/api/v1/new")
    with_session, without = (request.headers for request in server.requests)
    assert (with_session["cookie"], with_session["x-step-up"]) == ("session=abc; b=c", "1 2")
    assert "x-api-key" not in with_session
    assert "cookie" not in without


# --- destination ---


@pytest.mark.async_only("makes no client")
@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        (None, "https://api.paychainhq.io"),
        ("https://api.paychainhq.io", "https://api.paychainhq.io"),
        ("https://api.paychainhq.io/", "https://api.paychainhq.io"),
        ("https://api.paychainhq.io/api/v1", "https://api.paychainhq.io"),
        ("https://api.paychainhq.io/api/v1/", "https://api.paychainhq.io"),
        ("https://gate.example.com:8443/paychain/api/v1", "https://gate.example.com:8443/paychain"),
        ("http://localhost:8787", "http://localhost:8787"),
    ],
)
def test_base_url(url: str | None, wanted: str) -> None:
    """A base URL may end with the host, with `/api/v1`, or have a path in front of it."""
    assert resolve_base_url("live", url, allow_insecure_http=False) == wanted


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://api.paychainhq.io", "plain http to api.paychainhq.io"),
        ("http://10.0.0.7", "plain http"),
        ("http://localhost.evil.com", "plain http"),
        ("http://127.0.0.1.evil.com", "plain http"),
        ("https://user:pass@api.paychainhq.io", "no user name"),
        ("https://api.paychainhq.io@evil.com", "no user name"),
        ("ftp://api.paychainhq.io", "http or https"),
        ("api.paychainhq.io", "http or https"),
        ("", "http or https"),
        ("https://", "http or https"),
        ("https://host:port", "http or https"),
        ("https://a b", "http or https"),
        ("https://host\\.evil.com", "http or https"),
        ("https://host/?x=1", "must end with"),
        ("https://host/#x", "must end with"),
        ("https://host/a/../b", "must end with"),
        ("https://host/%2e%2e", "must end with"),
        (5, "must be a string"),
    ],
)
def test_base_url_that_endangers_keys(url: Any, text: str) -> None:
    """A base URL that exposes keys to the network, or has no clear destination, is refused."""
    with pytest.raises(ConfigurationError, match=text):
        PayChainHQ(base_url=url)


def test_insecure_http_by_option() -> None:
    """Plain http to another host requires an option."""
    assert "http://10.0.0.7" in repr(
        PayChainHQ(base_url="http://10.0.0.7", allow_insecure_http=True)
    )


def test_environments() -> None:
    """The sandbox needs a base URL, and there are no other environments."""
    with pytest.raises(ConfigurationError, match="not published"):
        PayChainHQ(environment="sandbox")
    with pytest.raises(ConfigurationError, match='"live" or "sandbox"'):
        PayChainHQ(environment="staging")


# --- environment variables ---


@pytest.mark.parametrize("suffix", ["", "/", "/api/v1", "/api/v1/"])
async def test_from_env(monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """`from_env` reads the documented variables and the package's own; arguments override them."""
    async with RawServer(http_response([])) as server:
        for name, value in {
            "PAYCHAIN_API_URL": server.url + suffix,
            "PAYCHAIN_API_KEY": "pk_of_env",
            "PAYCHAIN_BUSINESS_ID": "biz_of_env",
            "PAYCHAIN_PAYOUT_KEY": "payout_of_env",
            "PAYCHAIN_CONTRACT_KEY": "contract_of_env",
            "PAYCHAIN_ENVIRONMENT": "sandbox",
        }.items():
            monkeypatch.setenv(name, value)
        async with (
            PayChainHQ.from_env() as pay,
            PayChainHQ.from_env(api_key="pk_given", business_id="biz_given") as given,
        ):
            kinds: list[Auth] = ["api_key", "payout_key", "contract_key"]
            for kind in kinds:
                await pay.request("GET", "/api/v1/new", auth=kind)
            await pay.contract_integrations.list()
            await given.contract_integrations.list()
            assert "biz_of_env" in repr(pay)
            assert "biz_given" in repr(given)
    assert [request.headers["x-api-key"] for request in server.requests] == [
        "pk_of_env",
        "payout_of_env",
        "contract_of_env",
        "pk_of_env",
        "pk_given",
    ]
    assert [request.target.split("/")[4] for request in server.requests[-2:]] == [
        "biz_of_env",
        "biz_given",
    ]
