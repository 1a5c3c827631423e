"""TLS and proxies: trusted servers, and connections through others."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from paychainhq import (
    APIError,
    ConfigurationError,
    ConnectionFailedError,
    ProxyAuthenticationError,
    RequestTimeoutError,
)
from paychainhq._http.proxies import environment_proxy
from paychainhq.typing import InvoiceRequestDict
from tests.support.client import KEY, PRICES, client
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, Recorded, http_response

pytestmark = pytest.mark.usefixtures("face")

# A self-signed certificate for localhost and 127.0.0.1, valid for a hundred years, with its key.
CERTIFICATE = Path(__file__).parents[1] / "data" / "localhost.pem"
PASSWORD = "p@ss:word"
BASIC = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()


def server_tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


# --- TLS ---


async def test_a_custom_context() -> None:
    """A TLS context that trusts the server's certificate is used."""
    async with (
        RawServer(http_response(PRICES), tls=server_tls()) as server,
        client(server.url, ssl=trusting()) as pay,
    ):
        await pay.prices.list()
    assert len(server.requests) == 1


async def test_untrusted_certificate() -> None:
    """A server without a verifiable certificate gets no request; the error gives the reason."""
    async with (
        RawServer(http_response(PRICES), tls=server_tls()) as server,
        client(server.url) as pay,
    ):
        with pytest.raises(
            ConnectionFailedError, match="certificate could not be verified"
        ) as caught:
            await pay.request("POST", "/api/v1/new", body={})
    assert caught.value.sent == "no"
    assert server.requests == []


async def test_the_end_of_a_call_is_the_end_of_its_connection() -> None:
    """The connection of a timed-out call is closed at once, also if the peer never ends TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def listen() -> None:
            accepted = server_tls().wrap_socket(listening.accept()[0], server_side=True)
            assert accepted.recv(65_536).startswith(b"GET")
            with socket.socket(fileno=accepted.detach()) as deaf:  # to TLS
                deaf.settimeout(15)
                while deaf.recv(65_536):
                    pass

        other_side = asyncio.create_task(asyncio.to_thread(listen))
        async with client(
            f"https://localhost:{listening.getsockname()[1]}", ssl=trusting(), timeout=3, retry=None
        ) as pay:
            with pytest.raises(RequestTimeoutError):
                await pay.prices.list()
            await other_side


@pytest.mark.parametrize("value", [False, True, "no", 0])
def test_verification_cannot_be_switched_off(value: Any) -> None:
    """No option accepts every certificate."""
    with pytest.raises(ConfigurationError, match="ssl must be"):
        PayChainHQ(ssl=value)


# --- proxies ---


class Tunnel(RawServer):
    """A proxy that opens the tunnel of each CONNECT to one port."""

    def __init__(self, port: int) -> None:
        super().__init__(self._open)
        self._target = port

    async def _open(self, _: Recorded, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        near_reader: asyncio.StreamReader = writer._protocol._stream_reader  # type: ignore[attr-defined]
        try:
            await asyncio.gather(pump(far_reader, writer), pump(near_reader, far_writer))
        finally:
            far_writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
    writer.close()


@pytest.mark.parametrize("credentials", ["", "me:p%40ss%3Aword@"])
async def test_plain_proxy(credentials: str) -> None:
    """Over http, the proxy gets the request with the whole URL and its own credentials."""
    async with RawServer(http_response(PRICES)) as proxy:
        url = proxy.url.replace("//", "//" + credentials)
        async with client("http://api.example.localhost", proxy=url) as pay:
            await pay.prices.list()
            await pay.prices.list()
    assert {request.target for request in proxy.requests} == {
        "http://api.example.localhost/api/v1/prices"
    }
    assert [request.headers.get("proxy-authorization") for request in proxy.requests] == [
        BASIC if credentials else None
    ] * 2


async def test_tunnel() -> None:
    """Over https, the proxy sees a CONNECT with its credentials only, and the server none of it."""
    async with RawServer(http_response(PRICES), tls=server_tls()) as server:
        port = int(server.url.rpartition(":")[2])
        async with Tunnel(port) as proxy:
            url = proxy.url.replace("//", "//me:p%40ss%3Aword@")
            async with client("https://localhost:8443", proxy=url, ssl=trusting()) as pay:
                await pay.request("GET", "/api/v1/new")
    (connect,), (request,) = proxy.requests, server.requests
    assert (connect.method, connect.target) == ("CONNECT", "localhost:8443")
    assert connect.headers["proxy-authorization"] == BASIC
    assert "x-api-key" not in connect.headers
    assert (request.target, request.headers["x-api-key"]) == ("/api/v1/new", KEY)
    assert "proxy-authorization" not in request.headers


async def test_proxy_that_refuses() -> None:
    """A proxy that is absent, or opens no tunnel, is a failed connection; nothing was sent."""
    async with RawServer(http_response(b"", 407)) as proxy:
        for url in (proxy.url, "http://127.0.0.1:1"):
            async with client("https://localhost:8443", proxy=url, ssl=trusting()) as pay:
                with pytest.raises(
                    ConnectionFailedError, match=r"the proxy (refused|could not be reached)"
                ) as caught:
                    await pay.request("POST", "/api/v1/new", body={})
            assert caught.value.sent == "no"


async def test_a_proxy_that_requires_another_password() -> None:
    """A 407 is named and not repeated, neither by the call nor by a job, which ends."""
    async with RawServer(http_response(b"", 407)) as proxy:
        url = proxy.url.replace("//", "//me:wrong@")
        async with client("https://localhost:8443", proxy=url, ssl=trusting()) as pay:
            with pytest.raises(ProxyAuthenticationError, match="status 407") as caught:
                await pay.prices.list()
            assert (caught.value.sent, len(caught.value.attempts)) == ("no", 1)
            assert "wrong" not in str(caught.value)
            rows: list[InvoiceRequestDict] = [
                {"reference": f"r{n}", "amount": "1", "token": "USDC", "chain": "eth"}
                for n in range(50)
            ]
            with pytest.raises(ProxyAuthenticationError):
                async for outcome in pay.invoices.create_many(rows, concurrency=1):
                    assert not outcome.ok
            with pytest.raises(ProxyAuthenticationError):
                await pay.invoices.wait("inv_1", interval=0.01)
    assert len(proxy.requests) <= 4


async def test_a_plain_proxy_that_requires_another_password() -> None:
    """Over http, a 407 is the response, and it is not repeated."""
    async with RawServer(http_response(b"", 407)) as proxy:
        url = proxy.url.replace("//", "//me:wrong@")
        async with client("http://api.example.localhost", proxy=url) as pay:
            with pytest.raises(APIError, match="407"):
                await pay.prices.list()
    assert len(proxy.requests) == 1


async def test_a_proxy_that_is_busy() -> None:
    """Another refusal of the tunnel is repeated, and names its status too."""
    async with RawServer(http_response(b"", 503)) as proxy:
        async with client("https://localhost:8443", proxy=proxy.url, ssl=trusting()) as pay:
            with pytest.raises(
                ConnectionFailedError, match=r"the proxy refused \(status 503\)"
            ) as caught:
                await pay.prices.list()
        assert len(proxy.requests) == len(caught.value.attempts) > 1


class Here(AbstractResolver):
    """Resolver of every name to this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


