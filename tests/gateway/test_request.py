"""Plain requests: `gateway.request` reaches operations without a model, by the same rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from paychainhq import (
    BadRequestError,
    ConnectionFailedError,
    DecodeError,
    InvalidArgumentError,
    MissingCredentialError,
    PayChainError,
    ServerError,
)
from tests.core.test_plain_json import BAD_ARGUMENTS, BAD_PATHS
from tests.gateway.samples import CLIENT_TOKEN, INVALID, OAUTH_TOKEN, client
from tests.security.leaks import all_forms, all_output, traced
from tests.support.calls import short
from tests.support.client import QUICK
from tests.support.faces import Gateway
from tests.support.raw_server import Behaviour, RawServer, close, http_response

pytestmark = pytest.mark.usefixtures("face")

PATH = "/api/payments"


async def refused(
    make: Callable[[Gateway], Awaitable[Any]], argument: str, **settings: Any
) -> PayChainError:
    """Assert that a request is refused before anything is sent, and return the error."""
    async with RawServer(http_response({})) as server, client(server.url, **settings) as gateway:
        with pytest.raises((InvalidArgumentError, MissingCredentialError)) as caught:
            await make(gateway)
    assert server.accepted == 0
    error = caught.value
    assert isinstance(error, (InvalidArgumentError, MissingCredentialError))
    assert (error.argument, error.sent) == (argument, "no")
    return error


@pytest.mark.parametrize(
    ("auth", "token"),
    [({}, CLIENT_TOKEN), ({"auth": "oauth_token"}, OAUTH_TOKEN), ({"auth": None}, None)],
)
async def test_a_plain_request(auth: Any, token: str | None) -> None:
    """Query and body are JSON, the chosen token goes along, and the whole response is returned."""
    content = {"data": [{"id": 10**30, "amount": {"value": 1.25}}], "meta": {"page": 1}}
    async with RawServer(http_response(content)) as server, client(server.url) as gateway:
        result = await gateway.request(
            "PATCH", PATH, body={"a": [1, None]}, query={"page": 1, "all": True}, **auth
        )
    assert result == content
    (request,) = server.requests
    assert (request.method, request.target) == ("PATCH", f"{PATH}?page=1&all=true")
    assert request.json == {"a": [1, None]}
    assert request.headers.get("authorization") == (token and f"Bearer {token}")
    assert request.headers["accept"] == request.headers["content-type"] == "application/json"
    assert "idempotency-key" not in request.headers


async def test_the_token_of_a_client_with_one() -> None:
    """The OAuth2 token is used if it is the only one, and a client token never in its place."""
    async with (
        RawServer(http_response({})) as server,
        client(server.url, client_token=None, scopes=[]) as gateway,
    ):
        assert await gateway.request("GET", PATH) == {}
    assert server.requests[0].headers["authorization"] == f"Bearer {OAUTH_TOKEN}"
    none = {"client_token": None, "oauth_token": None}
    await refused(lambda gateway: gateway.request("GET", PATH), "client_token", **none)
    error = await refused(
        lambda gateway: gateway.request("GET", PATH, auth="oauth_token"),
        "oauth_token",
        oauth_token=None,
    )
    assert f"GET {PATH} needs an OAuth2 token" in str(error)


@pytest.mark.parametrize("path", BAD_PATHS, ids=ascii)
async def test_a_bad_path(path: Any) -> None:
    """A path outside `/api/`, on another host, or not plain, is refused without a token."""
    await refused(lambda gateway: gateway.request("GET", path), "path")


@pytest.mark.parametrize(("argument", "value"), BAD_ARGUMENTS, ids=short)
async def test_a_bad_argument(argument: str, value: Any) -> None:
    """The other arguments are checked too."""
    arguments = {"method": "POST", "path": "/api/x", argument: value}
    await refused(lambda gateway: gateway.request(**arguments), argument)


@pytest.mark.parametrize("auth", ["api_key", "dashboard", "client_token", "12|a_token", ["x"]])
async def test_a_credential_of_another_client(auth: Any) -> None:
    """The error names those of the gateway, and not the value, which may be a token."""
    error = await refused(lambda gateway: gateway.request("GET", PATH, auth=auth), "auth")
    assert str(error) == 'auth must be "any_token", "oauth_token" or None'


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("failure", [close, http_response(b"", 503)])
async def test_a_mutation_is_sent_once(method: str, failure: Behaviour) -> None:
    """Without an idempotency key, an ambiguous failure is left to the caller."""
    async with RawServer(failure) as server, client(server.url) as gateway:
        with pytest.raises((ConnectionFailedError, ServerError)) as caught:
            await gateway.request(method, PATH)
    assert len(server.requests) == 1
    assert caught.value.sent in ("unknown", "yes")
    with pytest.raises(TypeError, match="idempotency_key"):
        await gateway.request(method, PATH, idempotency_key="k")  # type: ignore[call-arg]


async def test_a_read_is_retried() -> None:
    """Reads have no effect."""
    async with (
        RawServer(close, http_response(b"", 503), http_response([1])) as server,
        client(server.url, retry=QUICK) as gateway,
    ):
        assert await gateway.request("GET", PATH) == [1]
    assert len(server.requests) == 3


async def test_responses() -> None:
    """No content is None; other text is a `DecodeError`; a 422 has its fields."""
    script = [http_response(b"", 204), http_response(b"<html>"), http_response(INVALID, 422)]
    async with RawServer(*script) as server, client(server.url) as gateway:
        assert await gateway.request("DELETE", PATH) is None
        with pytest.raises(DecodeError) as broken:
            await gateway.request("POST", PATH, body={})
        with pytest.raises(BadRequestError) as invalid:
            await gateway.request("POST", PATH, body={})
    assert (broken.value.sent, broken.value.body) == ("yes", b"<html>")
    assert invalid.value.fields["amount"] == ("The amount field is required.",)
    assert invalid.value.to_dict()["operation"] == f"POST {PATH}"


async def test_a_webhook_secret_in_a_body() -> None:
    """The body of a request about an application shows its secret nowhere."""
    secret = "secretDELTA"
    with all_output() as output:
        async with RawServer(close) as server, client(server.url, retry=None) as gateway:
            for path in ("/api/payment-applications", "/api/Payment%2dApplications/1"):
                with pytest.raises(PayChainError) as caught:
                    await gateway.request("PUT", path, body={"secret": secret})
                # The frames of a plain request hold the argument itself, as the caller's do.
                seen = all_forms(caught.value) + repr(vars(caught.value))
                assert secret not in seen
                assert CLIENT_TOKEN not in seen + traced(caught.value)
    assert [request.json for request in server.requests] == [{"secret": secret}] * 2
    assert secret not in "\n".join(output)
