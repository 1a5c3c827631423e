"""Fast path over a pooled connection: requests equal to aiohttp's, and the session as fallback."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import suppress
from typing import Any

import aiohttp
import attrs
import pytest

from paychainhq import ConnectionFailedError, DecodeError, RateLimit, ServerError
from paychainhq._http import fast_path, session_path
from paychainhq._http.attempt import LARGEST_BODY
from paychainhq._http.messages import Next, Request, Response
from tests.support.client import INVOICE, PRICES, client, info, invoice, states
from tests.support.raw_server import RawServer, Recorded, http_response


@pytest.fixture(params=["the short way", "through the session"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "through the session":
        monkeypatch.setattr(fast_path, "is_genuine", lambda: False)
    return str(request.param)


def test_the_installed_aiohttp_fits() -> None:
    """The fast path's internal names of aiohttp exist: otherwise calls work, but more slowly."""
    assert fast_path.is_genuine()


def test_an_aiohttp_that_is_mocked_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock in the place of aiohttp's session gets each request."""
    monkeypatch.setattr(aiohttp.ClientSession, "_request", lambda *_: None)
    assert not fast_path.is_genuine()


async def requests_of_a_day(url: str) -> None:
    """Make one request of each shape: with a body, a query, neither, no key, and a DELETE."""
    async with client(url) as pay:
        await invoice(pay, idempotency_key="order-7", description="Grüße, 世界")
        await pay.invoices.list(status="paid", limit=2)
        await pay.invoices.get("inv_1")
        await pay.prices.list()
        await pay.invoices.cancel("inv_1", idempotency_key="order-8")
        await pay.request("POST", "/api/v1/new", idempotency_key="order-9")


async def test_both_paths_send_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Method, target, headers and body of every request are those of aiohttp's session."""
    page = {
        "data": [],
        "pagination": {"page": 1, "limit": 2, "total": 0, "totalPages": 0, "hasMore": False},
    }
    received: list[list[Recorded]] = []
    for fits in (True, False):
        monkeypatch.setattr(fast_path, "is_genuine", lambda fits=fits: fits)
        script = [
            http_response(INVOICE),
            http_response(page),
            http_response(INVOICE),
            http_response(PRICES),
            http_response({"count": 1}),
            http_response({}),
        ]
        async with RawServer(*script) as server:
            await requests_of_a_day(server.url)
        received.append(
            [
                Recorded(r.method, r.target, {**r.headers, "host": ""}, r.body)
                for r in server.requests
            ]
        )
    assert received[0] == received[1]
    assert [r.method for r in received[0]] == ["POST", "GET", "GET", "GET", "DELETE", "POST"]


async def test_the_fast_path_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client without proxy or session does not go through aiohttp's session."""
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        monkeypatch.setattr(session_path, "send", None)
        await invoice(pay)


async def test_a_connection_is_used_again(way: str) -> None:
    """Calls one after the other share a connection."""
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        for _ in range(3):
            await invoice(pay)
    assert server.accepted == 1


@pytest.mark.parametrize("header", [{"Connection": "close"}, {"Connection": "Close, x"}])
async def test_a_connection_with_an_announced_end_is_not_used_again(
    way: str, header: dict[str, str]
) -> None:
    """`Connection: close` is respected."""
    async with (
        RawServer(http_response(INVOICE, headers=header)) as server,
        client(server.url) as pay,
    ):
        for _ in range(2):
            await invoice(pay)
    assert server.accepted == 2


