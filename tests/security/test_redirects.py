"""Redirects: a response never determines where a client sends its keys."""

from __future__ import annotations

import pytest

from paychainhq import APIError, DashboardSession
from paychainhq._core.credentials import Auth
from tests.security.conftest import LONG, OWN, SHORT, Way
from tests.support.raw_server import RawServer, http_response

SESSION = DashboardSession({"Cookie": "session=of-the-dashboard"})
KEYS = {"payout_key": "of-payouts", "contract_key": "of-contracts", "dashboard": SESSION}
EACH: list[Auth] = ["api_key", "payout_key", "contract_key", "dashboard"]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
async def test_no_redirect_is_followed(way: Way, status: int) -> None:
    """A redirect to any host, scheme or path is an error after one request."""
    async with RawServer(http_response({"stolen": True})) as other, RawServer(b"") as server:
        here = f"{server.url}/api/v1/prices"
        others = [
            other.url,
            other.url.replace("http:", "https:"),
            other.url.removeprefix("http:"),
            f"{other.url}@127.0.0.1/",
        ]
        places = [
            *others,
            "file:///etc/passwd",
            "data:,x",
            "javascript:0",
            here,
            "/api/v1/prices",
            "prices",
            "?again",
            "",
            "\\\\x",
        ]
        async with way.client(server.url, **KEYS) as pay:
            for number, place in enumerate(places):
                auth, method = EACH[number % len(EACH)], ("GET", "POST", "DELETE")[number % 3]
                server.script[:] = [http_response(b"", status, {"Location": place})]
                with pytest.raises(
                    APIError, match="a redirect, which a client that holds keys does not follow"
                ) as caught:
                    await pay.request(method, "/api/v1/new", auth=auth, idempotency_key="k")
                assert (caught.value.status, len(caught.value.attempts)) == (status, 1)
                assert len(server.requests) == number + 1
                assert server.requests[-1].method == method
    assert other.requests == []
    assert other.accepted == 0


async def test_a_redirect_with_a_body_is_no_result(way: Way) -> None:
    """The body of a redirect is no result, and `Refresh` and `Link` are ignored."""
    async with RawServer(http_response({"stolen": True})) as other:
        leading = {
            "Location": other.url,
            "Refresh": f"0; url={other.url}",
            "Link": f"<{other.url}>; rel=next",
        }
        script = [http_response({"id": 1}, 302, leading), http_response({"id": 2}, 200, leading)]
        async with RawServer(*script) as server, way.client(server.url) as pay:
            with pytest.raises(APIError):
                await pay.request("GET", "/api/v1/new")
            assert await pay.request("GET", "/api/v1/new") == {"id": 2}
    assert other.accepted == 0


@pytest.mark.parametrize("way", [SHORT, LONG], indirect=True)
async def test_a_cookie_that_a_server_sets_is_not_sent(way: Way) -> None:
    """The package's sessions keep no cookies, so none mixes with a dashboard session's."""
    planting = http_response({}, headers={"Set-Cookie": "session=planted; Path=/"})
    kinds: list[Auth | None] = [None, "dashboard", None]
    async with RawServer(planting) as server, way.client(server.url, **KEYS) as pay:
        for auth in kinds:
            await pay.request("GET", "/api/v1/new", auth=auth)
    assert [request.headers.get("cookie") for request in server.requests] == [
        None,
        "session=of-the-dashboard",
        None,
    ]


@pytest.mark.parametrize("way", [OWN], indirect=True)
async def test_control_a_followed_redirect_is_noticed(way: Way) -> None:
    """A client that follows redirects reaches the other server, which records the connection."""
    async with (
        RawServer(http_response({"stolen": True})) as other,
        RawServer(http_response(b"", 302, {"Location": ""})) as server,
    ):
        server.script[:] = [http_response(b"", 302, {"Location": other.url})]
        async with way.client(server.url) as pay:
            session = pay._caller.transport.connection.session
            assert session is not None
            async with session.get(server.url, headers={"x-api-key": "leaving"}) as response:
                assert await response.json() == {"stolen": True}
    assert other.accepted == 1
