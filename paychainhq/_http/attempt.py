"""State of an attempt, bounds of a response, and the connector of the package's session."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp

from paychainhq._attempts import Sent

if TYPE_CHECKING:
    from aiohttp.connector import Connection

    from paychainhq.telemetry import AttemptObserver

NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)

LARGEST_BODY = 16 * 2**20
LARGEST_HEADER = 65_536
# asyncio reads up to 256 KiB at a time; a block of that size may be mapped and unmapped for each
# response, which costs more than all the rest. aiohttp decompresses as much at a time, three times
# over, which blocks the event loop for too long.
READ_AT_ONCE = 65_536
# TLS reports an empty buffer while the socket below still holds encrypted data; this number of
# bytes fits into any kernel's buffer.
_TAKEN_AT_ONCE = 16_384


class AttemptState:
    """State of one attempt.

    Attributes:
        left: Whether the request may have been sent, or None if that is unknown.
        status: The status of the response, once it has arrived.
        transport: The connection, on the session path with the package's own session.
        observer: The observer of the attempt, or None.
    """

    __slots__ = ("left", "observer", "status", "transport")

    def __init__(self) -> None:
        self.left: bool | None = None
        self.status: int | None = None
        self.transport: asyncio.Transport | None = None
        self.observer: AttemptObserver | None = None

    @property
    def sent(self) -> Sent:
        if self.status is not None:
            return "yes"
        return "no" if self.left is False else "unknown"


# The attempt of this task on the session path: aiohttp passes no argument on to a connector.
current_attempt: ContextVar[AttemptState | None] = ContextVar("paychainhq_attempt", default=None)


class Connector(aiohttp.TCPConnector):
    """Connector that discards idle connections with unread data.

    The next request would read that data as its response.
    """

    async def connect(self, *args: Any, **options: Any) -> Connection:
        connection = await super().connect(*args, **options)
        while getattr(connection.protocol, "should_close", False):
            connection.close()
            connection = await super().connect(*args, **options)
        attempt = current_attempt.get()
        if attempt is not None:
            attempt.transport = getattr(connection, "transport", None)
        return connection


def is_drained(transport: asyncio.Transport, size: int) -> bool:
    """Return whether the kernel has the whole request; a server may respond before.

    Args:
        transport: The connection.
        size: The length of the request in bytes.
    """
    if transport.get_write_buffer_size():
        return False
    return size <= _TAKEN_AT_ONCE or transport.get_extra_info("sslcontext") is None


async def read_body(content: aiohttp.StreamReader) -> tuple[bytes, bool]:
    """Read a body up to little more than its bound; return it, and whether it is complete."""
    body = await content.readany()
    if content.at_eof():
        return body, True
    chunks, size = [body], len(body)
    while size <= LARGEST_BODY and (chunk := await content.readany()):
        chunks.append(chunk)
        size += len(chunk)
        if size > READ_AT_ONCE:
            # Reading decompresses without a wait: let other calls and this call's deadline run.
            await asyncio.sleep(0)
    return b"".join(chunks), size <= LARGEST_BODY
