"""Sender of attempts over the connections of one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
import attrs
from multidict import CIMultiDict
from yarl import URL

from paychainhq._attempts import NO_WAITS, Sent, make_attempt
from paychainhq._core.credentials import Auth, Keyring
from paychainhq._core.operation import Operation
from paychainhq._core.secrets import Secret, SecretBytes
from paychainhq._core.statistics import Counters
from paychainhq._http import fast_path
from paychainhq._http.added_headers import OWN, added_lines, refuse
from paychainhq._http.attempt import LARGEST_BODY, LARGEST_HEADER, NO_TIMEOUT, AttemptState
from paychainhq._http.connection import ConnectionSettings
from paychainhq._http.deadlines import Deadlines, delivered_cancellations
from paychainhq._http.echo import check_echo
from paychainhq._http.failures import (
    FAILURES,
    MisfitError,
    RefusedError,
    SessionClosedError,
    StrayCancellationError,
    describe,
    failure_class,
    is_raised_by_aiohttp,
    was_sent,
)
from paychainhq._http.messages import (
    COMMON_HEADERS,
    Request,
    Response,
    log_facts,
    make_response,
)
from paychainhq._http.observation import CallObservation, end_attempt
from paychainhq._http.responses import request_id, shortened
from paychainhq._http.session_path import make_session, send
from paychainhq.errors import (
    ConfigurationError,
    ConnectionFailedError,
    DecodeError,
    RequestTimeoutError,
    printable,
)
from paychainhq.telemetry import AttemptObserver, guarded

log = logging.getLogger("paychainhq")

_NO_RESPONSE_KEPT = (
    "The server has handled the request, but its response could not be read: read the resource "
    "before you repeat the request."
)


class Sender:
    """Sender of attempts over the connections of one event loop."""

    def __init__(
        self,
        connection: ConnectionSettings,
        credentials: Keyring,
        deadlines: Deadlines,
        counters: Counters,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._connection = connection
        self._credentials = credentials
        self._deadlines = deadlines
        self._counters = counters
        self._owned = connection.session is None
        if connection.session is not None and fast_path.loop_of(connection.session) not in (
            None,
            self.loop,
        ):
            raise ConfigurationError(
                "the session of this client belongs to another event loop: use the client on the "
                "event loop of its session"
            )
        self._session = connection.session or make_session(connection.max_connections)
        self._options: dict[str, Any] = {
            "timeout": NO_TIMEOUT,
            "allow_redirects": False,
            "raise_for_status": False,
            "max_line_size": LARGEST_HEADER,
            "max_field_size": LARGEST_HEADER,
        }
        self._origin = URL(connection.base_url)
        self._prefix = self._origin.raw_path.rstrip("/")
        self._destination: fast_path.Destination | None = None
        if self._owned and connection.proxy is None:
            self._destination = fast_path.make_destination(
                self._session, self._origin, True if connection.ssl is None else connection.ssl
            )
        self._header_lines: dict[Auth | None, str] = {}
        self._own_headers: dict[Auth | None, frozenset[str]] = {}
        self._proxy_headers: Mapping[str, str] = {}
        if connection.ssl is not None:
            self._options["ssl"] = connection.ssl
        if connection.proxy is not None:
            self._options["proxy"] = connection.proxy
            if connection.base_url.startswith("https:"):
                self._options["proxy_headers"] = connection.proxy_headers
            else:  # without TLS there is no CONNECT request to carry them
                self._proxy_headers = connection.proxy_headers
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
        """Close connections whose event loop has ended, without waiting."""
        if self._owned:
            with contextlib.suppress(StopIteration, RuntimeError):
                self._session.close().send(None)

    async def send(self, request: Request, state: AttemptState | None = None) -> Response:
        """Make one attempt; raises the error of a failure, but returns error responses.

        Args:
            request: The request.
            state: The state of the attempt, if it begins anew.
        """
        if self._session.closed:
            if self._owned:  # calls that begin after `close` end earlier
                raise ConnectionFailedError("the client was closed", **request.facts())
            raise ConfigurationError("the session of this client is closed", **request.facts())
        task = asyncio.current_task(self.loop)
        assert task is not None
        # Few tasks have been cancelled before: for the others, this is 0.
        delivered = task.cancelling() and delivered_cancellations(task)
        if state is None:
            state = AttemptState()
            if request.headers is not COMMON_HEADERS:
                refuse(request.headers, self._own(request.operation), request)
            if request._observation is not None:
                request = self._observe(request, request._observation, state)
        started = self.loop.time()
        limit = started + request.retry.attempt_timeout if request.retry else request.deadline
        try:
            if limit >= request.deadline:  # the call deadline already covers it
                response = await self._exchange(request, state)
            else:
                with self._deadlines.at(limit, task):
                    response = await self._exchange(request, state)
        except asyncio.CancelledError:
            if task.cancelling() > delivered:
                self._forget_addresses(state.sent)
                error = "timed out" if self.loop.time() >= request.deadline else "cancelled"
                late = RequestTimeoutError if error == "timed out" else None
                self._note(request, state, error, state.sent, started, late)
                raise
            # aiohttp cancels waits for a connection when its session is closed.
            failure: Exception = (
                SessionClosedError() if self._session.closed else StrayCancellationError()
            )
            error, kind, sent = describe(failure), failure_class(failure), was_sent(failure, state)
        except FAILURES as problem:
            error, kind, sent = describe(problem), failure_class(problem), was_sent(problem, state)
            if not isinstance(problem, aiohttp.ClientConnectorDNSError):
                self._forget_addresses(sent)
        except KeyError as problem:
            # aiohttp raises it to waiters for a lookup whose result was cleared meanwhile.
            if not is_raised_by_aiohttp(problem):
                raise
            error, kind, sent = None, ConnectionFailedError, state.sent
        else:
            self._note(request, state, None, "yes", started, None, response)
            if not self._owned or len(response.body) > LARGEST_BODY:
                return self._accept(request, response)
            return response
        if error is None:  # nothing was sent: the attempt begins anew
            state.left = None
            return await self.send(request, state)
        # Raised here, so that no exception of another package is chained.
        self._note(request, state, error, sent, started, kind)
        facts = request.facts()
        if kind is DecodeError:
            facts |= {"status": state.status, "advice": _NO_RESPONSE_KEPT}
        raise kind("no response arrived in time" if kind is RequestTimeoutError else error, **facts)

    def _observe(
        self, request: Request, observation: CallObservation, state: AttemptState
    ) -> Request:
        """Begin the observation of an attempt, and return the request with its headers."""
        path = (self._prefix + request.path).partition("?")[0]
        observer = guarded(observation.observer.attempt, len(request.attempts) + 1, path)
        state.observer = observer
        if observer is None:
            return request
        return guarded(self._with_headers_of, observer, request) or request

    def _with_headers_of(self, observer: AttemptObserver, request: Request) -> Request:
        added = observer.headers
        refuse(added, self._own(request.operation), request)
        return request.with_headers(added) if added else request

    def _own(self, operation: Operation[Any]) -> frozenset[str]:
        """Return the names of the headers that only the client may set."""
        own = self._own_headers.get(operation.auth)
        if own is None:
            credential = self._credentials.headers_for(operation.auth, operation.name)
            own = self._own_headers[operation.auth] = OWN | {name.lower() for name in credential}
        return own

    def _forget_addresses(self, sent: Sent) -> None:
        """Clear aiohttp's DNS cache if an attempt was not sent, so that the next one resolves anew.

        The server, or the proxy, may have moved to another address.
        """
        clear = getattr(self._session.connector, "clear_dns_cache", None)
        if sent == "no" and clear is not None:
            clear()

    def _accept(self, request: Request, response: Response) -> Response:
        """Return a response; raises `DecodeError` for a success that is too long or another's."""
        if len(response.body) > LARGEST_BODY:  # incomplete
            response = attrs.evolve(response, body=shortened(response.body))
            if 200 <= response.status < 300:
                facts = request.facts() | {"status": response.status, "body": response.body}
                raise DecodeError(f"the response is longer than {LARGEST_BODY} bytes", **facts)
        if not self._owned:  # connections of the caller's session cannot be checked before use
            check_echo(request, response)
        return response

    async def _exchange(self, request: Request, state: AttemptState) -> Response:
        """Send a request on the fast path if possible, else on the session path.

        Only the session path checks headers of the caller for line breaks.
        """
        operation, path, key = request.operation, request.path, request.idempotency_key or ""
        written = path + key
        plain = written.isascii() and written.isprintable() and " " not in written
        added = "" if request.headers is COMMON_HEADERS else added_lines(request.headers)
        if plain and added is not None and self._destination is not None and fast_path.is_genuine():
            lines = self._header_lines.get(operation.auth) or self._lines(operation)
            if added:
                lines = Secret(lines + added)
            data = fast_path.message(
                operation.method, self._prefix + path, lines, key or None, request.body
            )
            connector: Any = self._session.connector
            state.left = False
            try:
                status, headers, body = await fast_path.send(
                    connector, self._destination, data, state
                )
            except (ValueError, AttributeError, TypeError) as error:
                self._judge_misfit(error, state)
                status, headers, body = await self._through_session(request, state)
        else:
            status, headers, body = await self._through_session(request, state)
        return make_response(
            status, CIMultiDict(headers), SecretBytes(body) if operation.holds_secret else body
        )

    def _judge_misfit(self, error: Exception, state: AttemptState) -> None:
        """Give up the fast path, which fails with this aiohttp; raises if the request was sent."""
        if isinstance(error, aiohttp.ClientError) or (isinstance(error, ValueError) and state.left):
            raise error
        if isinstance(error, ValueError):  # a label of the host name is invalid in DNS
            raise RefusedError from error
        self._destination = None
        log.warning(
            "the fast path does not support aiohttp %s: requests take the session path",
            aiohttp.__version__,
            extra={"paychainhq": {"aiohttp": aiohttp.__version__}},
        )
        if state.left:
            raise MisfitError from error

    def _lines(self, operation: Operation[Any]) -> str:
        credential = self._credentials.headers_for(operation.auth, operation.name)
        host = self._origin.host_port_subcomponent or ""
        lines = self._header_lines[operation.auth] = Secret(
            fast_path.header_lines(host, {**COMMON_HEADERS, **credential})
        )
        return lines

    async def _through_session(
        self, request: Request, state: AttemptState
    ) -> tuple[int, Mapping[str, str], bytes]:
        operation = request.operation
        # Without case, so that an added header replaces a common one.
        headers: CIMultiDict[str] = CIMultiDict()
        credential = self._credentials.headers_for(operation.auth, operation.name)
        for given in (request.headers, self._proxy_headers, credential):
            for name, value in given.items():
                headers[name] = value
        if request.idempotency_key is not None:
            headers["Idempotency-Key"] = request.idempotency_key
        url = URL(self._connection.base_url + request.path, encoded=True)
        return await send(
            self._session, operation.method, url, request.body, headers, self._options, state
        )

    def _note(
        self,
        request: Request,
        state: AttemptState,
        error: str | None,
        sent: Sent,
        started: float,
        kind: type[Exception] | None = None,
        response: Response | None = None,
    ) -> None:
        """Record the end of an attempt."""
        elapsed, waits = self.loop.time() - started, request.waits
        self._counters.attempts += 1
        waited = NO_WAITS
        if waits:
            self._counters.add(waits)
            waited = waits.copy()
            waits.clear()
        begun = time.time() - elapsed
        attempt = make_attempt(state.status, error, sent, elapsed, begun, waited)
        request.attempts.append(attempt)
        if state.observer is not None:
            id_ = None if response is None else request_id(response)
            end_attempt(state.observer, attempt, kind, id_)
        if log.isEnabledFor(logging.DEBUG):
            operation = request.operation
            id_ = None if response is None else request_id(response)
            log.debug(
                "%s: attempt %d: %s %s: %s in %.3f s (request id %s)",
                operation.name,
                len(request.attempts),
                operation.method,
                request.path.partition("?")[0],
                attempt,
                attempt.elapsed,
                printable(str(id_)),
                extra=log_facts(request, request_id=id_),
            )


async def _closed_with_loop(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """Close the session when its loop shuts down: `asyncio.run` closes open async generators."""
    try:
        yield
    finally:
        await session.close()
