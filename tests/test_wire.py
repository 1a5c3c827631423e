"""What goes over the wire is what the documents show, for every operation."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from paychainhq import MissingCredentialError, PayChainHQ, __version__
from paychainhq.arguments import wire_name
from paychainhq.codec import to_json
from paychainhq.credentials import Auth
from paychainhq.models.lists import Page
from paychainhq.operations import OPERATIONS, Operation
from paychainhq.paging import Pages
from tests.calls import API_KEY, CALLS, DASHBOARD_HEADERS, call, client, documented_answer
from tests.samples import BY_NAME, DOCUMENTED, Sample
from tests.support import RawServer, Recorded

# The public surface, written down once more: the positional arguments of each method; `...` has its own tests.
TABLE: Mapping[str, Mapping[str, str]] = {
    "businesses": {
        "get": "business_id=None",
        "lookup": "id_or_alias",
        "payment_methods": "include_inactive=None",
        "invoice_settings": "",
        "update_invoice_settings": "invoice_underpayment_tolerance_bps=None, invoice_underpayment_tolerance_max_usd=None",
    },
    "api_keys": {
        "list": "",
        "create": "name, permissions=None, expires_in=None",
        "create_payout": "name, limits, destination_policy=None, destinations=None, ip_allowlist=None, expires_in=None",
        "create_contract": "name, action_ids, expires_in=None",
        "revoke": "key_id",
    },
    "customers": {
        "create": "external_ref, email=None",
        "create_many": "requests",
        "list": "page=None, limit=None",
        "get": "customer_id",
    },
    "invoices": {
        "create": "amount, token, chain, network_id=None, customer_id=None, expires_in=None, description=None,"
        " underpayment_tolerance_bps=None, underpayment_tolerance_max_usd=None, metadata=None",
        "create_many": "requests",
        "list": "status=None, customer_id=None, page=None, limit=None",
        "get": "invoice_id",
        "get_public": "invoice_id",
        "cancel": "invoice_id",
        "update_status": "invoice_id, status",
        "wait": "invoice_id",
        "watch": "invoice_ids",
    },
    "prices": {"list": "", "get": "symbol"},
    "networks": {"list": ""},
    "supported_assets": {"list": "include_inactive=None"},
    "tokens": {"list": "", "list_by_network": "network_id", "get": "symbol"},
    "billing": {
        "profile": "",
        "plans": "",
        "change_subscription": "plan_code, billing_mode=None, network_id=None",
        "invoices": "status=None, limit=None, offset=None",
        "usage": "",
        "pay_invoice": "invoice_id, chain, network_id, tx_hash",
    },
    "withdrawals": {"quote": "amount, token, chain, network_id=None, force_sweep_all=None"},
    "balances": {"list": "", "total": ""},
    "contract_integrations": {"list": ""},
}
METHODS = [(f"{resource}.{method}", arguments) for resource, methods in TABLE.items() for method, arguments in methods.items()]

# What the six operations from other pages send; those pages show no commands, but their methods, paths, queries and fields.
SIX = {
    "withdrawals.quote": (
        "GET /api/v1/businesses/biz_123/withdrawals/quote",
        {"amount": "500", "token": "USDC", "chain": "eth", "networkId": "base-mainnet", "forceSweepAll": "false"},
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
    "contract_integrations.list": ("GET /api/v1/businesses/biz_123/contract-integrations", {}, None),
}

each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
each_documented = pytest.mark.parametrize("sample", DOCUMENTED, ids=lambda sample: sample.operation)
each_keyed = pytest.mark.parametrize(
    "name", [name for name, operation in OPERATIONS.items() if operation.idempotency != "unsupported"]
)

# What any HTTP client adds.
_OF_HTTP = {"host", "accept", "accept-encoding", "user-agent", "content-length", "connection"}


async def exchange(name: str, arguments: Mapping[str, Any]) -> tuple[Recorded, Any]:
    """Make one call against a server that gives the documented answer; return what came over the wire, and the result."""
    async with RawServer(documented_answer(name)) as server, client(server) as pay:
        result = await call(pay, name, arguments)
    (request,) = server.requests
    return request, result


def query_of(request: Recorded) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.target).query, strict_parsing=True)) if "?" in request.target else {}


def headers_of(request: Recorded) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name not in _OF_HTTP}


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def required_arguments(operation: Operation[Any]) -> dict[str, Any]:
    """Only those of the documented arguments that must be there."""
    required = {name for fields in (operation.body, operation.query) for name, field in fields.items() if field.required}
    kept = {name: value for name, value in CALLS[operation.name].items() if name in required | set(operation.placeholders)}
    return {**kept, "destination_policy": "any"} if operation.name == "api_keys.create_payout" else kept


@each_documented
async def test_documented_command(sample: Sample) -> None:
    """The client sends the method, path, query, body and headers of the documented cURL command, and nothing more."""
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
    """Each of the six operations of other public pages sends what its page shows."""
    line, query, body = SIX[name]
    request, _ = await exchange(name, CALLS[name])
    assert f"{request.method} {urlsplit(request.target).path}" == line
    assert query_of(request) == query
    assert request.json == body
    keyed = name == "businesses.update_invoice_settings"
    assert headers_of(request).keys() == {"content-type", "x-api-key"} | ({"idempotency-key"} if keyed else set())
    assert request.headers["x-api-key"] == API_KEY


def test_every_operation_is_accounted_for() -> None:
    """The operations are the thirty of the documents and the six of other pages, and this file calls each of them."""
    assert len(DOCUMENTED) == 30
    assert set(OPERATIONS) == {sample.operation for sample in DOCUMENTED} | set(SIX) == set(CALLS)


@each_operation
async def test_documented_answer(operation: Operation[Any]) -> None:
    """The documented answer arrives as the operation's response type, whole, with the facts of the exchange."""
    _, result = await exchange(operation.name, CALLS[operation.name])
    wanted = operation.response_type
    assert type(result) is (typing.get_origin(wanted) or wanted)
    for item_type in typing.get_args(wanted):
        assert {type(item) for item in result.items} == {item_type}
    if operation.name in BY_NAME:
        assert to_json(result) == BY_NAME[operation.name].response
    assert result.response.status == 200


