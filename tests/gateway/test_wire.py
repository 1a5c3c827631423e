"""Requests and responses of the gateway on the wire, as documented."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from aiohttp import ClientSession

from paychainhq import __version__
from paychainhq.codec import to_json
from paychainhq.gateway.operations import OPERATIONS
from tests.gateway.samples import (
    BY_NAME,
    CHECKOUT,
    CLIENT_ID,
    CLIENT_TOKEN,
    OAUTH_TOKEN,
    SAMPLES,
    Sample,
    client,
    sample_call,
)
from tests.support.faces import Gateway
from tests.support.raw_server import RawServer, Recorded, http_response

pytestmark = pytest.mark.usefixtures("face")
each_operation = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


async def exchange(sample: Sample, status: int = 200, **changes: Any) -> tuple[Recorded, Any]:
    """Make the documented call against a server with the documented response."""
    async with (
        RawServer(http_response(sample.response, status)) as server,
        client(server.url) as gateway,
    ):
        result = await sample_call(gateway, sample.name, **changes)
    (request,) = server.requests
    return request, result


@pytest.mark.async_only("it makes no client")
def test_every_operation_has_a_sample() -> None:
    """A sample exists for each operation, and each names its page."""
    assert list(OPERATIONS) == list(BY_NAME)
    assert all(operation.source for operation in OPERATIONS.values())


@each_operation
async def test_a_documented_call(sample: Sample) -> None:
    """Method, path, body and headers are the documented ones, with the operation's token."""
    request, result = await exchange(sample)
    assert f"{request.method} {request.target}" == sample.line
    assert request.json == sample.body
    of_http = {"host", "accept-encoding", "connection", "content-length"}
    assert {name: value for name, value in request.headers.items() if name not in of_http} == {
        "authorization": f"Bearer {sample.token}",
        "content-type": "application/json",
        "accept": "application/json",
        "user-agent": f"paychainhq-python/{__version__}",
    }
    assert isinstance(result, sample.type)


@each_operation
async def test_a_documented_response(sample: Sample) -> None:
    """The result has the whole content of `data`, and the response's metadata.

    Undocumented responses are returned as plain JSON.
    """
    _, result = await exchange(sample)
    untyped = sample.type is dict
    whole = untyped or sample.name == "applications.list"
    assert to_json(result) == (sample.response if whole else sample.response["data"])
    if not untyped:
        assert (result.response.status, result.response.idempotency_key) == (200, None)


@each_operation
async def test_any_2xx_is_a_success(sample: Sample) -> None:
    """The pages do not document 200 or 201."""
    _, result = await exchange(sample, status=201)
    assert isinstance(result, sample.type)


@each_operation
async def test_a_base_url_with_a_path(sample: Sample) -> None:
    """A base URL may end with `/api`, after any path."""
    async with RawServer(http_response(sample.response)) as server:
        for base_url, prefix in (
            (f"{server.url}/api/", ""),
            (f"{server.url}/pay", "/pay"),
            (f"{server.url}/pay/api", "/pay"),
        ):
            async with client(base_url) as gateway:
                await sample_call(gateway, sample.name)
            method, path = sample.line.split(" ")
            assert (
                f"{server.requests[-1].method} {server.requests[-1].target}"
                == f"{method} {prefix}{path}"
            )


async def test_documented_arguments_are_complete() -> None:
    """The samples pass each argument of each method, except for alternatives of others."""
    others = {
        "client_id",
        "site_id",
        "bank_name",
        "bank_code",
        "bank_account_number",
        "bank_account_holder",
    }
    async with client("http://127.0.0.1:1") as gateway:
        for sample in SAMPLES:
            resource, method = sample.name.split(".")
            parameters = inspect.signature(getattr(getattr(gateway, resource), method)).parameters
            if "args" not in parameters:  # the parity tests cover the blocking face
                assert set(parameters) - others == set(sample.arguments), sample.name


@pytest.mark.async_only("a session belongs to a loop")
async def test_a_session_of_the_callers() -> None:
    """The headers are the same, each once, as on the fast path."""
    async with (
        RawServer(http_response({"data": CHECKOUT})) as server,
        ClientSession() as session,
        client(server.url, session=session) as gateway,
    ):
        await sample_call(gateway, "payments.create")
    (request,) = server.requests
    named = [request.headers[name] for name in ("authorization", "content-type", "accept")]
    assert named == [f"Bearer {CLIENT_TOKEN}", "application/json", "application/json"]


