"""No id, and no path of a plain request, becomes another path."""

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
from paychainhq.gateway.operations import OPERATIONS as GATEWAY
from paychainhq.operations import OPERATIONS, Operation
from tests.calls import CALLS, call, client, documented_answer, refused
from tests.faces import PayChainHQ
from tests.gateway.samples import BY_NAME, sample_call
from tests.gateway.samples import client as gateway_client
from tests.security.conftest import Way
from tests.security.test_header_injection import BREAKS
from tests.support import RawServer, answer, often

# What a server might take for more than one segment of a path, or for the end of it.
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
    """Give a server that answers an operation as documented, and what calls it with some arguments
    changed.
    """
    name = operation.name
    if operation in GATEWAY.values():
        async with (
            RawServer(answer(BY_NAME[name].answer)) as server,
            gateway_client(server.url) as gateway,
        ):
            yield server, lambda **changes: sample_call(gateway, name, **changes)
    else:
        async with RawServer(documented_answer(name)) as server, client(server) as pay:
            yield server, lambda **changes: call(pay, name, {**CALLS[name], **changes})


@each_face
@each_place
async def test_bad_id(operation: Operation[Any], place: str) -> None:
    """Wherever a path holds an id, none is taken that could change the path; there is not even a
    connection.
    """
    no_text = (
        [7, b"inv_123"] if place == "business_id" else [7, b"inv_123", None]
    )  # without one, it is the client's
    async with calling(operation) as (server, make_call):
        for bad in [*BAD_IDS, *no_text]:
            with pytest.raises(InvalidArgumentError, match=place) as caught:
                await make_call(**{place: bad})
            assert caught.value.argument == place
    assert server.accepted == 0


@each_face
@each_place
async def test_odd_id(operation: Operation[Any], place: str) -> None:
    """What is odd and harmless arrives as the one segment that it is, in exactly the request line
    of the operation.
    """
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
def test_bad_business_of_the_client(bad: str) -> None:
    """A business id that could change a path is refused by the constructor already."""
    with pytest.raises(InvalidArgumentError, match="business_id"):
        PayChainHQ(business_id=bad)


@each_face
async def test_no_business_id() -> None:
    """Where a path needs a business id and neither the call nor the client has one, the error says
    where to give it.
    """
    error = await refused(
        lambda pay: pay.with_options(business_id=None).balances.list(), "business_id"
    )
    assert "pass business_id=... to it or to PayChainHQ" in str(error)


@each_face
@settings(max_examples=often(150), deadline=None)
@given(st.text(max_size=40) | st.text("./%\\?#;2eEfF5cC\n \u00e9", max_size=12))
@example("..")
@example("%2e%2e")
@example("café")
@example("a:b@c+d")
@example("..:x")
async def test_any_text_as_an_id(text: str) -> None:
    """Whatever text is given as an id is refused, or arrives as exactly one segment of the path
    that decodes to it.
    """
    async with RawServer(documented_answer("prices.get")) as server, client(server) as pay:
        try:
            await pay.prices.get(text)
        except InvalidArgumentError:
            assert server.requests == []
            assert (
                re.search(r"[^A-Za-z0-9_-]", text) or text == ""
            )  # what is plain is never refused
            return
    (request,) = server.requests
    prefix, segment = request.target.rsplit("/", 1)
    assert prefix == "/api/v1/prices"
    assert unquote(segment) == text
    assert re.fullmatch(r"[A-Za-z0-9_.~%-]+", segment)
    assert segment not in (".", "..")


# --- plain requests: more of their paths is in tests/test_plain_request.py ---

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
    async with RawServer(answer({})) as server, way.client(server.url) as pay:
        for path in paths:
            await meet(pay.request("GET", path))
    return server


async def test_a_path_that_leads_elsewhere(way: Way) -> None:
    """Whichever way requests go, such a path is refused before there is a connection."""

    async def meet(request: Awaitable[Any]) -> None:
        with pytest.raises(InvalidArgumentError, match="path"):
            await request

    assert (
        await each_path(way, [bad for kind in BAD_PATHS.values() for bad in kind], meet)
    ).accepted == 0


async def test_a_path_that_stays_as_it_is(way: Way) -> None:
    """Whichever way requests go, what is taken stands in the request line letter for letter."""

    async def meet(request: Awaitable[Any]) -> None:
        await request

    server = await each_path(way, GOOD_PATHS, meet)
    assert [request.target for request in server.requests] == GOOD_PATHS
