"""One attempt in flight: how far it has come, and the short way over a connection.

aiohttp's session builds each request and answer anew, with cookies, redirects, authentication, tracing and a task that writes
the body; that is more work than all of ours. A request of ours is known as bytes beforehand, so it takes a connection from
aiohttp's pool, writes these bytes at once, and reads the answer from aiohttp's parser. This stands on a few names inside aiohttp:
it is done only while they are as they were when it was written. Otherwise, and through a proxy, with a session of the caller's,
or with headers that middleware has changed, the request goes through the session.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import BadHttpMessage

from paychainhq.credentials import SecretBytes
from paychainhq.errors import Sent

NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)

LARGEST_BODY = 16 * 2**20
# asyncio reads up to 256 KiB at a time; a block of that size may be mapped and unmapped for each answer, which costs more than
# all the rest. aiohttp unpacks as much at a time, and three times over: too long for the others on the event loop.
READ_AT_ONCE = 65_536
# What a server may say before its answer; a flood of it would keep the event loop busy until the deadline.
_MOST_INFORMATIONAL = 100


class Flight:
    """How far one attempt has come.

    Attributes:

        left: Whether it may have left.
        status: The status of the answer, once it is there.
    """

    __slots__ = ("left", "status")

    def __init__(self, *, left: bool = False) -> None:
        self.left = left
        self.status: int | None = None

    @property
    def sent(self) -> Sent:
        return "yes" if self.status is not None else "unknown" if self.left else "no"


async def read_body(content: aiohttp.StreamReader) -> tuple[bytes, bool]:
    """Read a body, but not more than the bound and a little; return it, and whether that was all."""
    body = await content.readany()
    if content.at_eof():
        return body, True
    chunks, size = [body], len(body)
    while size <= LARGEST_BODY and (chunk := await content.readany()):
        chunks.append(chunk)
        size += len(chunk)
        if size > READ_AT_ONCE:
            # What has come is unpacked as it is read, without a wait: other calls, and this one's deadline, are to have their turn.
            await asyncio.sleep(0)
    return b"".join(chunks), size <= LARGEST_BODY


# --- the short way ---


class Destination(aiohttp.ClientRequest):
    """What aiohttp's connector asks of a request: where it goes, and with which TLS."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._key = super().connection_key

    @property
    def connection_key(self) -> ConnectionKey:
        return self._key


def _takes(function: Any, *names: str) -> bool:
    return set(names) <= inspect.signature(function).parameters.keys()


_SESSION_REQUEST = aiohttp.ClientSession._request
_FITS = (
    _takes(aiohttp.BaseConnector.connect, "req", "traces", "timeout")
    and _takes(ResponseHandler.set_response_params, "read_until_eof", "auto_decompress", "read_bufsize")
    and inspect.iscoroutinefunction(getattr(ResponseHandler, "read", None))
    and isinstance(inspect.getattr_static(ResponseHandler, "should_close", None), property)
)


def aiohttp_fits() -> bool:
    """Whether this is the aiohttp that is known here, and no mock stands in for its session, which wants to see each request."""
    return _FITS and aiohttp.ClientSession._request is _SESSION_REQUEST


async def fly(
    connector: aiohttp.BaseConnector, destination: Destination, message: bytes, flight: Flight
) -> tuple[int, Mapping[str, str], bytes]:
    """Send a request that is known as bytes, and return the status, the headers and the body of its answer."""
    connection = await connector.connect(destination, [], NO_TIMEOUT)
    while connection.protocol is not None and connection.protocol.should_close:
        # Something came while nobody had asked: it is not to be taken for the answer to this.
        connection.close()
        connection = await connector.connect(destination, [], NO_TIMEOUT)
    complete = False
    try:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError
        if getattr(transport, "max_size", 0) > READ_AT_ONCE:
            transport.max_size = READ_AT_ONCE  # type: ignore[attr-defined]
        protocol.set_response_params(read_until_eof=True, read_bufsize=READ_AT_ONCE)
        flight.left = True
        transport.write(message)
        for _ in range(_MOST_INFORMATIONAL):
            head, content = await protocol.read()
            if not 100 <= head.code < 200 or head.code == 101:
                break
        else:
            raise BadHttpMessage("informational answers without end")
        flight.status = head.code
        body, complete = await read_body(content)
    finally:
        if complete:
            connection.release()
        else:
            if connection.transport is not None:
                # Closing would wait for the other side to end TLS too, which a network that fell silent never lets it do.
                connection.transport.abort()
            connection.close()
    return head.code, head.headers, body


def message(method: str, target: str, lines: str, idempotency_key: str | None, body: bytes | None) -> SecretBytes:
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
        return SecretBytes(f"{method} {target} HTTP/1.1\r\n{lines}{key}{length}\r\n".encode("ascii"))
    return SecretBytes(f"{method} {target} HTTP/1.1\r\n{lines}{key}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body)


def header_lines(host: str, headers: Mapping[str, str]) -> str:
    """Write the header lines of all requests: those that aiohttp adds by itself, and ours."""
    of_aiohttp = {str(name): value for name, value in aiohttp.ClientRequest.DEFAULT_HEADERS.items()}
    lines = {"Host": host, **of_aiohttp, **headers}
    return "".join(f"{name}: {value}\r\n" for name, value in lines.items())


# --- through the session ---

current_flight: ContextVar[Flight] = ContextVar("paychainhq_flight")


class SentTwiceError(aiohttp.ClientError):
    """The server closed the connection before it answered."""


class SendOnce(aiohttp.ClientRequest):
    """Notes when a request leaves, and stops aiohttp from quietly repeating a GET or DELETE that has."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        flight = current_flight.get()
        if flight.left:
            raise SentTwiceError
        flight.left = True
        return await super().send(conn)