async def test_omitted_arguments_are_not_sent() -> None:
    """The body has only the required fields, and no null."""
    async with (
        RawServer(http_response({"data": CHECKOUT})) as server,
        client(server.url) as gateway,
    ):
        await gateway.payments.create(1, "EUR", "r", "l")
    assert server.requests[0].body == (
        b'{"amount":1,"currencyCode":"EUR","reference":"r","referenceLabel":"l","clientId":"'
        + CLIENT_ID.encode()
        + b'"}'
    )
    async with (
        RawServer(http_response(BY_NAME["applications.create"].response)) as server,
        client(server.url) as gateway,
    ):
        await gateway.applications.create("abc", "s")
    assert server.requests[0].json == {"name": "abc", "secret": "s"}


async def test_a_refund_to_a_bank() -> None:
    """The four bank fields are sent together, without an address."""
    bank: dict[str, Any] = {
        "bank_name": "Bank",
        "bank_code": "DEUTDEFF",
        "bank_account_number": "DE89370400440532013000",
        "bank_account_holder": "Jane Doe",
    }
    request, _ = await exchange(BY_NAME["refunds.create"], blockchain_address=None, **bank)
    assert request.json == {
        "paymentId": "550e8400-e29b-41d4-a716-446655440000",
        "bankName": "Bank",
        "bankCode": "DEUTDEFF",
        "bankAccountNumber": "DE89370400440532013000",
        "bankAccountHolder": "Jane Doe",
    }


async def test_the_application_of_a_payment() -> None:
    """The call's application takes precedence over the client's, and so does a site."""
    cases: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({}, {"clientId": CLIENT_ID}),
        ({"client_id": "of the call"}, {"clientId": "of the call"}),
        ({"site_id": "site-uuid"}, {"siteId": "site-uuid"}),
        (
            {"site_id": "site-uuid", "client_id": "of the call"},
            {"siteId": "site-uuid", "clientId": "of the call"},
        ),
    ]
    for changes, sent in cases:
        request, _ = await exchange(BY_NAME["payments.create"], **changes)
        assert {
            name: value for name, value in request.json.items() if name in ("clientId", "siteId")
        } == sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (datetime(2026, 3, 15, 12, 0, tzinfo=UTC), "2026-03-15T12:00:00Z"),
        (
            datetime(2026, 3, 15, 14, 0, 0, 999999, tzinfo=timezone(timedelta(hours=2))),
            "2026-03-15T12:00:00Z",
        ),
        ("2026-03-15T14:00:00+02:00", "2026-03-15T14:00:00+02:00"),
    ],
)
async def test_the_format_of_an_expiry(given: datetime | str, sent: str) -> None:
    """A datetime is sent in UTC in the pages' format; text is sent unchanged."""
    request, _ = await exchange(BY_NAME["payments.create"], expires_at=given)
    assert request.json["expiresAt"] == sent


@pytest.mark.parametrize(
    ("tokens", "operation", "sent"),
    [
        ({"client_token": None}, "payments.create", OAUTH_TOKEN),
        ({"client_token": None}, "payments.get", OAUTH_TOKEN),
        ({"oauth_token": None}, "payments.methods", CLIENT_TOKEN),
        ({"client_token": None, "scopes": []}, "payments.get", OAUTH_TOKEN),
        ({"scopes": ["payments.create"]}, "payments.create", CLIENT_TOKEN),
        ({"scopes": {"*"}}, "payments.instructions", CLIENT_TOKEN),
        ({"scopes": ("payments.user-instructions.get",)}, "payments.instructions", CLIENT_TOKEN),
        ({"scopes": []}, "payments.methods", CLIENT_TOKEN),
        ({"scopes": []}, "applications.list", OAUTH_TOKEN),
    ],
)
async def test_the_choice_of_the_token(tokens: dict[str, Any], operation: str, sent: str) -> None:
    """Payments use the client token, or the OAuth2 token if it is missing.

    `scopes` applies to the client token.
    """
    async with (
        RawServer(http_response(BY_NAME[operation].response)) as server,
        client(server.url, **tokens) as gateway,
    ):
        await sample_call(gateway, operation)
    assert server.requests[0].headers["authorization"] == f"Bearer {sent}"


@pytest.mark.parametrize("token", ["x", "12|" + "y" * 5000, "a b", "Bearer z"])
async def test_tokens_are_opaque(token: str) -> None:
    """Tokens and ids may have any length and format."""
    async with (
        RawServer(http_response({"data": CHECKOUT})) as server,
        Gateway(base_url=server.url, client_token=token) as gateway,
    ):
        await gateway.payments.create(1, "USD", "r", "l", client_id="?")
    assert server.requests[0].headers["authorization"] == f"Bearer {token}"
    assert server.requests[0].json["clientId"] == "?"
