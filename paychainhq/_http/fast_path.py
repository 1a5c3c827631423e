"""Fast path: a request as bytes on a pooled connection, with all private names of aiohttp.

aiohttp's session supports cookies, redirects, authentication, tracing and streamed bodies, which
costs more than all work of this package. A request of this package is known as bytes beforehand:
the fast path takes a connection from aiohttp's pool, writes these bytes at once, and reads the
response from aiohttp's parser. This relies on private names, and bypasses replacements of aiohttp's
functions. So `make_destination` tests the private names, and `is_genuine` verifies aiohttp's
functions on each call; if either fails, requests take the session path.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import FunctionType
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from yarl import URL

from paychainhq._core.secrets import SecretBytes
from paychainhq._http.attempt import (
    LARGEST_HEADER,
    NO_TIMEOUT,
    READ_AT_ONCE,
    AttemptState,
    Connector,
    is_drained,
    read_body,
)

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey

# The largest number of 1xx responses; a flood of them would keep the event loop busy until the
# deadline.
_MOST_INFORMATIONAL = 100

# --- conditions of the fast path ---

# Mocks, recorders and instrumentations replace these to see each request.
_SESSION, _CONNECTOR, _REQUEST, _RESPONSE = (
    aiohttp.ClientSession,
    aiohttp.TCPConnector,
    aiohttp.ClientRequest,
    aiohttp.ClientResponse,
)
_REQUEST_METHODS = ("_request", "request", "get", "post", "put", "patch", "delete")
_SEAMS = (
    *((_SESSION, name) for name in _REQUEST_METHODS),
    (_CONNECTOR, "connect"),
    (_CONNECTOR, "_create_connection"),
    (_REQUEST, "send"),
    (_RESPONSE, "start"),
)
_known: Sequence[Any] = (None,) * len(_SEAMS)


def is_genuine() -> bool:
    """Return whether no function of aiohttp that handles a request is replaced.

    Functions are verified once, and compared by identity afterwards. A comparison with the
    functions at import would prove nothing, since the import may happen inside a mock.
    """
    # In the order of `_SEAMS`, and without a loop, which would cost three times as much.
    _request, request, get, post, put, patch, delete, connect, create, send, start = _known
    return (
        _SESSION._request is _request
        and _SESSION.request is request
        and _SESSION.get is get
        and _SESSION.post is post
        and _SESSION.put is put
        and _SESSION.patch is patch
        and _SESSION.delete is delete
        and _CONNECTOR.connect is connect
        and _CONNECTOR._create_connection is create
        and _REQUEST.send is send
        and _RESPONSE.start is start
    ) or _verify()


def _verify() -> bool:
    """Verify each function where it is defined, and cache them if all are aiohttp's."""
    global _known  # noqa: PLW0603 (a cache)
    functions = [getattr(owner, name, None) for owner, name in _SEAMS]
    if not all(
        is_of_aiohttp(*seam, function) for seam, function in zip(_SEAMS, functions, strict=True)
    ):
        return False
    _known = tuple(functions)
    return True


def is_of_aiohttp(owner: type, name: str, function: object) -> bool:
    """Return whether aiohttp itself defines this function as `owner.name`.

    A wrapper copies the name of its function (`functools.wraps`), or forwards each attribute
    (`wrapt`), so no single attribute is a proof.
    """
    if type(function) is not FunctionType or "__wrapped__" in vars(function):
        return False
    definer = next((base for base in owner.__mro__ if vars(base).get(name) is function), None)
    if definer is None:
        return False
    package, _, module = definer.__module__.rpartition(".")
    code = function.__code__
    return (
        package == "aiohttp"
        and PurePath(code.co_filename).parts[-2:] == (package, f"{module}.py")
        and function.__globals__ is getattr(sys.modules.get(definer.__module__), "__dict__", None)
        and code.co_qualname == function.__qualname__ == f"{definer.__qualname__}.{name}"
    )


class Destination(aiohttp.ClientRequest):
    """Destination of requests, as a connector reads it: address and TLS."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._key = super().connection_key

    @property
    def connection_key(self) -> ConnectionKey:
        return self._key


def make_destination(session: aiohttp.ClientSession, url: URL, tls: Any) -> Destination | None:
    """Return the destination of the fast path, or None if requests must take the session path.

    Args:
        session: The package's own session.
        url: The base URL.
        tls: The TLS context, or True for aiohttp's default.
    """
    try:
        if not is_genuine() or type(session) is not _SESSION or not _is_plain(session):
            return None
        _try_out()
        return Destination("GET", url, loop=asyncio.get_running_loop(), ssl=tls)
    except Exception:  # noqa: BLE001 (another version of aiohttp may fail in any way; the session path works)
        return None


def _is_plain(session: aiohttp.ClientSession) -> bool:
    """Return whether a session has no observer of requests, such as an instrumentation's trace."""
    replaced = vars(session).keys() & set(_REQUEST_METHODS)
    return (
        type(session.connector) is Connector
        and len(session.trace_configs) == 1
        and not session._middlewares
        and not replaced
    )