@each_keyed
async def test_key_of_our_own(name: str) -> None:
    """Where the documents show an idempotency key and the caller gives none, each call has a new one, and the result tells it."""
    first, result = await exchange(name, CALLS[name])
    second, _ = await exchange(name, CALLS[name])
    assert result.response.idempotency_key == first.headers["idempotency-key"]
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


@each_operation
async def test_what_is_left_out_is_not_sent(operation: Operation[Any]) -> None:
    """An argument that was left out is in no query and no body, not even as null."""
    arguments = required_arguments(operation)
    request, _ = await exchange(operation.name, arguments)
    assert query_of(request).keys() == {wire_name(name) for name in arguments if name in operation.query}
    wanted = {wire_name(name) for name in arguments if name in operation.body}
    assert (request.json.keys() if operation.body else request.json) == (wanted if operation.body else None)
    assert b"null" not in request.body


@each_operation
async def test_only_the_credential_that_is_needed(operation: Operation[Any]) -> None:
    """A client that has every credential sends with each operation the one that it is for; public operations carry none."""
    request, _ = await exchange(operation.name, CALLS[operation.name])
    credentials = {
        "api_key": {"x-api-key": API_KEY},
        "dashboard": lower(DASHBOARD_HEADERS),
        None: {},
    }
    sent = {name: value for name, value in request.headers.items() if name in ("x-api-key", "cookie", "x-step-up", "authorization")}
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
    """A request that is not modelled carries the one credential that the caller names."""
    async with RawServer(documented_answer("balances.list")) as server, client(server) as pay:
        await pay.request("GET", "/api/v1/something", auth=auth)
    (request,) = server.requests
    assert request.headers.get("x-api-key") == sent
    assert ("cookie" in request.headers) is (auth == "dashboard")


@pytest.mark.parametrize("name", [name for name, operation in OPERATIONS.items() if operation.auth is not None])
async def test_missing_credential(name: str) -> None:
    """Without its credential, an operation is refused before anything is sent, and the error names what is missing."""
    async with RawServer(documented_answer(name)) as server:
        async with PayChainHQ(payout_key="a", contract_key="b", business_id="biz_123", base_url=server.url) as pay:
            with pytest.raises(MissingCredentialError, match=f"{name} needs") as caught:
                await call(pay, name, CALLS[name])
    assert caught.value.argument == OPERATIONS[name].auth
    assert caught.value.sent == "no"
    assert server.requests == []


async def test_business_of_the_call_wins() -> None:
    """A business id that is given to the method takes the place of the client's."""
    request, _ = await exchange("businesses.get", {"business_id": "biz_9"})
    assert request.target == "/api/v1/businesses/biz_9"
    request, _ = await exchange("invoices.create", {**CALLS["invoices.create"], "business_id": "biz_9"})
    assert request.target == "/api/v1/businesses/biz_9/invoices"


def signature_of(name: str) -> inspect.Signature:
    resource, method = name.split(".")
    with_types = inspect.signature(getattr(resource_class(resource), method))
    parameters = [parameter for parameter in with_types.parameters.values() if parameter.name != "self"]
    return with_types.replace(parameters=parameters)


def resource_class(name: str) -> type[Any]:
    resource: type[Any] = type(getattr(PayChainHQ(business_id="biz_123"), name))
    return resource


@pytest.mark.parametrize(("name", "arguments"), METHODS, ids=[name for name, _ in METHODS])
def test_signature(name: str, arguments: str) -> None:
    """Every method takes the arguments of the table in its order; what the table leaves open is by keyword only."""
    parameters = signature_of(name).parameters.values()
    positional = [
        parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default}"
        for parameter in parameters
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    assert ", ".join(positional) == arguments
    keyword_only = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    assert len(positional) + len(keyword_only) == len(parameters)
    if name in OPERATIONS:
        operation = OPERATIONS[name]
        wanted = {"business_id"} & set(operation.placeholders) - {part.partition("=")[0] for part in positional}
        assert keyword_only == wanted | ({"idempotency_key"} if operation.idempotency != "unsupported" else set())


@each_operation
def test_return_type(operation: Operation[Any]) -> None:
    """Every method promises the response type of its operation; a list that comes in pages is not awaited for it."""
    resource, method = operation.name.split(".")
    function = getattr(resource_class(resource), method)
    promised = typing.get_type_hints(function)["return"]
    if typing.get_origin(operation.response_type) is Page:
        assert promised == Pages[typing.get_args(operation.response_type)[0]]
        assert not inspect.iscoroutinefunction(function)
    else:
        assert promised == operation.response_type
        assert inspect.iscoroutinefunction(function)


@pytest.mark.parametrize("resource", TABLE)
def test_no_other_methods(resource: str) -> None:
    """A resource has the methods of the table and no others."""
    assert {name for name in dir(resource_class(resource)) if not name.startswith("_")} == set(TABLE[resource])
