"""How a server can fail a request: what it writes instead of the right answer, or before it, or after a part of it."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Mapping
from email.utils import formatdate
from functools import cache

from tests.engine import CREATED_KEY, INVOICE, error_body
from tests.support import Behaviour, Recorded, answer, reset

_BOMB = 300_000_000
_TURN = 0.02  # what is sent before and after such a pause is not one piece at the other end


def name_of(request: Recorded) -> str:
    """Return the name of the call that a request belongs to: each carries its own, in its path or in its body."""
    if request.method == "GET":
        return request.target.rpartition("/")[2]
    return str(request.json.get("description") or request.json["name"])


def reply(request: Recorded) -> bytes:
    """Return the right answer to a request, which holds the name of its call as its id."""
    sample = CREATED_KEY if request.target.endswith("/api-keys") else INVOICE
    return answer({**sample, "id": name_of(request)})


async def right(request: Recorded, writer: asyncio.StreamWriter) -> None:
    """Answer as one should."""
    writer.write(reply(request))


def refusal(status: int, headers: Mapping[str, str] | None = None) -> bytes:
    return answer(error_body("X"), status, headers)


async def limited_until_a_date(_: Recorded, writer: asyncio.StreamWriter) -> None:
    """Refuse with a 429 that names the moment in a second from now."""
    now = int(time.time())
    writer.write(refusal(429, {"Date": formatdate(now, usegmt=True), "Retry-After": formatdate(now + 1, usegmt=True)}))


def broken_off_after(part: float, *, by_reset: bool) -> Behaviour:
    """Send so much of the right answer, and then break the connection off, or close it."""

    async def behave(request: Recorded, writer: asyncio.StreamWriter) -> None:
        whole = reply(request)
        writer.write(whole[: int(len(whole) * part)])
        await asyncio.sleep(_TURN)
        if by_reset:
            await reset(request, writer)
        writer.close()

    return behave


async def wrong_type(request: Recorded, writer: asyncio.StreamWriter) -> None:
    """Send the right answer under a content type that it has not."""
    writer.write(reply(request).replace(b"application/json", b"text/html"))


async def answer_and_close(request: Recorded, writer: asyncio.StreamWriter) -> None:
    """Send the right answer and close the connection, without having said so."""
    writer.write(reply(request))
    writer.close()


def endless(start: bytes, piece: bytes, *, pause: float = 0.0) -> Behaviour:
    """Send a start, and then the same again and again, as fast as it is taken or with pauses."""

    async def behave(_: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


def informed(replies: int) -> Behaviour:
    """Send so many informational replies before the right answer."""

    async def behave(request: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(EARLY_HINTS * replies + reply(request))

    return behave


async def bomb(_: Recorded, writer: asyncio.StreamWriter) -> None:
    """Send some 300 KB that unpack to 300 MB."""
    writer.write(answer(_packed_zeros(), headers={"Content-Encoding": "gzip"}))
    await writer.drain()


@cache
def _packed_zeros() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(1_000_000)
    # After a full flush, what is packed next does not look back: the same bytes again are the same zeros again.
    first, again = (packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * (_BOMB // len(zeros) - 1)


EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
