"""The connection pool of one event loop, and one attempt on it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import ssl as ssl_module
from collections.abc import AsyncGenerator, Mapping
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import attrs
from multidict import CIMultiDict
from yarl import URL

from paychainhq.answers import request_id
from paychainhq.config import at_least
from paychainhq.credentials import Credentials, Secret, SecretBytes, conceal
from paychainhq.errors import ConfigurationError, ConnectionFailedError, DecodeError, PayChainError, RequestTimeoutError, Sent
from paychainhq.exchange import Attempt, Request, Response

log = logging.getLogger("paychainhq")

_LARGEST_BODY = 16 * 2**20
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_NEVER_LEFT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)


class _Flight:
    """Whether one attempt has left yet."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = False


_flight: ContextVar[_Flight] = ContextVar("paychainhq_flight")


class _SentTwiceError(aiohttp.ClientError):
    """The server closed the connection before it answered."""


class _SendOnce(aiohttp.ClientRequest):
    """Notes when a request leaves, and stops aiohttp from quietly repeating a GET or DELETE that has."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        flight = _flight.get()
        if flight.left:
            raise _SentTwiceError
        flight.left = True
        return await super().send(conn)


@attrs.frozen(kw_only=True)
class Route:
    """How the server is reached."""

    base_url: str
    session: aiohttp.ClientSession | None
    ssl: ssl_module.SSLContext | None
    proxy: URL | None = attrs.field(repr=False)
    proxy_headers: Mapping[str, str]
    max_connections: int


def make_route(
    base_url: str,
    *,
    session: aiohttp.ClientSession | None,
    ssl: ssl_module.SSLContext | None,
    proxy: str | None,
    trust_env: bool,
    max_connections: int,
) -> Route:
    """Check the settings of the connections, and build the TLS context; raises `ConfigurationError`."""
    if ssl is not None and not isinstance(ssl, ssl_module.SSLContext):
        raise ConfigurationError("ssl must be an ssl.SSLContext: one that trusts your certificate, not a switch that trusts any")
    if session is not None and not isinstance(session, aiohttp.ClientSession):
        raise ConfigurationError(f"session must be an aiohttp.ClientSession, not {type(session).__name__}")
    if ssl is None and session is None and base_url.startswith("https:"):
        ssl = _default_tls()
    if proxy is None and trust_env:
        proxy = _environment_proxy(base_url)
    address, proxy_headers = (None, {}) if proxy is None else _take_proxy_apart(proxy)
    if proxy is not None and address is None:
        raise ConfigurationError("proxy must be an http or https URL with a host")
    return Route(
        base_url=base_url,
        session=session,
        ssl=ssl,
        proxy=address,
        proxy_headers=proxy_headers,
        max_connections=at_least(1, "max_connections", max_connections),
    )


@cache
def _default_tls() -> ssl_module.SSLContext:
    """The verifying TLS context, built once a process: it takes some 30 ms."""
    return ssl_module.create_default_context()


@lru_cache(maxsize=1024)
def _url(text: str) -> URL:
    return URL(text, encoded=True)


class Pool:
    """Sends attempts over the connections of one event loop."""

    def __init__(self, route: Route, credentials: Credentials) -> None:
        self.loop = asyncio.get_running_loop()
        self._route = route
        self._credentials = credentials
        self._owned = route.session is None
        self._session = route.session or aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=route.max_connections, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=_NO_TIMEOUT,
            request_class=_SendOnce,
        )
        self._options: dict[str, Any] = {"timeout": _NO_TIMEOUT, "allow_redirects": False, "raise_for_status": False}
        self._proxy_headers: Mapping[str, str] = {}
        if route.ssl is not None:
            self._options["ssl"] = route.ssl
        if route.proxy is not None:
            self._options["proxy"] = route.proxy
            if route.base_url.startswith("https:"):
                self._options["proxy_headers"] = route.proxy_headers
            else:  # there is no CONNECT that they could go with
                self._proxy_headers = route.proxy_headers
        self._guard = _closed_with_loop(self._session) if self._owned else None

    async def open(self) -> None:
        if self._guard is not None:
            await anext(self._guard)

    async def close(self) -> None:
        if self._owned:
            await self._session.close()
        if self._guard is not None:
            await self._guard.aclose()

    def abandon(self) -> None:
        """Give up connections whose loop is gone: nothing can be awaited on it any more."""
        if self._owned:
            with contextlib.suppress(StopIteration, RuntimeError):
                self._session.close().send(None)

    async def send(self, request: Request) -> Response:
        """Make one attempt; raises `ConnectionFailedError`, `RequestTimeoutError`, or `DecodeError` for an endless body."""
        if self._session.closed:
            raise ConfigurationError("the session of this client is closed", **request.facts())
        operation = request.operation
        headers = {**request.headers, **self._proxy_headers, **self._credentials.headers_for(operation.auth, operation.name)}
        if request.idempotency_key is not None:
            headers["Idempotency-Key"] = request.idempotency_key
        started = self.loop.time()
        limit = request.deadline if request.retry is None else min(request.deadline, started + request.retry.attempt_timeout)
        flight = _Flight()
        _flight.set(flight)
        status: int | None = None
        answer: Response | None = None
        error: str
        kind: type[PayChainError]
        try:
            async with asyncio.timeout_at(limit):
                url = _url(self._route.base_url + request.path)
                async with self._session.request(
                    operation.method, url, data=request.body, headers=headers, **self._options
                ) as reply:
                    status = reply.status
                    body = await _read(reply)
                    if operation.holds_secret:
                        body = SecretBytes(body)
                    answer = Response(status, CIMultiDict(reply.headers), body)
        except TimeoutError as problem:
            never_left = isinstance(problem, aiohttp.ConnectionTimeoutError)
            kind, error = RequestTimeoutError, "timed out"
        except aiohttp.ClientPayloadError:
            never_left, kind, error = False, ConnectionFailedError, "the answer was cut short"
        except aiohttp.ServerDisconnectedError:
            never_left, kind, error = False, ConnectionFailedError, "the server closed the connection before it answered"
        # RuntimeError and AssertionError are how aiohttp meets a session that is closed under it.
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError, AssertionError) as problem:
            never_left = isinstance(problem, _NEVER_LEFT)
            kind, error = ConnectionFailedError, _describe(problem)
        except asyncio.CancelledError:
            now = self.loop.time()
            error = "timed out" if now >= request.deadline else "cancelled"
            self._note(request, Attempt(status, error, self._sent(flight, status), now - started))
            raise
        elapsed = self.loop.time() - started
        if answer is not None:
            self._note(request, Attempt(status, None, "yes", elapsed), answer)
            if len(answer.body) > _LARGEST_BODY and 200 <= answer.status < 300:
                raise DecodeError(
                    f"the answer is longer than {_LARGEST_BODY} bytes",
                    **request.facts() | {"status": status, "body": type(answer.body)(answer.body[:65_536]), "sent": "yes"},
                )
            return answer
        sent: Sent = "no" if never_left else self._sent(flight, status)
        self._note(request, Attempt(status, error, sent, elapsed))
        raise kind(error if kind is ConnectionFailedError else "no answer came in time", **request.facts())

    def _sent(self, flight: _Flight, status: int | None) -> Sent:
        if status is not None:
            return "yes"
        return "unknown" if flight.left or not self._owned else "no"

    def _note(self, request: Request, attempt: Attempt, answer: Response | None = None) -> None:
        request.attempts.append(attempt)
        if log.isEnabledFor(logging.DEBUG):
            operation = request.operation
            log.debug(
                "%s: attempt %d: %s %s: %s in %.3f s (request id %s)",
                operation.name,
                len(request.attempts),
                operation.method,
                request.path.partition("?")[0],
                attempt,
                attempt.elapsed,
                answer and request_id(answer),
            )


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    """Read a body, but not more than the bound and a little; what is longer closes the connection."""
    chunks, size = [], 0
    async for chunk in reply.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > _LARGEST_BODY:
            reply.close()
            break
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _closed_with_loop(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """Close the session when its loop shuts down: `asyncio.run` ends the generators that are open on its loop."""
    try:
        yield
    finally:
        await session.close()


def _describe(problem: Exception) -> str:
    """Say in words of our own what went wrong: the texts of others may quote what was sent."""
    if isinstance(problem, aiohttp.ClientConnectorCertificateError):
        return "the server's certificate could not be verified"
    if isinstance(problem, aiohttp.ClientConnectorSSLError):
        return "TLS could not be negotiated"
    if isinstance(problem, aiohttp.ClientConnectorDNSError):
        return "the host name could not be resolved"
    if isinstance(problem, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)):
        return "the proxy refused"
    if isinstance(problem, aiohttp.ClientConnectorError):
        return f"the connection failed ({problem.strerror})"
    if isinstance(problem, _SentTwiceError):
        return "the server closed the connection before it answered"
    if isinstance(problem, OSError):
        return f"the connection was lost ({problem.strerror or type(problem).__name__})"
    return f"the answer was not HTTP ({type(problem).__name__})"


def _take_proxy_apart(proxy: str) -> tuple[URL | None, Mapping[str, str]]:
    """Return a proxy's address, or None if it is none, and the headers that its credentials become.

    Nothing is raised here, where the locals show a password.
    """
    try:
        url = URL(proxy)
    except (TypeError, ValueError):
        return None, {}
    if url.scheme not in ("http", "https") or not url.host:
        return None, {}
    if url.user is None:
        return url, {}
    credentials = base64.b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
    return url.with_user(None), {"Proxy-Authorization": Secret(f"Basic {credentials}")}


def _environment_proxy(base_url: str) -> str | None:
    """The proxy that the environment's variables name for this server: looked up once, not for each request."""
    from urllib.request import getproxies, proxy_bypass

    url = urlsplit(base_url)
    return None if proxy_bypass(url.netloc) else conceal(getproxies().get(url.scheme))
