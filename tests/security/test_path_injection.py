"""Path injection: no id, and no path of a plain request, becomes another path."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paychainhq import InvalidArgumentError
from paychainhq._core.operation import Operation
from paychainhq.gateway.operations import OPERATIONS as GATEWAY
from paychainhq.operations import OPERATIONS
from tests.gateway.samples import BY_NAME, sample_call
from tests.gateway.samples import client as gateway_client
from tests.security.conftest import Way
from tests.security.test_header_injection import BREAKS
from tests.support.calls import CALLS, authorized, call, documented_response, refused
from tests.support.faces import PayChainHQ
from tests.support.often import often
from tests.support.raw_server import RawServer, http_response

# Texts that a server might read as several path segments, or as the end of the path.
HOSTILE = {
    "dots": [".", "..", "...", "../admin", "a/../b", "..\\admin", "..;/x", "..;x=y"],
    "signs": ["/", "//evil", "a/b", "a\\b", "\\", "a;b", "a?b=c", "?", "a#b", "#", "%"],
    "escapes": [
        "%2e%2e",
        ".%2e",
        "%2e%2e%2f",
        "..%2fadmin",
        "%2F",
        "%5c",
        "%252e%252e",
        "a%00b",
        "a%0d%0ab",
    ],
    "dots alike": ["\uff0e\uff0e", "\u2024\u2024", "\u2025", "\u2025\uff0f"],
    "signs alike": ["a\uff0fb", "a\uff3cb", "a\uff1fb", "a\uff03b", "a\uff1bb", "\uff05", "\u2100"],
    "spaces": ["", " a", "a b", "a\tb", "a\u00a0b", "a\u3000b", "\u2028"],
    "unseen": ["a\x7fb", "a\u200bb", "\u202eb", "\ufeffa", "\ud800"],
    "breaks": BREAKS,
    "length": ["a" * 600],
}
BAD_IDS = [bad for kind in HOSTILE.values() for bad in kind]
ODD_IDS = [
    "a:b@c+d",
    "..a",
    "a..",
    "~",
    "a&b=c,d",
    "'a\"b",
    "<a>",
    "a|b",
    "{a}",
    "$(id)",
    "*",
    "é",
    "世界",
    "x" * 512,
]
EVERY = [*OPERATIONS.values(), *GATEWAY.values()]
PLACES = [(operation, place) for operation in EVERY for place in operation.placeholders]
each_place = pytest.mark.parametrize(
    ("operation", "place"), PLACES, ids=lambda part: part if isinstance(part, str) else part.name
)
each_face = pytest.mark.usefixtures("face")


@asynccontextmanager
async def calling(
    operation: Operation[Any],
) -> AsyncGenerator[tuple[RawServer, Callable[..., Awaitable[Any]]], None]:
    """Yield a server with an operation's documented response, and a caller of the operation.

    The caller takes changes to the sample arguments.
    """
    name = operation.name
    if operation in GATEWAY.values():
        async with (
            RawServer(http_response(BY_NAME[name].response)) as server,
            gateway_client(server.url) as gateway,
        ):
            yield server, lambda **changes: sample_call(gateway, name, **changes)
    else:
        async with RawServer(documented_response(name)) as server, authorized(server) as pay:
            yield server, lambda **changes: call(pay, name, {**CALLS[name], **changes})


@each_face
@each_place
async def test_a_bad_id_is_refused(operation: Operation[Any], place: str) -> None:
    """An id that could change the path is refused before a connection is opened."""
    no_text = (
        [7, b"inv_123"] if place == "business_id" else [7, b"inv_123", None]
    )  # None selects the client's business id
    async with calling(operation) as (server, make_call):
        for bad in [*BAD_IDS, *no_text]:
            with pytest.raises(InvalidArgumentError, match=place) as caught:
                await make_call(**{place: bad})
            assert caught.value.argument == place
    assert server.accepted == 0


@each_face
@each_place
async def test_an_odd_id_is_one_segment(operation: Operation[Any], place: str) -> None:
    """An unusual but harmless id arrives as one segment of the operation's path."""
    usual = (
        BY_NAME[operation.name].arguments
        if operation in GATEWAY.values()
        else CALLS[operation.name]
    )
    async with calling(operation) as (server, make_call):
        for odd in ODD_IDS:
            await make_call(**{place: odd})
            given = {"business_id": "biz_123", **usual, place: odd}
            line = operation.path.format(
                **{name: quote(given[name], safe="") for name in operation.placeholders}
            )
            assert (server.requests[-1].method, server.requests[-1].target.partition("?")[0]) == (
                operation.method,
                line,
            )
    assert len(server.requests) == len(ODD_IDS)


