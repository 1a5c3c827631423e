"""State of one attempt, bounds of a response, and the connector of the package's own session."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp

from paychainhq._attempts import Sent

if TYPE_CHECKING:
    from aiohttp.connector import Connection

NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)

LARGEST_BODY = 16 * 2**20
LARGEST_HEADER = 65_536
# asyncio reads up to 256 KiB at a time; a block of that size may be mapped and unmapped for each
# answer, which costs more than all the rest. aiohttp unpacks as much at a time, and three times
# over: too long for the others on the event loop.
READ_AT_ONCE = 65_536
# TLS reports an empty buffer while the socket below it still holds encrypted data; no more than
# this fits into any kernel's buffer.
_TAKEN_AT_ONCE = 16_384


class AttemptState:
    """State of one attempt.

    Attributes:
        left: Whether it may have left, or None if that cannot be known.
        status: The status of the answer, once it is there.
        transport: The connection that it uses, on the session path of the package's own session.
    """

    __slots__ = ("left", "status", "transport")

    def __init__(self, left: bool | None = None) -> None:
        self.left = left
        self.status: int | None = None
        self.transport: asyncio.Transport | None = None

    @property
    def sent(self) -> Sent:
        if self.status is not None:
            return "yes"
        return "no" if self.left is False else "unknown"


# The attempt that this task makes through a session: aiohttp passes nothing of ours to a connector.
current_attempt: ContextVar[AttemptState | None] = ContextVar("paychainhq_attempt", default=None)


class Connector(aiohttp.TCPConnector):
    """Connector that discards an idle connection on which data has arrived: the next request would
    take it for its answer.
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
    """Return whether a request has been handed to the kernel as a whole: a server may answer before
    it has read all of it.

    Args:
        transport: The connection.
        size: How long the request is, in bytes.
    """
    if transport.get_write_buffer_size():
        return False
    return size <= _TAKEN_AT_ONCE or transport.get_extra_info("sslcontext") is None


async def read_body(content: aiohttp.StreamReader) -> tuple[bytes, bool]:
    """Read a body, but not more than the bound and a little; return it, and whether that was
    all.
    """
    body = await content.readany()
    if content.at_eof():
        return body, True
    chunks, size = [body], len(body)
    while size <= LARGEST_BODY and (chunk := await content.readany()):
        chunks.append(chunk)
        size += len(chunk)
        if size > READ_AT_ONCE:
            # What has come is unpacked as it is read, without a wait: other calls, and this one's
            # deadline, are to have their turn.
            await asyncio.sleep(0)
    return b"".join(chunks), size <= LARGEST_BODY
