"""Behaviours of a failing server: responses that are wrong, delayed, endless or cut off."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Mapping
from email.utils import formatdate
from functools import cache

from tests.support.client import CREATED_KEY, INVOICE, error_body
from tests.support.raw_server import Behaviour, Recorded, http_response, reset

_BOMB = 300_000_000
_TURN = 0.02  # a pause of this length separates pieces at the other end


def name_of(request: Recorded) -> str:
    """Return the call's name, which each request carries in its path or in its body."""
    if request.method == "GET":
        return request.target.rpartition("/")[2]
    return str(request.json.get("description") or request.json["name"])


def reply(request: Recorded) -> bytes:
    """Return the right response to a request, whose id is the call's name."""
    sample = CREATED_KEY if request.target.endswith("/api-keys") else INVOICE
    return http_response({**sample, "id": name_of(request)})


async def right(request: Recorded, writer: asyncio.StreamWriter) -> None:
    """Send the right response."""
    writer.write(reply(request))


def refusal(status: int, headers: Mapping[str, str] | None = None) -> bytes:
    return http_response(error_body("X"), status, headers)


async def limited_until_a_date(_: Recorded, writer: asyncio.StreamWriter) -> None:
    """Refuse with a 429 whose `Retry-After` is a date in about a second."""
    now = int(time.time())
    writer.write(
        refusal(
            429,
            {"Date": formatdate(now, usegmt=True), "Retry-After": formatdate(now + 1, usegmt=True)},
        )
    )


def broken_off_after(part: float, *, by_reset: bool) -> Behaviour:
    """Send this part of the right response, and then reset or close the connection."""

    async def behave(request: Recorded, writer: asyncio.StreamWriter) -> None:
        whole = reply(request)
        writer.write(whole[: int(len(whole) * part)])
        await asyncio.sleep(_TURN)
        if by_reset:
            await reset(request, writer)
        writer.close()

    return behave


async def wrong_type(request: Recorded, writer: asyncio.StreamWriter) -> None:
    """Send the right response with a wrong content type."""
    writer.write(reply(request).replace(b"application/json", b"text/html"))


async def respond_and_close(request: Recorded, writer: asyncio.StreamWriter) -> None:
    """Send the right response and close the connection, without announcing it."""
    writer.write(reply(request))
    writer.close()


def endless(start: bytes, piece: bytes, *, pause: float = 0.0) -> Behaviour:
    """Send a start, and then the same piece repeatedly, at full speed or with pauses."""

    async def behave(_: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


def informed(replies: int) -> Behaviour:
    """Send this number of informational responses before the right one."""

    async def behave(request: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(EARLY_HINTS * replies + reply(request))

    return behave


async def bomb(_: Recorded, writer: asyncio.StreamWriter) -> None:
    """Send some 300 KB that decompress to 300 MB."""
    writer.write(http_response(_packed_zeros(), headers={"Content-Encoding": "gzip"}))
    await writer.drain()


@cache
def _packed_zeros() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(1_000_000)
    # After a full flush, compression has no history: equal input gives equal output.
    first, again = (packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * (_BOMB // len(zeros) - 1)


EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
