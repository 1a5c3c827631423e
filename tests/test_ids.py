"""Ids and idempotency keys cannot bend a path or a header."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paychainhq import InvalidArgumentError
from paychainhq.operations import OPERATIONS
from tests.calls import KEYED, client, documented_answer, refused, refused_fields
from tests.faces import PayChainHQ
from tests.support import RawServer

pytestmark = pytest.mark.usefixtures("face")

BAD_IDS = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/",
    "%2e%2e",
    "%2F",
    "a\nb",
    "a\r\nX-Api-Key: stolen",
    "a\x00",
    "a?b",
    "a#b",
    "a\\b",
    "a;b",
    "a b",
    " a",
    "\u2028",
    "\ud800",
    "a" * 600,
    None,
    7,
    b"inv_123",
]
PLACES = [(name, place) for name, operation in OPERATIONS.items() for place in operation.placeholders]


@pytest.mark.parametrize("bad", BAD_IDS, ids=ascii)
async def test_bad_id(bad: Any) -> None:
    """An id that is empty, or that could change the path of the request, is refused wherever a path holds one."""
    for name, place in PLACES:
        if bad is None and place == "business_id":
            continue  # then it is the client's
        await refused_fields(name, {place: bad}, place)


@pytest.mark.parametrize("bad", BAD_IDS[:-3], ids=ascii)
def test_bad_business_of_the_client(bad: str) -> None:
    """A business id that could change a path is refused by the constructor already."""
    with pytest.raises(InvalidArgumentError, match="business_id"):
        PayChainHQ(business_id=bad)


async def test_no_business_id() -> None:
    """Where a path needs a business id and neither the call nor the client has one, the error says where to give it."""
    error = await refused(lambda pay: pay.with_options(business_id=None).balances.list(), "business_id")
    assert "pass business_id=... to it or to PayChainHQ" in str(error)


@pytest.mark.parametrize("key", ["", "a\nb", "a\r\nX: y", "a b", " a", "schlüssel", "a" * 300, 7, b"a"], ids=ascii)
async def test_bad_idempotency_key(key: Any) -> None:
    """A key that a header line cannot hold, or that is longer than 255 characters, is refused wherever a key is taken."""
    for name in KEYED:
        await refused_fields(name, {"idempotency_key": key}, "idempotency_key")
    await refused(lambda pay: pay.request("POST", "/api/v1/x", idempotency_key=key), "idempotency_key")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40) | st.text("./%\\?#;2eEfF5cC\n \u00e9", max_size=12))
@example("..")
@example("%2e%2e")
@example("café")
@example("a:b@c+d")
@example("..:x")
async def test_any_text_as_an_id(text: str) -> None:
    """Whatever text is given as an id is refused, or arrives as exactly one segment of the path that decodes to it."""
    async with RawServer(documented_answer("prices.get")) as server, client(server) as pay:
        try:
            await pay.prices.get(text)
        except InvalidArgumentError:
            assert server.requests == []
            assert re.search(r"[^A-Za-z0-9_-]", text) or text == ""  # what is plain is never refused
            return
    (request,) = server.requests
    prefix, segment = request.target.rsplit("/", 1)
    assert prefix == "/api/v1/prices"
    assert unquote(segment) == text
    assert re.fullmatch(r"[A-Za-z0-9_.~%-]+", segment)
    assert segment not in (".", "..")
