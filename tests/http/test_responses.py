"""Unusual responses: a result or an error of the package, in bounded memory."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from paychainhq import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ConnectionFailedError,
    DecodeError,
    IdempotencyInProgressError,
    IdempotencyKeyMismatchError,
    NotFoundError,
    PayChainError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)
from tests.support.client import INVOICE, KEY, PRICES, client, error_body, info, invoice
from tests.support.json_tools import replaced
from tests.support.raw_server import Behaviour, RawServer, Recorded, http_response

pytestmark = pytest.mark.usefixtures("face")

MIB = 2**20


async def failure(behaviour: Behaviour, **settings: Any) -> Any:
    """Return the error of creating an invoice."""
    async with (
        RawServer(behaviour) as server,
        client(server.url, **{"retry": None, **settings}) as pay,
    ):
        with pytest.raises(PayChainError) as caught:
            await invoice(pay, idempotency_key="order-7")
    assert len(server.requests) == len(caught.value.attempts) == 1
    assert caught.value.idempotency_key == "order-7"
    return caught.value


# --- malformed responses ---


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<html><h1>It works</h1></html>", "is not JSON"),
        (b'{"id": "inv_1', "is not JSON"),
        (b"", "is empty"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"amount": NaN}', "is not JSON"),
    ],
)
async def test_no_json(body: bytes, text: str) -> None:
    """A success that is no JSON is a DecodeError with the body, which counts as sent."""
    error = await failure(http_response(body, headers={"x-request-id": "req_7"}))
    assert isinstance(error, DecodeError)
    assert (error.status, error.request_id, error.sent, error.data) == (200, "req_7", "yes", None)
    assert error.body == body[:65_536]
    assert text in str(error)


@pytest.mark.parametrize("bad", [1.9, True, None, {}, "1_0", "1e3", ""])
async def test_wrong_type_of_an_amount(bad: Any) -> None:
    """A wrong raw amount is a DecodeError with its place and the whole response, unretried."""
    data = replaced(INVOICE, ("amount", "raw"), bad)
    async with RawServer(http_response(data)) as server, client(server.url) as pay:
        with pytest.raises(DecodeError) as caught:
            await invoice(pay)
    assert caught.value.path == "$.amount.raw"
    assert caught.value.data == data
    assert (caught.value.sent, caught.value.status) == ("yes", 200)
    assert caught.value.idempotency_key == server.requests[0].headers["idempotency-key"]
    assert len(server.requests) == 1
    assert INVOICE["id"] not in str(caught.value)


@pytest.mark.parametrize("plain", [False, True])
async def test_error_in_a_success(plain: bool) -> None:
    """An error envelope in a 200 is the error of its code."""
    async with (
        RawServer(http_response(error_body("NOT_FOUND"))) as server,
        client(server.url) as pay,
    ):
        with pytest.raises(NotFoundError) as caught:
            await (pay.request("GET", "/api/v1/new") if plain else pay.invoices.get("inv_1"))
    assert (caught.value.status, caught.value.code, caught.value.sent) == (200, "NOT_FOUND", "yes")


async def test_no_content() -> None:
    """A 204 is None without a model, and a DecodeError where a result was promised."""
    empty = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with RawServer(empty) as server, client(server.url) as pay:
        assert await pay.request("DELETE", "/api/v1/new", idempotency_key="k") is None
    assert isinstance(await failure(empty), DecodeError)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>bad gateway</html>",
        b'{"error": "boom"}',
        b"[1]",
        b'{"error": {}}',
        b'{"error": {"code": 5}}',
    ],
)
async def test_error_without_an_envelope(body: bytes) -> None:
    """A 500 with an unknown body is a ServerError."""
    error = await failure(http_response(body, 500))
    assert isinstance(error, ServerError)
    assert (error.status, error.code) == (500, None)


# --- classes of errors ---


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "VALIDATION_ERROR", BadRequestError),
        (422, "VALIDATION_ERROR", BadRequestError),
        (401, "UNAUTHORIZED", AuthenticationError),
        (403, "FORBIDDEN", PermissionDeniedError),
        (404, "NOT_FOUND", NotFoundError),
        (409, "CONFLICT", ConflictError),
        (409, "IDEMPOTENCY_KEY_MISMATCH", IdempotencyKeyMismatchError),
        (409, "IDEMPOTENCY_REQUEST_IN_PROGRESS", IdempotencyInProgressError),
        (429, "RATE_LIMIT_EXCEEDED", RateLimitError),
        (500, "INTERNAL_ERROR", ServerError),
        (599, "WHATEVER", ServerError),
        (418, "BRAND_NEW_CODE", APIError),
        (400, "BRAND_NEW_CODE", BadRequestError),
    ],
)
async def test_kind_of_error(status: int, code: str, kind: type[APIError]) -> None:
    """Status and code decide the class; an unknown code is kept as it is."""
    body = error_body(code, "because", details=[{"path": ["amount"], "n": 1}], requestId="req_body")
    error = await failure(http_response(body, status))
    assert type(error) is kind
    assert (error.status, error.code, error.message, error.sent) == (status, code, "because", "yes")
    assert error.details == [{"path": ["amount"], "n": 1}]
    assert (error.operation, error.request_id) == ("invoices.create", "req_body")


async def test_request_id_of_the_header() -> None:
    """The header's request id precedes the body's, and is on results too."""
    error = await failure(
        http_response(error_body("X", requestId="req_body"), 400, {"X-Request-ID": "req_header"})
    )
    assert error.request_id == "req_header"
    async with (
        RawServer(http_response(PRICES, headers={"X-Request-Id": "req_1"})) as server,
        client(server.url) as pay,
    ):
        assert info(await pay.prices.list()).request_id == "req_1"


async def test_retry_after_on_the_error() -> None:
    """The error of a 429 has the requested wait."""
    error = await failure(
        http_response(error_body("RATE_LIMIT_EXCEEDED"), 429, {"Retry-After": "12"})
    )
    assert (type(error), error.retry_after) == (RateLimitError, 12)


# --- malicious responses ---


def endless(head: bytes, piece: bytes, written: list[int]) -> Behaviour:
    """Send an endless body in pieces; `written` counts the bytes that the client read."""

    async def behave(_: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        written.append(0)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            written[-1] += len(piece)
            await asyncio.sleep(0)

    return behave


@pytest.mark.parametrize("status", [200, 500])
async def test_endless_body(status: int) -> None:
    """A body without an end is cut off at the bound, with an error."""
    written: list[int] = []
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n\r\n".encode()
    error = await failure(endless(head, b"[" * 65_536, written))
    assert isinstance(error, DecodeError if status == 200 else ServerError)
    assert error.status == status
    assert written[0] < 32 * MIB
    assert isinstance(error, ServerError) or len(error.body or b"") <= 65_536


async def test_bomb() -> None:
    """300 KB that unpack to 300 MB are not unpacked."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join([*(packer.compress(bytes(MIB)) for _ in range(300)), packer.flush()])
    assert len(packed) < 400_000
    tracemalloc.start()
    try:
        error = await failure(http_response(packed, headers={"Content-Encoding": "gzip"}))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, DecodeError)
    assert len(error.body or b"") <= 65_536
    assert peak < 64 * MIB


