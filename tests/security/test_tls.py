"""TLS: the server must prove its identity in each way of transmission.

No setting disables the verification by accident.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from paychainhq import ConfigurationError, ConnectionFailedError, PayChainHQ, UntrustedServerError
from tests.security.conftest import Way
from tests.support.client import KEY, PRICES, QUICK
from tests.support.raw_server import RawServer, http_response

# Self-signed certificates: for this machine, for this machine in 2020, and for api.example.com.
DATA = Path(__file__).parents[1] / "data"
GOOD, EXPIRED, ELSEWHERE = (
    str(DATA / name) for name in ("localhost.pem", "expired.pem", "elsewhere.pem")
)


def serving(certificate: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


def careless(**changes: Any) -> ssl.SSLContext:
    """Return a context with less strict settings."""
    context = ssl.create_default_context()
    for name, value in changes.items():
        setattr(context, name, value)
    return context


UNVERIFYING = {
    "takes any certificate": careless(check_hostname=False, verify_mode=ssl.CERT_NONE),
    "takes none as well": careless(check_hostname=False, verify_mode=ssl.CERT_OPTIONAL),
    "takes those of other hosts": careless(check_hostname=False),
    "is for servers": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
}
each_unverifying = pytest.mark.parametrize("context", UNVERIFYING.values(), ids=UNVERIFYING)


@pytest.mark.parametrize(
    ("certificate", "trusted", "reason"),
    [
        (GOOD, None, "self-signed certificate"),
        (EXPIRED, EXPIRED, "certificate has expired"),
        (ELSEWHERE, ELSEWHERE, "certificate is not valid for"),
        (GOOD, ELSEWHERE, "self-signed certificate"),
    ],
    ids=["nobody vouches", "expired", "of another host", "another authority"],
)
async def test_a_certificate_that_does_not_verify(
    way: Way, certificate: str, trusted: str | None, reason: str
) -> None:
    """The server gets no request, and the call fails with the reason after one attempt."""
    trust = {} if trusted is None else {"ssl": ssl.create_default_context(cafile=trusted)}
    async with (
        RawServer(http_response(PRICES), tls=serving(certificate)) as server,
        way.client(server.url, **trust) as pay,
    ):
        for method in ("GET", "POST"):
            with pytest.raises(UntrustedServerError, match=reason) as caught:
                await pay.request(method, "/api/v1/new", idempotency_key="k")
            (attempt,) = caught.value.attempts
            assert (caught.value.sent, attempt.sent) == ("no", "no")
            assert "Operation not permitted" not in str(caught.value)
    assert server.requests == []


async def test_a_certificate_that_verifies(way: Way) -> None:
    """The same server gets the request once its certificate is trusted."""
    trust = ssl.create_default_context(cafile=GOOD)
    async with (
        RawServer(http_response(PRICES), tls=serving(GOOD)) as server,
        way.client(server.url, ssl=trust) as pay,
    ):
        await pay.request("GET", "/api/v1/new")
    assert [request.headers["x-api-key"] for request in server.requests] == [KEY]


async def test_a_server_without_tls(way: Way) -> None:
    """An https URL never becomes plain http."""
    came = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        came.append(await reader.read())
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with way.client(f"https://127.0.0.1:{port}", retry=None) as pay:
            with pytest.raises(
                ConnectionFailedError, match="TLS could not be negotiated"
            ) as caught:
                await pay.request("GET", "/api/v1/new")
    assert caught.value.sent == "no"
    assert "Operation not permitted" not in str(
        caught.value
    )  # the system's text for OpenSSL's error number
    assert not [data for data in came if KEY.encode() in data]


# --- settings that would disable the verification ---


@each_unverifying
def test_a_context_that_does_not_verify_is_refused(context: ssl.SSLContext) -> None:
    """The error names the safe alternative."""
    with pytest.raises(ConfigurationError, match=r"ssl does not verify who the server is.*cafile"):
        PayChainHQ(ssl=context)


@pytest.mark.parametrize("tls", [False, *UNVERIFYING.values()], ids=["a switch", *UNVERIFYING])
async def test_a_session_that_does_not_verify_is_refused(tls: Any) -> None:
    """Its connector trusts any server; it is allowed for plain http on the same machine."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
        with pytest.raises(ConfigurationError, match="the connector of session does not verify"):
            PayChainHQ(session=session)
        PayChainHQ(session=session, base_url="http://127.0.0.1:1")
        PayChainHQ(
            session=session, ssl=ssl.create_default_context()
        )  # takes precedence over the connector's


async def test_a_context_of_the_client_goes_before_that_of_its_session() -> None:
    """The client's own `ssl` setting verifies its requests."""
    strict = ssl.create_default_context()
    connector = aiohttp.TCPConnector(ssl=False)
    async with (
        RawServer(http_response(PRICES), tls=serving(GOOD)) as server,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        pay = PayChainHQ(api_key=KEY, session=session, ssl=strict, base_url=server.url, retry=QUICK)
        with pytest.raises(UntrustedServerError):
            await pay.request("GET", "/api/v1/new")
        await pay.close()
    assert server.requests == []


@pytest.mark.parametrize("right", [True, False])
async def test_a_session_with_a_fingerprint(right: bool) -> None:
    """A session may pin a certificate; a server with another one gets a single attempt."""
    (der,) = ssl.create_default_context(cafile=GOOD if right else ELSEWHERE).get_ca_certs(
        binary_form=True
    )
    connector = aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(hashlib.sha256(der).digest()))
    async with (
        RawServer(http_response(PRICES), tls=serving(GOOD)) as server,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        pay = PayChainHQ(api_key=KEY, session=session, base_url=server.url, retry=QUICK)
        if right:
            await pay.prices.list()
        else:
            with pytest.raises(
                UntrustedServerError, match="not the one that the session expects"
            ) as caught:
                await pay.prices.list()
            assert (caught.value.sent, len(caught.value.attempts)) == ("no", 1)
        await pay.close()
    assert len(server.requests) == right


# --- plain http ---


@pytest.mark.parametrize("proxy", ["http://proxy.example.com:3128", "https://10.0.0.1:3128"])
@pytest.mark.parametrize("of_environment", [False, True])
def test_plain_http_through_a_proxy_elsewhere(
    monkeypatch: pytest.MonkeyPatch, proxy: str, of_environment: bool
) -> None:
    """Plain http to this machine may not pass through a remote proxy unless explicitly allowed.

    The environment's proxy is not for this machine.
    """
    settings: dict[str, Any] = {"trust_env": True} if of_environment else {"proxy": proxy}
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    if of_environment:
        local = PayChainHQ(base_url="http://127.0.0.1:8787", **settings)
        assert local._caller.transport.connection.proxy is None
    else:
        with pytest.raises(ConfigurationError, match="plain http through a proxy"):
            PayChainHQ(base_url="http://127.0.0.1:8787", **settings)
    PayChainHQ(base_url="http://127.0.0.1:8787", allow_insecure_http=True, **settings)
    PayChainHQ(base_url="https://api.example.com", proxy=proxy)