@each_face
@pytest.mark.parametrize("bad", BAD_IDS, ids=lambda bad: ascii(bad)[:30])
def test_a_bad_business_id_of_the_client_is_refused(bad: str) -> None:
    """The constructor refuses a business id that could change a path."""
    with pytest.raises(InvalidArgumentError, match="business_id"):
        PayChainHQ(business_id=bad)


@each_face
async def test_a_missing_business_id_is_refused() -> None:
    """The error of a call without a business id names both places to pass one."""
    error = await refused(
        lambda pay: pay.with_options(business_id=None).balances.list(), "business_id"
    )
    assert "pass it to the method, or business_id=... to the client" in str(error)


@each_face
@settings(max_examples=often(150), deadline=None)
@given(st.text(max_size=40) | st.text("./%\\?#;2eEfF5cC\n \u00e9", max_size=12))
@example("..")
@example("%2e%2e")
@example("café")
@example("a:b@c+d")
@example("..:x")
async def test_any_text_as_an_id(text: str) -> None:
    """Any text is refused as an id, or arrives as exactly one segment that decodes to it."""
    async with RawServer(documented_response("prices.get")) as server, authorized(server) as pay:
        try:
            await pay.prices.get(text)
        except InvalidArgumentError:
            assert server.requests == []
            assert re.search(r"[^A-Za-z0-9_-]", text) or text == ""  # plain text is never refused
            return
    (request,) = server.requests
    prefix, segment = request.target.rsplit("/", 1)
    assert prefix == "/api/v1/prices"
    assert unquote(segment) == text
    assert re.fullmatch(r"[A-Za-z0-9_.~%-]+", segment)
    assert segment not in (".", "..")


# --- plain requests; see also tests/core/test_plain_json.py ---

BAD_PATHS = {
    "dots": [
        "/api/../x",
        "/api/v1/%2e%2e/%2e%2e/x",
        "/api/v1/%252e%252e/x",
        "/api/v1/..%5c..%5cx",
        "/api/..;/x",
        "/api/%2e%2e;a/x",
    ],
    "signs": [
        "/api/v1/x?a=b",
        "/api/v1/x%3fa",
        "/api/v1/x#a",
        "/api/v1/%23",
        "/api/v1/%2fx",
        "/api/v1/%5c%5cevil",
    ],
    "alike": [
        "/api/v1/%ef%bc%8e%ef%bc%8e/x",
        "/api/v1/%e2%80%a5/x",
        "/api/v1/%e2%80%a4%e2%80%a4/x",
        "/api/v1/a%ef%bc%bcb",
    ],
    "no text": ["/api/v1/x%20y", "/api/v1/x%00", "/api/v1/%ff/x", "/api/v1/%c0%ae%c0%ae/x"],
    "elsewhere": ["http://evil.test/api/x", "//evil.test/api/x", "*", "/"],
    "breaks": [f"/api/v1/{text}" for text in [*BREAKS, "x HTTP/1.1\r\nX-Evil: 1\r\n\r\n"]],
}
GOOD_PATHS = [
    "/api/v1/x",
    "/api/v1/a:b@c",
    "/api/v1/%C3%A9",
    "/api/v1/x/",
    "/api//x",
    "/api/v1/a..b",
    "/api/v1/a%2Bb",
]


async def each_path(
    way: Way, paths: list[str], meet: Callable[[Awaitable[Any]], Awaitable[None]]
) -> RawServer:
    async with RawServer(http_response({})) as server, way.client(server.url) as pay:
        for path in paths:
            await meet(pay.request("GET", path))
    return server


async def test_a_path_that_leads_elsewhere(way: Way) -> None:
    """Each way refuses such a path before a connection is opened."""

    async def meet(request: Awaitable[Any]) -> None:
        with pytest.raises(InvalidArgumentError, match="path"):
            await request

    assert (
        await each_path(way, [bad for kind in BAD_PATHS.values() for bad in kind], meet)
    ).accepted == 0


async def test_a_path_that_stays_as_it_is(way: Way) -> None:
    """Each way sends an accepted path letter for letter in the request line."""

    async def meet(request: Awaitable[Any]) -> None:
        await request

    server = await each_path(way, GOOD_PATHS, meet)
    assert [request.target for request in server.requests] == GOOD_PATHS
