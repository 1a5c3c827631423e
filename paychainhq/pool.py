"""The connection pool of one event loop, and one attempt on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
import attrs
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EofStream
from multidict import CIMultiDict
from yarl import URL

from paychainhq.answers import request_id
from paychainhq.credentials import Auth, Keyring, Secret, SecretBytes
from paychainhq.deadlines import Deadlines
from paychainhq.errors import (
    ConfigurationError,
    ConnectionFailedError,
    DecodeError,
    PayChainError,
    RequestTimeoutError,
    UntrustedServerError,
    printable,
)
from paychainhq.exchange import COMMON_HEADERS, Attempt, Request, Response, make_attempt, make_response
from paychainhq.flight import (
    LARGEST_BODY,
    NO_TIMEOUT,
    READ_AT_ONCE,
    Destination,
    Flight,
    SendOnce,
    SentTwiceError,
    aiohttp_fits,
    current_flight,
    fly,
    header_lines,
    message,
    read_body,
)
from paychainhq.forking import tracked_socket
from paychainhq.operations import Operation
from paychainhq.route import Route

log = logging.getLogger("paychainhq")

_KEPT_BODY = 65_536


# RuntimeError and AssertionError are how aiohttp meets a session that is closed under it.
_FAILURES = (aiohttp.ClientError, HttpProcessingError, EofStream, OSError, ValueError, RuntimeError, AssertionError)
_UNTRUSTED = (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch)
_NEVER_LEFT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.ServerFingerprintMismatch,
)
# In words of our own, the first that fits: the texts of others may quote what was sent.
_DESCRIPTIONS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "timed out"),
    (aiohttp.ClientPayloadError, "the answer was cut short"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection before it answered"),
    (SentTwiceError, "the server closed the connection before it answered"),
    (aiohttp.ClientConnectorCertificateError, "the server's certificate could not be verified"),
    (aiohttp.ServerFingerprintMismatch, "the server's certificate is not the one that the session expects"),
    (aiohttp.ClientConnectorSSLError, "TLS could not be negotiated"),
    (aiohttp.ClientConnectorDNSError, "the host name could not be resolved"),
    (aiohttp.ClientProxyConnectionError, "the proxy could not be reached"),
    (aiohttp.ClientHttpProxyError, "the proxy refused"),
    (aiohttp.ClientConnectorError, "the connection failed"),
    (OSError, "the connection was lost"),
    (RuntimeError, "the session was closed"),
    (AssertionError, "the session was closed"),
    (Exception, "the answer was not HTTP"),
)


class Pool:
    """Sends attempts over the connections of one event loop."""

    def __init__(self, route: Route, credentials: Keyring, deadlines: Deadlines) -> None:
        self.loop = asyncio.get_running_loop()
        self._route = route
        self._credentials = credentials
        self._deadlines = deadlines
        self._owned = route.session is None
        if getattr(route.session, "_loop", self.loop) is not self.loop:
            raise ConfigurationError("the session of this client belongs to another event loop")
        self._session = route.session or aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=route.max_connections, ttl_dns_cache=60, socket_factory=tracked_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=NO_TIMEOUT,
            request_class=SendOnce,
            read_bufsize=READ_AT_ONCE,
        )
        self._options: dict[str, Any] = {"timeout": NO_TIMEOUT, "allow_redirects": False, "raise_for_status": False}
        self._origin = URL(route.base_url)
        self._prefix = self._origin.raw_path.rstrip("/")
        self._destination: Destination | None = None
        if self._owned and route.proxy is None:
            self._destination = Destination("GET", self._origin, loop=self.loop, ssl=True if route.ssl is None else route.ssl)
        self._header_lines: dict[Auth | None, str] = {}
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
        flight = Flight(left=not self._owned)  # a session of the caller's does not tell
        started = self.loop.time()
        limit = started + request.retry.attempt_timeout if request.retry else request.deadline
        try:
            if limit >= request.deadline:  # that is watched over already
                answer = await self._exchange(request, flight)
            else:
                with self._deadlines.at(limit):
                    answer = await self._exchange(request, flight)
        except asyncio.CancelledError:
            error = "timed out" if self.loop.time() >= request.deadline else "cancelled"
            self._note(request, make_attempt(flight.status, error, flight.sent, self.loop.time() - started))
            raise
        except _FAILURES as problem:
            error, kind = _describe(problem), _kind(problem)
            sent = "no" if isinstance(problem, _NEVER_LEFT) else flight.sent
        else:
            self._note(request, make_attempt(answer.status, None, "yes", self.loop.time() - started), answer)
            if len(answer.body) > LARGEST_BODY:  # it is not whole, and to find that out, a parser would take ten times as much
                answer = attrs.evolve(answer, body=type(answer.body)(answer.body[:_KEPT_BODY]))
                if 200 <= answer.status < 300:
                    facts = request.facts() | {"status": answer.status, "body": answer.body}
                    raise DecodeError(f"the answer is longer than {LARGEST_BODY} bytes", **facts)
            return answer
        # Raised here, where no exception of another package is at hand to be chained.
        self._note(request, make_attempt(flight.status, error, sent, self.loop.time() - started))
        raise kind("no answer came in time" if kind is RequestTimeoutError else error, **request.facts())

    async def _exchange(self, request: Request, flight: Flight) -> Response:
        """Send a request on the short way where that can be, else through the session, which looks for line breaks in headers."""
        operation, path, key = request.operation, request.path, request.idempotency_key or ""
        plain = path.isascii() and path.isprintable() and " " not in path and key.isascii() and key.isprintable()
        as_made = request.headers is COMMON_HEADERS and plain
        if self._destination is not None and as_made and aiohttp_fits():
            data = message(operation.method, self._prefix + path, self._lines(operation), request.idempotency_key, request.body)
            connector = self._session.connector
            assert connector is not None
            status, headers, body = await fly(connector, self._destination, data, flight)
        else:
            status, headers, body = await self._through_session(request, flight)
        return make_response(status, CIMultiDict(headers), SecretBytes(body) if operation.holds_secret else body)

    def _lines(self, operation: Operation[Any]) -> str:
        lines = self._header_lines.get(operation.auth)
        if lines is None:
            credential = self._credentials.headers_for(operation.auth, operation.name)
            host = self._origin.host_port_subcomponent or ""
            lines = self._header_lines[operation.auth] = Secret(header_lines(host, {**COMMON_HEADERS, **credential}))
        return lines

    async def _through_session(self, request: Request, flight: Flight) -> tuple[int, Mapping[str, str], bytes]:
        operation = request.operation
        headers = {**request.headers, **self._proxy_headers, **self._credentials.headers_for(operation.auth, operation.name)}
        if request.idempotency_key is not None:
            headers["Idempotency-Key"] = request.idempotency_key
        current_flight.set(flight)
        url = URL(self._route.base_url + request.path, encoded=True)
        async with self._session.request(operation.method, url, data=request.body, headers=headers, **self._options) as reply:
            flight.status = reply.status
            body, complete = await read_body(reply.content)
            if not complete:
                reply.close()
            return reply.status, reply.headers, body

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
                printable(str(answer and request_id(answer))),
            )


async def _closed_with_loop(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """Close the session when its loop shuts down: `asyncio.run` ends the generators that are open on its loop."""
    try:
        yield
    finally:
        await session.close()


def _kind(problem: Exception) -> type[PayChainError]:
    if isinstance(problem, TimeoutError):
        return RequestTimeoutError
    return UntrustedServerError if isinstance(problem, _UNTRUSTED) else ConnectionFailedError


def _describe(problem: Exception) -> str:
    text = next(text for kind, text in _DESCRIPTIONS if isinstance(problem, kind))
    if isinstance(problem, aiohttp.ClientConnectorCertificateError):  # in OpenSSL's words, which are about the certificate alone
        return f"{text} ({getattr(problem.certificate_error, 'verify_message', 'no reason given')})"
    if isinstance(problem, OSError) and problem.errno and not isinstance(problem, (TimeoutError, aiohttp.ClientSSLError)):
        return f"{text} ({os.strerror(problem.errno)})"
    return text
