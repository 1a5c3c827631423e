"""Results of `pay.request`: plain JSON, and None for a response without content."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from paychainhq import DecodeError, NotFoundError
from tests.support.client import client, error_body
from tests.support.raw_server import RawServer, http_response

pytestmark = pytest.mark.usefixtures("face")


@pytest.mark.parametrize("body", [b"", b"\n", b" \r\n"], ids=ascii)
@pytest.mark.parametrize("status", [200, 201, 202, 203, 205, 207])
async def test_success_without_content(status: int, body: bytes) -> None:
    """A mutation with an empty response is done: the result is None, and it is not sent again."""
    async with RawServer(http_response(body, status)) as server, client(server.url) as pay:
        assert await pay.request("POST", "/api/v1/new", body={}, idempotency_key="k") is None
        assert await pay.request("GET", "/api/v1/new") is None
    assert len(server.requests) == 2


async def test_no_content() -> None:
    """A 204, with or without a length, has the result None."""
    for head in (
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    ):
        async with RawServer(head) as server, client(server.url) as pay:
            assert await pay.request("DELETE", "/api/v1/new", idempotency_key="k") is None


@pytest.mark.parametrize("body", [b"<p>done</p>", b"{", b"done"])
async def test_success_that_is_no_json(body: bytes) -> None:
    """Content that is no JSON is a `DecodeError` that has it."""
    async with RawServer(http_response(body, 202)) as server, client(server.url) as pay:
        with pytest.raises(DecodeError) as caught:
            await pay.request("POST", "/api/v1/new", body={}, idempotency_key="k")
    assert (caught.value.body, caught.value.status, caught.value.sent) == (body, 202, "yes")


PLAIN: list[Any] = [
    {"fee": 0.1, "rate": 1e-7, "total": 500.25, "n": -0.0, "list": [1.5, [2.5]]},
    {"big": 10**20 + 7, "rate": 0.5, "lower": [-(2**63) - 1]},
    [1, 2.5, "x", None, True],
    0.1,
    10**30,
    "text",
    None,
]


@pytest.mark.parametrize("data", PLAIN, ids=ascii)
async def test_result_is_plain(data: Any) -> None:
    """Numbers are Python's own ints and floats, which other programs can encode."""
    async with (
        RawServer(http_response(json.dumps(data).encode())) as server,
        client(server.url) as pay,
    ):
        result = await pay.request("GET", "/api/v1/new")
    assert result == data
    assert _classes(result) == _classes(data)
    assert json.loads(json.dumps(result)) == data
    if "big" not in str(data) and data != 10**30:  # orjson writes 64 bits at most
        assert orjson.loads(orjson.dumps(result)) == data


async def test_fraction_that_no_float_holds() -> None:
    """A number with more digits than a float has is the nearest float."""
    async with (
        RawServer(http_response(b'{"amount": 500.123456789012345678}')) as server,
        client(server.url) as pay,
    ):
        assert await pay.request("GET", "/api/v1/new") == {"amount": 500.123456789012345678}


async def test_envelope_in_a_success() -> None:
    """An error in a 200 is an error here as well."""
    async with (
        RawServer(http_response(error_body("NOT_FOUND"))) as server,
        client(server.url) as pay,
    ):
        with pytest.raises(NotFoundError):
            await pay.request("GET", "/api/v1/new")


def _classes(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _classes(item) for name, item in value.items()}
    return [_classes(item) for item in value] if isinstance(value, list) else type(value)
