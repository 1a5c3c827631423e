"""Headers that middleware adds: on the fast path, and none that belongs to the client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from paychainhq import ConfigurationError, DashboardSession, Next, Request, Response
from paychainhq._http import fast_path
from tests.gateway.samples import client as gateway_client
from tests.support.client import KEY, PRICES, client
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, Recorded, close, http_response

pytestmark = pytest.mark.usefixtures("face")

TRACE = {"traceparent": "00-e6560d0d95b5226db306268e2ee62c02-f352189e9e1aeb82-01"}


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list with an item for each attempt on the fast path."""
    taken: list[int] = []
    send = fast_path.send

    async def counting(*arguments: Any) -> Any:
        taken.append(1)
        return await send(*arguments)

    monkeypatch.setattr(fast_path, "send", counting)
    return taken


def adding(headers: Mapping[str, str]) -> Any:
    async def add(request: Request, send: Next) -> Response:
        return await send(request.with_headers(headers))

    return add


async def received(headers: Mapping[str, str], **settings: Any) -> Recorded:
    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, middleware=[adding(headers)], **settings) as pay,
    ):
        await pay.request("GET", "/api/v1/x")
    return server.requests[0]


async def test_an_added_header_takes_the_fast_path(fast: list[int]) -> None:
    """The request has the header besides all others."""
    request = await received({**TRACE, "X-Tenant": "a b"})
    assert fast == [1]
    assert request.headers.items() >= {**TRACE, "x-tenant": "a b", "x-api-key": KEY}.items()
    assert request.headers["user-agent"].startswith("paychainhq-python/")


@pytest.mark.parametrize(
    "headers",
    [
        {"user-agent": "mine"},
        {"ACCEPT": "mine"},
        {"accept-encoding": "mine"},
        {"Trace": "other", "trace": "mine"},
        {"x-text": "schl\u00fcssel"},
    ],
)
async def test_a_replaced_header_takes_the_session_path(
    headers: dict[str, str], fast: list[int]
) -> None:
    """A header of another case replaces the usual one: the request has one of each name."""
    request = await received(headers)
    assert fast == []
    for name, value in list(headers.items())[-1:]:
        sent = request.headers[name.lower()]
        assert sent == (value if value.isascii() else value.encode().decode("latin-1"))


NAMES = ["X-API-Key", "x-api-key", "Host", "Content-Length", "transfer-ENCODING", "Connection"]


@pytest.mark.parametrize("name", [*NAMES, "Idempotency-Key", "Upgrade", "te", "Expect"])
@pytest.mark.parametrize("where", ["middleware", "attempt_middleware"])
async def test_a_header_of_the_client_is_refused(name: str, where: str) -> None:
    """Nothing is sent, and the error names the header."""
    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, **{where: [adding({name: "x"})]}) as pay,
    ):
        with pytest.raises(ConfigurationError, match=f"not set the header {name}") as error:
            await pay.prices.list()
    assert server.requests == []
    assert (error.value.sent, error.value.operation) == ("no", "prices.list")


async def test_the_headers_of_each_credential_are_refused() -> None:
    """The names of a dashboard session and of a token are refused where they are sent."""
    session = DashboardSession({"X-Session": "secret"})
    async with RawServer(http_response([])) as server:
        async with PayChainHQ(
            dashboard=session,
            business_id="biz_1",
            base_url=server.url,
            middleware=[adding({"x-session": "mine"})],
        ) as pay:
            with pytest.raises(ConfigurationError, match="x-session"):
                await pay.api_keys.list()
            await pay.request("GET", "/api/v1/networks", auth=None)
        async with gateway_client(
            server.url, middleware=[adding({"authorization": "mine"})]
        ) as gateway:
            with pytest.raises(ConfigurationError, match="authorization"):
                await gateway.applications.list()
    assert [request.headers["x-session"] for request in server.requests] == ["mine"]


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\x00b"])
async def test_a_line_break_is_refused(value: str, fast: list[int]) -> None:
    """The session path, which checks values, gets it, and sends nothing."""
    with pytest.raises(Exception, match=r".") as error:
        await received({"x-text": value}, retry=None)
    assert type(error.value).__name__ == "ConnectionFailedError"
    assert fast == []


async def test_attempt_middleware_runs_for_each_attempt() -> None:
    """Attempt middleware runs once an attempt, and other middleware once a call."""
    calls: list[str] = []

    def noting(name: str) -> Any:
        async def note(request: Request, send: Next) -> Response:
            calls.append(f"{name} {len(request.attempts)} {request.origin}")
            return await send(request)

        return note

    async def evolving(request: Request, send: Next) -> Response:
        return await send(attrs.evolve(request, headers={**request.headers, **TRACE}))

    async with (
        RawServer(http_response(b"", 503), close, http_response(PRICES)) as server,
        client(
            server.url,
            middleware=[noting("call")],
            attempt_middleware=[noting("attempt"), evolving],
        ) as pay,
    ):
        await pay.prices.list()
    url = server.url
    assert calls == [f"call 0 {url}", *(f"attempt {number} {url}" for number in range(3))]
    assert [request.headers["traceparent"] for request in server.requests] == [
        TRACE["traceparent"]
    ] * 3


def test_attempt_middleware_of_another_kind() -> None:
    """Its setting is checked like that of the other middleware."""
    with pytest.raises(ConfigurationError, match="attempt_middleware must be a sequence"):
        client("http://127.0.0.1:1", attempt_middleware="no")
