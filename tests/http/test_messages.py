"""Messages over the wire: those of the documents, for every operation."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from paychainhq import MissingCredentialError, __version__
from paychainhq._core.credentials import Auth
from paychainhq._core.operation import Operation
from paychainhq._core.validators import wire_name
from paychainhq.codec import to_json
from paychainhq.emulator import API_KEY
from paychainhq.operations import OPERATIONS
from tests.support.calls import (
    CALLS,
    DASHBOARD_HEADERS,
    KEYED,
    authorized,
    call,
    documented_response,
)
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, Recorded
from tests.support.samples import BY_NAME, DOCUMENTED, Sample

pytestmark = pytest.mark.usefixtures("face")

# Requests of the six operations from other pages, which show methods, paths, queries and fields,
# but no commands.
SIX = {
    "withdrawals.quote": (
        "GET /api/v1/businesses/biz_123/withdrawals/quote",
        {
            "amount": "500",
            "token": "USDC",
            "chain": "eth",
            "networkId": "base-mainnet",
            "forceSweepAll": "false",
        },
        None,
    ),
    "balances.list": ("GET /api/v1/businesses/biz_123/balances", {}, None),
    "balances.total": ("GET /api/v1/businesses/biz_123/balances/total", {}, None),
    "businesses.invoice_settings": ("GET /api/v1/businesses/biz_123/settings/invoices", {}, None),
    "businesses.update_invoice_settings": (
        "PATCH /api/v1/businesses/biz_123/settings/invoices",
        {},
        {"invoiceUnderpaymentToleranceBps": 50, "invoiceUnderpaymentToleranceMaxUsd": "0.50"},
    ),
    "contract_integrations.list": (
        "GET /api/v1/businesses/biz_123/contract-integrations",
        {},
        None,
    ),
}

each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
each_documented = pytest.mark.parametrize("sample", DOCUMENTED, ids=lambda sample: sample.operation)
each_keyed = pytest.mark.parametrize("name", KEYED)

# Headers that any HTTP client adds.
_OF_HTTP = {"host", "accept", "accept-encoding", "user-agent", "content-length", "connection"}


async def exchange(name: str, arguments: Mapping[str, Any]) -> tuple[Recorded, Any]:
    """Make one call with the documented response; return the request and the result."""
    async with RawServer(documented_response(name)) as server, authorized(server) as pay:
        result = await call(pay, name, arguments)
    (request,) = server.requests
    return request, result


def query_of(request: Recorded) -> dict[str, str]:
    return (
        dict(parse_qsl(urlsplit(request.target).query, strict_parsing=True))
        if "?" in request.target
        else {}
    )


def headers_of(request: Recorded) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name not in _OF_HTTP}


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def required_arguments(operation: Operation[Any]) -> dict[str, Any]:
    """Return the documented arguments that are required."""
    required = {
        name
        for fields in (operation.body, operation.query)
        for name, field in fields.items()
        if field.required
    }
    kept = {
        name: value
        for name, value in CALLS[operation.name].items()
        if name in required | set(operation.placeholders)
    }
    return (
        {**kept, "destination_policy": "any"}
        if operation.name == "api_keys.create_payout"
        else kept
    )


@each_documented
async def test_documented_command(sample: Sample) -> None:
    """The request equals the documented cURL command: method, path, query, body, headers."""
    key = {"idempotency_key": "example-request-001"} if "Idempotency-Key" in sample.headers else {}
    request, _ = await exchange(sample.operation, {**CALLS[sample.operation], **key})
    assert (request.method, urlsplit(request.target).path) == (sample.method, sample.path)
    assert query_of(request) == sample.query
    assert request.json == sample.body
    session = DASHBOARD_HEADERS if OPERATIONS[sample.operation].auth == "dashboard" else {}
    assert headers_of(request) == lower({**sample.headers, **session})
    assert request.headers["user-agent"] == f"paychainhq-python/{__version__}"


@pytest.mark.parametrize("name", SIX)
async def test_operation_of_another_page(name: str) -> None:
    """Each of the six operations of other public pages sends the request of its page."""
    line, query, body = SIX[name]
    request, _ = await exchange(name, CALLS[name])
    assert f"{request.method} {urlsplit(request.target).path}" == line
    assert query_of(request) == query
    assert request.json == body
    keyed = name == "businesses.update_invoice_settings"
    assert headers_of(request).keys() == {"content-type", "x-api-key"} | (
        {"idempotency-key"} if keyed else set()
    )
    assert request.headers["x-api-key"] == API_KEY


@pytest.mark.async_only("makes no client")
def test_every_operation_is_accounted_for() -> None:
    """The operations are the documents' thirty and six of other pages, and all are called here."""
    assert len(DOCUMENTED) == 30
    assert set(OPERATIONS) == {sample.operation for sample in DOCUMENTED} | set(SIX) == set(CALLS)