async def test_compressed_response() -> None:
    """A compressed response is read like any other."""
    packed = gzip.compress(http_response(PRICES).partition(b"\r\n\r\n")[2])
    async with (
        RawServer(http_response(packed, headers={"Content-Encoding": "gzip"})) as server,
        client(server.url) as pay,
    ):
        assert len(await pay.prices.list()) == len(
            PRICES["data"] if isinstance(PRICES, dict) else PRICES
        )
    assert "gzip" in server.requests[0].headers["accept-encoding"]


async def test_compressed_wrongly() -> None:
    """A body with a false `Content-Encoding` counts as a response that was cut short."""
    error = await failure(http_response(b"not gzip at all", headers={"Content-Encoding": "gzip"}))
    assert isinstance(error, ConnectionFailedError)
    assert error.sent == "yes"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect(status: int) -> None:
    """A redirect to another host is an error, and that host gets no request and no key."""
    async with RawServer(http_response(INVOICE)) as elsewhere:
        error = await failure(
            http_response(b"", status, {"Location": elsewhere.url + "/api/v1/invoices"})
        )
    assert isinstance(error, APIError)
    assert "redirect" in str(error)
    assert elsewhere.requests == []
    assert KEY not in str(error)


@pytest.mark.parametrize(
    "make",
    [
        lambda written: endless(
            b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 4000 + b"\r\n", written
        ),
        lambda written: endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 4000, written),
        lambda written: endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", written),
        lambda written: endless(b"", b"SSH-2.0-OpenSSH_9.6\r\n", written),
        lambda written: endless(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"zz\r\n", written
        ),
    ],
    ids=["headers", "a header", "100 continue", "garbage", "bad chunks"],
)
async def test_endless_nonsense(make: Callable[[list[int]], Behaviour]) -> None:
    """Endless data that is not HTTP is an error before the deadline, in bounded memory."""
    written: list[int] = []
    error = await failure(make(written), timeout=3)
    assert isinstance(error, (ConnectionFailedError, RequestTimeoutError, DecodeError))
    assert error.sent in ("unknown", "yes")
    assert written[0] < 32 * MIB
