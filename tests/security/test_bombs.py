"""Decompression bombs: refused before they fill the memory."""

from __future__ import annotations

import tracemalloc
import zlib
from functools import cache

import pytest

from paychainhq import APIError, DecodeError
from paychainhq._http.attempt import LARGEST_BODY
from tests.security.conftest import Way
from tests.support.raw_server import RawServer, http_response

UNPACKED = 300 * 2**20
# The pieces, the body joined from them, and the excerpt that the error keeps.
ALLOWED = 2.5 * LARGEST_BODY


@cache
def bomb(bits: int) -> bytes:
    """Return 300 MiB of zeros, compressed with gzip (`bits` 31) or deflate (`bits` 15)."""
    packer, piece = zlib.compressobj(9, zlib.DEFLATED, bits), bytes(2**20)
    return b"".join(
        [*(packer.compress(piece) for _ in range(UNPACKED // len(piece))), packer.flush()]
    )


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(("encoding", "bits"), [("gzip", 31), ("deflate", 15)])
async def test_a_bomb_is_refused(way: Way, encoding: str, bits: int, status: int) -> None:
    """Neither a result nor an error uses more memory than a body may have."""
    packed = bomb(bits)
    assert len(packed) < 400_000
    async with (
        RawServer(http_response(packed, status, {"Content-Encoding": encoding})) as server,
        way.client(server.url) as pay,
    ):
        tracemalloc.start()
        try:
            with pytest.raises(DecodeError if status == 200 else APIError) as caught:
                await pay.request("POST", "/api/v1/new", body={})
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert LARGEST_BODY < peak < ALLOWED
        assert len(getattr(caught.value, "body", b"")) <= 65_536
        assert (caught.value.sent, len(caught.value.attempts)) == ("yes", 1)
        # The connection that would deliver the rest is not used again.
        server.script[:] = [http_response({"id": 1})]
        assert await pay.request("GET", "/api/v1/new") == {"id": 1}
    assert server.accepted == 2