async def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy requires `trust_env`, has exceptions, and yields to an argument."""
    monkeypatch.setattr("aiohttp.connector.DefaultResolver", lambda *_, **__: Here())
    async with (
        RawServer(http_response(PRICES)) as server,
        RawServer(http_response(PRICES)) as proxy,
    ):
        url = server.url.replace("127.0.0.1", "api.example.com")
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:p%40ss%3Aword@"))
        monkeypatch.setenv("no_proxy", "elsewhere.example.com")
        for settings in ({}, {"trust_env": True}, {"trust_env": True, "proxy": server.url}):
            async with client(url, allow_insecure_http=True, **settings) as pay:
                await pay.prices.list()
        monkeypatch.setenv("no_proxy", "api.example.com")
        async with client(url, allow_insecure_http=True, trust_env=True) as pay:
            await pay.prices.list()
        monkeypatch.setenv("no_proxy", "")
        async with client(server.url, trust_env=True) as pay:  # this machine needs no proxy
            await pay.prices.list()
    assert [request.headers["proxy-authorization"] for request in proxy.requests] == [BASIC]
    assert [request.target.startswith("http://") for request in server.requests] == [
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("url", "exceptions", "direct"),
    [
        ("https://api.example.com", "", False),
        ("https://api.example.com", "*", True),
        ("https://api.example.com", "other, *", True),
        ("https://api.example.com", "example.com", True),
        ("https://api.example.com", ".example.com", True),
        ("https://api.example.com", "*.example.com", True),
        ("https://api.example.com", "other *.Example.COM", True),
        ("https://example.com", "*.example.com", False),
        ("https://badexample.com", "example.com,*.example.com,.example.com", False),
        ("https://api.example.com", "api.example.com:443", True),
        ("https://api.example.com", "*.example.com:443", True),
        ("https://api.example.com", "api.example.com:8443", False),
        ("https://api.example.com:8443", "api.example.com:443", False),
        ("https://api.example.com:8443", "api.example.com:8443", True),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://11.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.1.2.3", True),
        ("https://10.1.2.3:8443", "10.1.2.3:443", False),
        ("https://10.1.2.3", "10.1.2.3:443", True),
        ("https://10.1.2.3", "fd00::/8", False),
        ("https://[fd00::5]", "fd00::5", True),
        ("https://[fd00::5]", "[fd00::5]", True),
        ("https://[fd00::5]", "fd00:0::0:5", True),
        ("https://[fd00::5]:8443", "[fd00::5]:8443", True),
        ("https://[fd00::5]:8443", "[fd00::5]:443", False),
        ("https://[fd00::5]", "fd00::/8", True),
        ("https://[fe00::5]", "fd00::/8", False),
        ("https://api.example.com", "10.0.0.0/8, [, :::, a:b:c, :99999, api.example.com:x", False),
        ("https://localhost:8443", "", True),
        ("https://127.0.0.5", "", True),
        ("https://[::1]", "", True),
    ],
)
def test_exceptions(
    url: str, exceptions: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`NO_PROXY` names hosts with their subdomains, addresses, networks and ports."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.internal:3128")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert environment_proxy(url)[1] == (None if direct else "http://proxy.internal:3128")


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("value", ["proxy:3128", "socks5://me:hunter2@proxy", "http://[::1"])
def test_an_unusable_variable(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable, and does not show its value."""
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        PayChainHQ(trust_env=True)
    assert str(caught.value) == f"{variable} must be an http or https URL with a host"
    PayChainHQ()


@pytest.mark.parametrize(
    "proxy", ["", "proxy:3128", "socks5://proxy", "http://", "http://proxy:99999", "http://[::1", 5]
)
def test_an_invalid_proxy(proxy: Any) -> None:
    """A proxy that is no http URL is refused by the constructor."""
    with pytest.raises(ConfigurationError, match="proxy must be an http or https URL"):
        PayChainHQ(proxy=proxy)