def _try_out() -> None:
    """Read a response with aiohttp's protocol as `send` does; raises any error if that fails."""
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

    inspect.signature(aiohttp.TCPConnector.connect).bind(None, None, [], NO_TIMEOUT)
    for name in ("protocol", "transport", "release", "close"):
        getattr(Connection, name)
    protocol = ResponseHandler(asyncio.get_running_loop())
    protocol.set_response_params(
        read_until_eof=True,
        read_bufsize=READ_AT_ONCE,
        max_line_size=LARGEST_HEADER,
        max_field_size=LARGEST_HEADER,
    )
    protocol.data_received(b"HTTP/1.1 200 OK\r\nX-Try: yes\r\nContent-Length: 2\r\n\r\n{}")
    head, content = _finish(protocol.read())
    response = (head.code, head.headers["x-try"], _finish(read_body(content)))
    state = (protocol.should_close, protocol.transport)
    if response != (200, "yes", (b"{}", True)) or state != (False, None):
        raise RuntimeError("aiohttp reads a response in another way")


def _finish(coroutine: Any) -> Any:
    """Return the result of a coroutine that does not wait."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    finally:
        coroutine.close()
    raise RuntimeError("aiohttp waits although the response is complete")


# --- sending ---


async def send(
    connector: aiohttp.TCPConnector, destination: Destination, message: bytes, state: AttemptState
) -> tuple[int, Mapping[str, str], bytes]:
    """Send a request as bytes, and return the status, headers and body of the response."""
    # The override of `Connector` does the same, but costs another coroutine for each request.
    connect = aiohttp.TCPConnector.connect
    connection = await connect(connector, destination, [], NO_TIMEOUT)
    while (protocol := connection.protocol) is not None and protocol.should_close:
        connection.close()
        connection = await connect(connector, destination, [], NO_TIMEOUT)
    complete = False
    try:
        transport = None if protocol is None else protocol.transport
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError
        if getattr(transport, "max_size", 0) > READ_AT_ONCE:
            transport.max_size = READ_AT_ONCE  # type: ignore[attr-defined]
        protocol.set_response_params(
            read_until_eof=True,
            read_bufsize=READ_AT_ONCE,
            max_line_size=LARGEST_HEADER,
            max_field_size=LARGEST_HEADER,
        )
        state.left = True
        transport.write(message)
        head, content = await protocol.read()
        informational = 0
        while 100 <= head.code < 200 and head.code != 101:
            informational += 1
            if informational == _MOST_INFORMATIONAL:
                raise BadHttpMessage("too many informational responses")
            head, content = await protocol.read()
        state.status = head.code
        body, complete = await read_body(content)
        complete = complete and is_drained(transport, len(message))
    finally:
        if complete:
            connection.release()
        else:
            if connection.transport is not None:
                # Closing would wait for the peer's TLS close_notify, which a dead network never
                # delivers.
                connection.transport.abort()
            connection.close()
    return head.code, head.headers, body


def message(
    method: str, target: str, lines: str, idempotency_key: str | None, body: bytes | None
) -> SecretBytes:
    """Return a request as bytes.

    Args:
        method: The HTTP method.
        target: The path with its query, as in the request line.
        lines: The common header lines of all requests, with the credential.
        idempotency_key: The key, or None.
        body: The JSON body, or None.
    """
    key = "" if idempotency_key is None else f"Idempotency-Key: {idempotency_key}\r\n"
    if body is None:
        length = "" if method == "GET" else "Content-Length: 0\r\n"
        return SecretBytes(
            f"{method} {target} HTTP/1.1\r\n{lines}{key}{length}\r\n".encode("ascii")
        )
    return SecretBytes(
        f"{method} {target} HTTP/1.1\r\n{lines}{key}Content-Length: {len(body)}\r\n\r\n".encode(
            "ascii"
        )
        + body
    )


def header_lines(host: str, headers: Mapping[str, str]) -> str:
    """Return the common header lines of requests: aiohttp's defaults, and the given ones."""
    of_aiohttp = {str(name): value for name, value in aiohttp.ClientRequest.DEFAULT_HEADERS.items()}
    lines = {"Host": host, **of_aiohttp, **headers}
    return "".join(f"{name}: {value}\r\n" for name, value in lines.items())


# --- other private names ---


def loop_of(session: aiohttp.ClientSession) -> asyncio.AbstractEventLoop | None:
    """Return the event loop of a session, or None if it cannot be read."""
    return getattr(session, "_loop", None)


def tls_of(session: aiohttp.ClientSession) -> object:
    """Return the TLS setting of a session's connector, or None if it cannot be read."""
    return getattr(session.connector, "_ssl", None)


def is_too_large(problem: BaseException | None) -> bool:
    """Return whether a response failed because its headers exceed the limits."""
    while problem is not None:
        if isinstance(problem, LineTooLong) or (
            isinstance(problem, BadHttpMessage) and problem.message.startswith("Too many")
        ):
            return True
        problem = problem.__cause__
    return False
