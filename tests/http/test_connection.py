"""TLS and proxies: trusted servers, and connections through others."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from paychainhq import ConfigurationError, ConnectionFailedError, RequestTimeoutError
from tests.support.client import KEY, PRICES, client
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, Recorded, answer

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
        RawServer(answer(PRICES), tls=server_tls()) as server,
        client(server.url, ssl=trusting()) as pay,
    ):
        await pay.prices.list()
    assert len(server.requests) == 1


async def test_untrusted_certificate() -> None:
    """A server without a verifiable certificate gets no request; the error gives the reason."""
    async with RawServer(answer(PRICES), tls=server_tls()) as server, client(server.url) as pay:
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
    async with RawServer(answer(PRICES)) as proxy:
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
    async with RawServer(answer(PRICES), tls=server_tls()) as server:
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
    async with RawServer(answer(b"", 407)) as proxy:
        for url in (proxy.url, "http://127.0.0.1:1"):
            async with client("https://localhost:8443", proxy=url, ssl=trusting()) as pay:
                with pytest.raises(
                    ConnectionFailedError, match=r"the proxy (refused|could not be reached)"
                ) as caught:
                    await pay.request("POST", "/api/v1/new", body={})
            assert caught.value.sent == "no"


async def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy requires `trust_env`, has exceptions, and yields to an argument."""
    async with RawServer(answer(PRICES)) as server, RawServer(answer(PRICES)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:p%40ss%3Aword@"))
        monkeypatch.setenv("no_proxy", "elsewhere.example.com")
        for settings in ({}, {"trust_env": True}, {"trust_env": True, "proxy": server.url}):
            async with client(server.url, **settings) as pay:
                await pay.prices.list()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with client(server.url, trust_env=True) as pay:
            await pay.prices.list()
    assert [request.headers["proxy-authorization"] for request in proxy.requests] == [BASIC]
    assert [request.target.startswith("http://") for request in server.requests] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "proxy", ["", "proxy:3128", "socks5://proxy", "http://", "http://proxy:99999", "http://[::1", 5]
)
def test_an_invalid_proxy(proxy: Any) -> None:
    """A proxy that is no http URL is refused by the constructor."""
    with pytest.raises(ConfigurationError, match="proxy must be an http or https URL"):
        PayChainHQ(proxy=proxy)
