"""Few bytes that unpack to many are refused before they fill the memory."""

from __future__ import annotations

import tracemalloc
import zlib
from functools import cache

import pytest

from paychainhq import APIError, DecodeError
from paychainhq._http.attempt import LARGEST_BODY
from tests.security.conftest import Way
from tests.support.raw_server import RawServer, answer

UNPACKED = 300 * 2**20
# The pieces, the whole that is made of them, and what is kept of it for the error.
ALLOWED = 2.5 * LARGEST_BODY


@cache
def bomb(bits: int) -> bytes:
    """Return 300 MiB of zeros, packed; `bits` chooses between gzip (31) and deflate (15)."""
    packer, piece = zlib.compressobj(9, zlib.DEFLATED, bits), bytes(2**20)
    return b"".join(
        [*(packer.compress(piece) for _ in range(UNPACKED // len(piece))), packer.flush()]
    )


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(("encoding", "bits"), [("gzip", 31), ("deflate", 15)])
async def test_a_bomb_is_refused(way: Way, encoding: str, bits: int, status: int) -> None:
    """Neither as a result nor as an error does it take more memory than a body may have."""
    packed = bomb(bits)
    assert len(packed) < 400_000
    async with (
        RawServer(answer(packed, status, {"Content-Encoding": encoding})) as server,
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
        # The connection on which the rest would come is not used again.
        server.script[:] = [answer({"id": 1})]
        assert await pay.request("GET", "/api/v1/new") == {"id": 1}
    assert server.accepted == 2
