"""Plain requests: `pay.request` reaches operations without a model, and nothing outside the API."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.calls import HUGE, authorized, refused, short
from tests.support.raw_server import RawServer, http_response

pytestmark = pytest.mark.usefixtures("face")


BAD_PATHS: list[Any] = [
    "/api/../x",
    "/api/v1/..",
    "/api/./x",
    "/api/%2e%2e/x",
    "/api/%2E%2e/x",
    "/api/.%2e/x",
    "/api/%252e%252e/x",
    "/api/%252e%252e%252fx",
    "/api/..%2fx",
    "/api/..;/x",
    "/api/..;a=b/x",
    "/api/\\..\\x",
    "/api/%5c..%5cx",
    "https://evil.test/api/",
    "//evil.test/api/",
    "@evil.test/api/",
    "api/v1",
    "/apix",
    "/api",
    "/API/v1",
    "/",
    "",
    "/api/v1/a b",
    "/api/v1/a\tb",
    "/api/v1/a\nb",
    "/api/v1/a\r\nX-Api-Key: stolen",
    "/api/v1/a%0d%0ab",
    "/api/v1/a\x00",
    "/api/v1/a?b=c",
    "/api/v1/a%3fb=c",
    "/api/v1/a#b",
    "/api/v1/ä",
    "/api/v1/\ud800",
    None,
    b"/api/v1/x",
]


@pytest.mark.parametrize("path", BAD_PATHS, ids=ascii)
async def test_bad_path_of_a_plain_request(path: Any) -> None:
    """A path outside `/api/`, on another host, or not plain, is refused without a credential."""
    await refused(lambda pay: pay.request("GET", path), "path")


BAD_ARGUMENTS: list[tuple[str, Any]] = [
    ("method", "get"),
    ("method", "TRACE"),
    ("method", "GET /x HTTP/1.1\r\n"),
    ("method", ""),
    ("method", None),
    ("auth", "standard"),
    ("auth", ""),
    ("auth", "the_key_itself"),
    ("body", {"amount": float("nan")}),
    ("body", {"amount": Decimal(1)}),
    ("body", {"half": "\ud83d"}),
    ("body", b"{}"),
    ("body", {1, 2}),
    ("query", {"amount": 1.5}),
    ("query", {"amount": Decimal(1)}),
    ("query", {"status": None}),
    ("query", {"status": ["a", "b"]}),
    ("query", {"half": "\ud83d"}),
    ("query", {1: "a"}),
    ("query", "a=b"),
    ("query", {"n": HUGE}),
]


@pytest.mark.parametrize(("argument", "value"), BAD_ARGUMENTS, ids=short)
async def test_bad_argument_of_a_plain_request(argument: str, value: Any) -> None:
    """The other arguments of a plain request are checked too."""
    arguments = {"method": "POST", "path": "/api/v1/x", argument: value}
    await refused(lambda pay: pay.request(**arguments), argument)


async def test_key_in_the_wrong_place() -> None:
    """A key that is passed as `auth` by mistake is not in the error."""
    mistaken: Any = "pk_live_123"
    error = await refused(lambda pay: pay.request("GET", "/api/v1/x", auth=mistaken), "auth")
    assert mistaken not in str(error)


async def test_query_of_a_plain_request() -> None:
    """The query of a plain request is escaped, with booleans as in JSON."""
    async with RawServer(http_response({"any": 1})) as server, authorized(server) as pay:
        assert await pay.request(
            "GET", "/api/v1/x", query={"a b": "c&d=é", "n": 1, "all": True}
        ) == {"any": 1}
    assert server.requests[0].target == "/api/v1/x?a%20b=c%26d%3D%C3%A9&n=1&all=true"
