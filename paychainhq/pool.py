"""The connection pool of one event loop, and one attempt on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
import attrs
from multidict import CIMultiDict
from yarl import URL

from paychainhq import fast_path
from paychainhq.answers import request_id
from paychainhq.credentials import Auth, Keyring, Secret, SecretBytes
from paychainhq.deadlines import Deadlines, delivered_cancellations
from paychainhq.echo import check_echo
from paychainhq.errors import (
    ConfigurationError,
    ConnectionFailedError,
    DecodeError,
    RequestTimeoutError,
    printable,
)
from paychainhq.exchange import (
    COMMON_HEADERS,
    Attempt,
    Request,
    Response,
    make_attempt,
    make_response,
)
from paychainhq.failures import (
    FAILURES,
    MisfitError,
    RefusedError,
    SessionClosedError,
    StrayCancellationError,
    describe,
    failure_class,
    was_sent,
)
from paychainhq.flight import LARGEST_BODY, LARGEST_HEADER, NO_TIMEOUT, Flight
from paychainhq.operations import Operation
from paychainhq.route import Route
from paychainhq.session_path import make_session, through_session

log = logging.getLogger("paychainhq")

_KEPT_BODY = 65_536
_NO_ANSWER_KEPT = (
    "The server has answered, but its answer could not be read: read the resource "
    "before asking again."
)


class Pool:
    """Sends attempts over the connections of one event loop."""

    def __init__(self, route: Route, credentials: Keyring, deadlines: Deadlines) -> None:
        self.loop = asyncio.get_running_loop()
        self._route = route
        self._credentials = credentials
        self._deadlines = deadlines
        self._owned = route.session is None
        if route.session is not None and fast_path.loop_of(route.session) not in (None, self.loop):
            raise ConfigurationError("the session of this client belongs to another event loop")
        self._session = route.session or make_session(route.max_connections)
        self._options: dict[str, Any] = {
            "timeout": NO_TIMEOUT,
            "allow_redirects": False,
            "raise_for_status": False,
            "max_line_size": LARGEST_HEADER,
            "max_field_size": LARGEST_HEADER,
        }
        self._origin = URL(route.base_url)
        self._prefix = self._origin.raw_path.rstrip("/")
        self._destination: fast_path.Destination | None = None
        if self._owned and route.proxy is None:
            self._destination = fast_path.make_destination(
                self._session, self._origin, True if route.ssl is None else route.ssl
            )
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
        """Make one attempt; raises `ConnectionFailedError`, `RequestTimeoutError`, or `DecodeError`
        for an endless answer.
        """
        if self._session.closed:
            if self._owned:  # a call that begins after `close` does not come as far as this
                raise ConnectionFailedError("the client was closed", **request.facts())
            raise ConfigurationError("the session of this client is closed", **request.facts())
        task = asyncio.current_task(self.loop)
        assert task is not None
        # Few tasks have been cancelled before: for the others, this is 0.
        delivered = task.cancelling() and delivered_cancellations(task)
        flight = Flight()
        started = self.loop.time()
        limit = started + request.retry.attempt_timeout if request.retry else request.deadline
        try:
            if limit >= request.deadline:  # that is watched over already
                answer = await self._exchange(request, flight)
            else:
                with self._deadlines.at(limit, task):
                    answer = await self._exchange(request, flight)
        except asyncio.CancelledError:
            if task.cancelling() > delivered:
                error = "timed out" if self.loop.time() >= request.deadline else "cancelled"
                self._note(
                    request,
                    make_attempt(flight.status, error, flight.sent, self.loop.time() - started),
                )
                raise
            # aiohttp cancels what waits for a connection when its session is closed.
            failure: Exception = (
                SessionClosedError() if self._session.closed else StrayCancellationError()
            )
            error, kind, sent = describe(failure), failure_class(failure), was_sent(failure, flight)
        except FAILURES as problem:
            error, kind, sent = describe(problem), failure_class(problem), was_sent(problem, flight)
        else:
            self._note(
                request,
                make_attempt(answer.status, None, "yes", self.loop.time() - started),
                answer,
            )
            if not self._owned or len(answer.body) > LARGEST_BODY:
                return self._accept(request, answer)
            return answer
        # Raised here, where no exception of another package is at hand to be chained.
        self._note(request, make_attempt(flight.status, error, sent, self.loop.time() - started))
        facts = request.facts()
        if kind is DecodeError:
            facts |= {"status": flight.status, "advice": _NO_ANSWER_KEPT}
        raise kind("no answer came in time" if kind is RequestTimeoutError else error, **facts)

    def _accept(self, request: Request, answer: Response) -> Response:
        """Return an answer; raises `DecodeError` for a success that is too long, or that belongs to
        another request.
        """
        if (
            len(answer.body) > LARGEST_BODY
        ):  # it is not whole, and to find that out, a parser would take ten times as much
            answer = attrs.evolve(answer, body=type(answer.body)(answer.body[:_KEPT_BODY]))
            if 200 <= answer.status < 300:
                facts = request.facts() | {"status": answer.status, "body": answer.body}
                raise DecodeError(f"the answer is longer than {LARGEST_BODY} bytes", **facts)
        if (
            not self._owned
        ):  # the connections of the caller's session cannot be checked before they are used
            check_echo(request, answer)
        return answer

    async def _exchange(self, request: Request, flight: Flight) -> Response:
        """Send a request on the fast path where that can be, else through the session, which looks
        for line breaks in headers.
        """
        operation, path, key = request.operation, request.path, request.idempotency_key or ""
        written = path + key
        plain = written.isascii() and written.isprintable() and " " not in written
        as_made = request.headers is COMMON_HEADERS and plain
        if self._destination is not None and as_made and fast_path.is_genuine():
            data = fast_path.message(
                operation.method,
                self._prefix + path,
                self._header_lines.get(operation.auth) or self._lines(operation),
                key or None,
                request.body,
            )
            connector: Any = self._session.connector
            flight.left = False
            try:
                status, headers, body = await fast_path.fly(
                    connector, self._destination, data, flight
                )
            except (ValueError, AttributeError, TypeError) as error:
                self._judge_misfit(error, flight)
                status, headers, body = await self._through_session(request, flight)
        else:
            status, headers, body = await self._through_session(request, flight)
        return make_response(
            status, CIMultiDict(headers), SecretBytes(body) if operation.holds_secret else body
        )

    def _judge_misfit(self, error: Exception, flight: Flight) -> None:
        """Raise unless the request has not left, and the fast path does not fit this aiohttp: it is
        not taken again.
        """
        if isinstance(error, aiohttp.ClientError) or (
            isinstance(error, ValueError) and flight.left
        ):
            raise error
        if isinstance(error, ValueError):  # the host name has a label that DNS does not allow
            raise RefusedError from error
        self._destination = None
        log.warning(
            "aiohttp %s does not do what the fast path relies on: requests go through its session",
            aiohttp.__version__,
        )
        if flight.left:
            raise MisfitError from error

    def _lines(self, operation: Operation[Any]) -> str:
        credential = self._credentials.headers_for(operation.auth, operation.name)
        host = self._origin.host_port_subcomponent or ""
        lines = self._header_lines[operation.auth] = Secret(
            fast_path.header_lines(host, {**COMMON_HEADERS, **credential})
        )
        return lines

    async def _through_session(
        self, request: Request, flight: Flight
    ) -> tuple[int, Mapping[str, str], bytes]:
        operation = request.operation
        headers = {
            **request.headers,
            **self._proxy_headers,
            **self._credentials.headers_for(operation.auth, operation.name),
        }
        if request.idempotency_key is not None:
            headers["Idempotency-Key"] = request.idempotency_key
        url = URL(self._route.base_url + request.path, encoded=True)
        return await through_session(
            self._session, operation.method, url, request.body, headers, self._options, flight
        )

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
    """Close the session when its loop shuts down: `asyncio.run` ends the generators that are open
    on its loop.
    """
    try:
        yield
    finally:
        await session.close()
