"""Fast path: a request as bytes over a connection of aiohttp's pool; all private names of aiohttp
that the package uses.

aiohttp's session builds each request and answer anew, with cookies, redirects, authentication,
tracing and a task that writes the body; that is more work than all of ours. A request of ours is
known as bytes beforehand, so it takes a connection from aiohttp's pool, writes these bytes at once,
and reads the answer from aiohttp's parser. That relies on private names, and hides the request from
whatever stands in for aiohttp's functions. `make_destination` therefore tries out what is relied
on, and `is_genuine` verifies aiohttp's functions on each call; where either fails, the request goes
through the session.
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

from paychainhq.credentials import SecretBytes
from paychainhq.flight import (
    LARGEST_HEADER,
    NO_TIMEOUT,
    READ_AT_ONCE,
    Connector,
    Flight,
    is_drained,
    read_body,
)

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey

# What a server may say before its answer; a flood of it would keep the event loop busy until the
# deadline.
_MOST_INFORMATIONAL = 100

# --- whether a request may go this way ---

# Mocks, recorders and instrumentations replace these to see each request.
_SESSION, _CONNECTOR, _REQUEST, _RESPONSE = (
    aiohttp.ClientSession,
    aiohttp.TCPConnector,
    aiohttp.ClientRequest,
    aiohttp.ClientResponse,
)
_DOORS = ("_request", "request", "get", "post", "put", "patch", "delete")
_SEAMS = (
    *((_SESSION, name) for name in _DOORS),
    (_CONNECTOR, "connect"),
    (_CONNECTOR, "_create_connection"),
    (_REQUEST, "send"),
    (_RESPONSE, "start"),
)
_known: Sequence[Any] = (None,) * len(_SEAMS)


def is_genuine() -> bool:
    """Return whether nothing stands in for a function of aiohttp that handles a request.

    Functions are verified once, and compared by identity afterwards. That they are unchanged since
    the import would prove nothing, as the import may happen inside a mock.
    """
    # In the order of `_SEAMS`, and written out: a loop costs three times as much on each request.
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
    """Verify each function where it is defined, and note them if all are aiohttp's."""
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

    A wrapper copies the name of what it wraps (`functools.wraps`), or forwards each attribute
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
    """What a connector reads of a request: where it goes, and with which TLS."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._key = super().connection_key

    @property
    def connection_key(self) -> ConnectionKey:
        return self._key


def make_destination(session: aiohttp.ClientSession, url: URL, tls: Any) -> Destination | None:
    """Return where the fast path leads, or None where requests have to go through the session.

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
    except Exception:  # noqa: BLE001 (another version of aiohttp may fail in any way, and the session still works)
        return None


def _is_plain(session: aiohttp.ClientSession) -> bool:
    """Return whether a session has nothing that is to see each request, such as the trace config of
    an instrumentation.
    """
    replaced = vars(session).keys() & set(_DOORS)
    return (
        type(session.connector) is Connector
        and len(session.trace_configs) == 1
        and not session._middlewares
        and not replaced
    )


def _try_out() -> None:
    """Read an answer with aiohttp's protocol in the way of `fly`; raises whatever comes where that
    does not work.
    """
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
    answer = (head.code, head.headers["x-try"], _finish(read_body(content)))
    state = (protocol.should_close, protocol.transport)
    if answer != (200, "yes", (b"{}", True)) or state != (False, None):
        raise RuntimeError("aiohttp reads an answer in another way")


def _finish(coroutine: Any) -> Any:
    """Return the result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    finally:
        coroutine.close()
    raise RuntimeError("aiohttp waits for what is there")


# --- sending ---


async def fly(
    connector: aiohttp.TCPConnector, destination: Destination, message: bytes, flight: Flight
) -> tuple[int, Mapping[str, str], bytes]:
    """Send a request that is known as bytes, and return the status, the headers and the body of its
    answer.
    """
    # The connector's own override does the same, at the price of one more coroutine for each
    # request.
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
        flight.left = True
        transport.write(message)
        head, content = await protocol.read()
        informational = 0
        while 100 <= head.code < 200 and head.code != 101:
            informational += 1
            if informational == _MOST_INFORMATIONAL:
                raise BadHttpMessage("informational answers without end")
            head, content = await protocol.read()
        flight.status = head.code
        body, complete = await read_body(content)
        complete = complete and is_drained(transport, len(message))
    finally:
        if complete:
            connection.release()
        else:
            if connection.transport is not None:
                # Closing would wait for the other side to end TLS too, which a network that fell
                # silent never lets it do.
                connection.transport.abort()
            connection.close()
    return head.code, head.headers, body


def message(
    method: str, target: str, lines: str, idempotency_key: str | None, body: bytes | None
) -> SecretBytes:
    """Write a request as bytes.

    Args:

        method: The HTTP method.
        target: The path with its query, as it is to stand in the request line.
        lines: The header lines that are the same for all requests, with the credential.
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
    """Write the header lines of all requests: those that aiohttp adds by itself, and ours."""
    of_aiohttp = {str(name): value for name, value in aiohttp.ClientRequest.DEFAULT_HEADERS.items()}
    lines = {"Host": host, **of_aiohttp, **headers}
    return "".join(f"{name}: {value}\r\n" for name, value in lines.items())


# --- other private names ---


def loop_of(session: aiohttp.ClientSession) -> asyncio.AbstractEventLoop | None:
    """Return the event loop of a session, or None where it cannot be read."""
    return getattr(session, "_loop", None)


def tls_of(session: aiohttp.ClientSession) -> object:
    """Return the TLS setting of a session's connector, or None where it cannot be read."""
    return getattr(session.connector, "_ssl", None)


def is_too_large(problem: BaseException | None) -> bool:
    """Return whether an answer failed because its head is larger than aiohttp was told to read."""
    while problem is not None:
        if isinstance(problem, LineTooLong) or (
            isinstance(problem, BadHttpMessage) and problem.message.startswith("Too many")
        ):
            return True
        problem = problem.__cause__
    return False