@each_operation
async def test_documented_response(operation: Operation[Any]) -> None:
    """The documented response becomes the operation's type, complete, with the call's facts."""
    _, result = await exchange(operation.name, CALLS[operation.name])
    wanted = operation.response_type
    assert isinstance(result, typing.get_origin(wanted) or wanted)
    for item_type in typing.get_args(wanted):
        assert {type(item) for item in result.items} == {item_type}
    if operation.name in BY_NAME:
        assert to_json(result) == BY_NAME[operation.name].response
    assert result.response.status == 200


@each_keyed
async def test_generated_key(name: str) -> None:
    """Without a key of the caller's, each call has a new documented key, which the result has."""
    first, result = await exchange(name, CALLS[name])
    second, _ = await exchange(name, CALLS[name])
    assert result.response.idempotency_key == first.headers["idempotency-key"]
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


@each_operation
async def test_omitted_arguments_are_not_sent(operation: Operation[Any]) -> None:
    """An omitted argument is in no query and no body, not even as null."""
    arguments = required_arguments(operation)
    request, _ = await exchange(operation.name, arguments)
    assert query_of(request).keys() == {
        wire_name(name) for name in arguments if name in operation.query
    }
    wanted = {wire_name(name) for name in arguments if name in operation.body}
    assert (request.json.keys() if operation.body else request.json) == (
        wanted if operation.body else None
    )
    assert b"null" not in request.body


@each_operation
async def test_only_the_required_credential(operation: Operation[Any]) -> None:
    """A client with every credential sends that of the operation, and none if it is public."""
    request, _ = await exchange(operation.name, CALLS[operation.name])
    credentials = {
        "api_key": {"x-api-key": API_KEY},
        "dashboard": lower(DASHBOARD_HEADERS),
        None: {},
    }
    sent = {
        name: value
        for name, value in request.headers.items()
        if name in ("x-api-key", "cookie", "x-step-up", "authorization")
    }
    assert sent == credentials[operation.auth]


@pytest.mark.parametrize(
    ("auth", "sent"),
    [
        ("api_key", API_KEY),
        ("payout_key", "the_payout_key"),
        ("contract_key", "the_contract_key"),
        ("dashboard", None),
        (None, None),
    ],
)
async def test_credential_of_a_plain_request(auth: Auth | None, sent: str | None) -> None:
    """A request without a model has the one credential that the caller names."""
    async with RawServer(documented_response("balances.list")) as server, authorized(server) as pay:
        await pay.request("GET", "/api/v1/something", auth=auth)
    (request,) = server.requests
    assert request.headers.get("x-api-key") == sent
    assert ("cookie" in request.headers) is (auth == "dashboard")


@pytest.mark.parametrize(
    "name", [name for name, operation in OPERATIONS.items() if operation.auth is not None]
)
async def test_missing_credential(name: str) -> None:
    """An operation without its credential is refused unsent, and the error names the credential."""
    async with (
        RawServer(documented_response(name)) as server,
        PayChainHQ(
            payout_key="a", contract_key="b", business_id="biz_123", base_url=server.url
        ) as pay,
    ):
        with pytest.raises(MissingCredentialError, match=f"{name} needs") as caught:
            await call(pay, name, CALLS[name])
    assert caught.value.argument == OPERATIONS[name].auth
    assert caught.value.sent == "no"
    assert server.requests == []


async def test_business_of_the_call_wins() -> None:
    """A business id of the method overrides the client's."""
    request, _ = await exchange("businesses.get", {"business_id": "biz_9"})
    assert request.target == "/api/v1/businesses/biz_9"
    request, _ = await exchange(
        "invoices.create", {**CALLS["invoices.create"], "business_id": "biz_9"}
    )
    assert request.target == "/api/v1/businesses/biz_9/invoices"