async def test_unrequested_data_is_not_taken_for_a_response() -> None:
    """Data that arrives on an idle connection never becomes the response of the next call."""
    unrequested = http_response({**INVOICE, "id": "inv_of_another"})

    async def respond_and_send_more(_: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(http_response({**INVOICE, "id": "inv_mine"}))
        await writer.drain()
        writer.write(unrequested)

    async with RawServer(respond_and_send_more) as server, client(server.url) as pay:
        for _ in range(3):
            assert (await invoice(pay)).id == "inv_mine"
            wiring: Any = pay._caller.transport._wiring
            connections = list(wiring.sender._session.connector._conns.values())
            for protocols in connections:
                while not any(protocol.should_close for protocol, _ in protocols):
                    await asyncio.sleep(0)
    assert server.accepted == 3


async def test_informational_responses_are_skipped(way: str) -> None:
    """100, 102 and 103 before the response are not the response."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + b"HTTP/1.1 102 Processing\r\n\r\n"
    async with RawServer(early + http_response(INVOICE)) as server, client(server.url) as pay:
        assert info(await invoice(pay)).status == 200


async def test_a_body_without_length_ends_with_the_connection(way: str) -> None:
    """A response that ends with its connection is complete."""
    body = http_response(INVOICE).partition(b"\r\n\r\n")[2]

    async def until_closed(_: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body)
        writer.close()

    async with RawServer(until_closed) as server, client(server.url) as pay:
        assert (await invoice(pay)).id == INVOICE["id"]
        assert (await invoice(pay)).id == INVOICE["id"]
    assert server.accepted == 2


async def test_no_content(way: str) -> None:
    """A response without a body leaves the connection open."""
    async with (
        RawServer(b"HTTP/1.1 204 No Content\r\n\r\n", http_response({"a": 1})) as server,
        client(server.url) as pay,
    ):
        assert await pay.request("DELETE", "/api/v1/x") is None
        assert await pay.request("GET", "/api/v1/x") == {"a": 1}
    assert server.accepted == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ],
)
async def test_data_that_is_no_http_is_a_failed_connection(way: str, garbage: bytes) -> None:
    """The error names the cause, and the connection is closed."""
    async with RawServer(garbage) as server, client(server.url, retry=None) as pay:
        with pytest.raises(ConnectionFailedError) as caught:
            await invoice(pay)
        assert states(caught.value) == ["the response was not HTTP"]
        assert caught.value.sent == "unknown"
        server.script[:] = [http_response(INVOICE)]
        await invoice(pay)
    assert server.accepted == 2


async def test_an_endless_body_ends_at_the_bound(way: str) -> None:
    """A body beyond 16 MiB is not read further, and its connection is not used again."""

    async def endless(_: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"100000\r\n" + bytes(2**20) + b"\r\n")
            await writer.drain()

    async with RawServer(endless) as server, client(server.url, retry=None) as pay:
        with pytest.raises(ServerError) as caught:
            await invoice(pay)
        assert caught.value.status == 500
        server.script[:] = [http_response(INVOICE)]
        await invoice(pay)
    assert server.accepted == 2
    assert LARGEST_BODY == 16 * 2**20


async def test_a_long_response_yields_to_other_tasks(way: str) -> None:
    """Few bytes that unpack to many are decoded in pieces, with turns of other tasks in between."""
    packed = http_response(
        gzip.compress(bytes(2 * LARGEST_BODY)), headers={"Content-Encoding": "gzip"}
    )
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += bool(server.requests)

    async with RawServer(packed) as server, client(server.url, retry=None, timeout=60) as pay:
        waiting = asyncio.create_task(others())
        with pytest.raises(DecodeError, match="longer than"):
            await pay.prices.list()
        waiting.cancel()
    assert turns >= LARGEST_BODY // 2**18


async def test_a_flood_of_informational_responses_is_no_response() -> None:
    """Beyond a bound they are not read: the attempt fails, and its connection is closed."""

    async def flood(_: Recorded, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
            await writer.drain()

    async with RawServer(flood) as server, client(server.url, retry=None) as pay:
        with pytest.raises(ConnectionFailedError) as caught:
            await invoice(pay)
        assert states(caught.value) == ["the response was not HTTP"]
        assert caught.value.sent == "unknown"
        server.script[:] = [http_response(INVOICE)]
        await invoice(pay)
    assert server.accepted == 2


@pytest.mark.parametrize("header", ["evil\r\nx-api-key: other", "null\x00"])
async def test_middleware_cannot_break_a_header_line(header: str) -> None:
    """Headers changed by a middleware go through aiohttp, which refuses line breaks."""

    async def injecting(request: Request, send: Next) -> Response:
        return await send(attrs.evolve(request, headers={**request.headers, "X-Note": header}))

    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, middleware=[injecting], retry=None) as pay,
    ):
        with pytest.raises(ConnectionFailedError):
            await invoice(pay)
    assert not server.requests


@pytest.mark.parametrize("path", ["/api/v1/x y", "/api/v1/x\r\nx-api-key: other", "/api/v1/ü"])
async def test_middleware_cannot_break_the_request_line(path: str) -> None:
    """A path changed by a middleware goes through aiohttp, and never splits the request."""

    async def bending(request: Request, send: Next) -> Response:
        return await send(attrs.evolve(request, path=path))

    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, middleware=[bending], retry=None) as pay,
    ):
        with suppress(ConnectionFailedError):
            await invoice(pay)
    assert all(
        len(request.target.split()) == 1 and request.headers.get("x-api-key") != "other"
        for request in server.requests
    )


async def test_a_base_url_with_a_path(way: str) -> None:
    """A prefix of the base URL precedes the path, on both paths."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(f"{server.url}/gateway/api/v1") as pay,
    ):
        await invoice(pay)
    assert server.requests[0].target == "/gateway/api/v1/businesses/biz_123/invoices"


async def test_concurrent_calls_get_their_own_responses(way: str) -> None:
    """Each of many concurrent calls gets the response to its own request."""

    async def echo(request: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(http_response({**INVOICE, "id": request.target.rpartition("/")[2]}))

    async with (
        RawServer(echo) as server,
        client(server.url, max_connections=7, rate_limit=RateLimit(100_000)) as pay,
    ):
        ids = [f"inv_{n}" for n in range(300)]
        assert [
            found.id for found in await asyncio.gather(*(pay.invoices.get(id_) for id_ in ids))
        ] == ids
    assert server.accepted <= 7


async def test_a_cancelled_call_closes_its_connection(way: str) -> None:
    """The response to a cancelled call is not read by the next one."""
    received = asyncio.Event()

    async def slow(_: Recorded, writer: asyncio.StreamWriter) -> None:
        received.set()
        await asyncio.sleep(0)
        writer.write(http_response({**INVOICE, "id": "inv_late"})[:40])

    async with (
        RawServer(slow, http_response({**INVOICE, "id": "inv_next"})) as server,
        client(server.url, max_connections=1) as pay,
    ):
        call: asyncio.Task[Any] = asyncio.create_task(invoice(pay))
        await received.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await invoice(pay)).id == "inv_next"


async def test_the_fast_path_conceals_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes of a request, which hold the key, are in no repr."""
    assert "pk_secret" not in repr(
        fast_path.message("GET", "/", "x-api-key: pk_secret\r\n", None, None)
    )
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, api_key="pk_secret") as pay,
    ):
        await invoice(pay)
        sender: Any = pay._caller.transport._wiring.sender  # type: ignore[union-attr]
        assert sender._header_lines
        assert "pk_secret" not in repr(vars(sender))
