"""Robustness: odd requests, concurrency and failures cause no server error.

No effect is partial.
"""

from __future__ import annotations

import ast
import asyncio
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import paychainhq
from paychainhq.emulator import API_KEY, GATEWAY_CLIENT_ID, GATEWAY_OAUTH_TOKEN, Emulator
from paychainhq.emulator import idempotency as idempotency_module
from paychainhq.emulator.routing import find_route
from paychainhq.operations import OPERATIONS
from tests.emulator.api import INVOICES, ORDER, Api
from tests.support.often import often

PACKAGE = Path(paychainhq.__file__).parent
GATEWAY_ORDER = {
    "amount": 10000,
    "currencyCode": "USD",
    "reference": "r",
    "referenceLabel": "l",
    "clientId": GATEWAY_CLIENT_ID,
    "name": "abc",
    "secret": "s",
    "paymentId": "p",
}
GATEWAY_FIELDS = [
    "siteId",
    "redirectUrl",
    "expiresAt",
    "callbackUrl",
    "currencyWhitelist",
    "allowUnderpay",
    "blockchainAddress",
    "bankCode",
]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["eth", "USDC", "150"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def exchange(emulator: Emulator, request: bytes) -> bytes:
    """Send raw bytes, and return the status line."""
    with socket.create_connection(
        ("127.0.0.1", int(emulator.url.rpartition(":")[2])), timeout=30
    ) as client:
        client.sendall(request)
        with client.makefile("rb") as response:
            return response.readline()


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /api/v1/prices/\xff HTTP/1.1",
        b"GET /api/v1/prices/%ff HTTP/1.1",
        b"GET /api/v1/prices/%00 HTTP/1.1",
        b"GET /api/v1/prices/%2e%2e HTTP/1.1",
        b"GET /api/v1/../v1/prices HTTP/1.1",
        b"GET //api/v1/prices HTTP/1.1",
        b"GET /api/v1/businesses/biz_123/invoices?status=%ff&customerId=%ed%a0%80 HTTP/1.1",
        b"GET /api/v1/businesses/biz_123/invoices?status=a&status=b&& HTTP/1.1",
        b"GET /api/v1/businesses/biz_123/invoices/%F0%9F HTTP/1.1",
        b"GET /_emulator/../api HTTP/1.1",
        b"BREW /api/v1/prices HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET http://elsewhere.example/api/v1/nothing HTTP/1.1",
    ],
)
def test_an_odd_request_gets_a_response(emulator: Emulator, request_line: bytes) -> None:
    """No first line of a request causes a server error."""
    status = exchange(
        emulator,
        request_line + f"\r\nHost: {emulator.url[7:]}\r\nx-api-key: {API_KEY}\r\n\r\n".encode(),
    )
    assert status.startswith((b"HTTP/1.1 200", b"HTTP/1.1 40", b"HTTP/1.0 40"))


@pytest.mark.parametrize(
    "name",
    ["x-api-key", "X-Emulator-Dashboard-Session", "Idempotency-Key", "Content-Type", "Expect"],
)
@pytest.mark.parametrize("value", [b"\xff\xfe", b"", b" ", "é".encode(), b"x" * 4000, b"a b"])
def test_an_odd_header_gets_a_response(emulator: Emulator, name: str, value: bytes) -> None:
    """Headers may have undecodable, empty or long values."""
    body = json.dumps(ORDER).encode()
    key = b"" if name == "x-api-key" else f"x-api-key: {API_KEY}\r\n".encode()
    head = (
        f"POST {INVOICES} HTTP/1.1\r\nHost: {emulator.url[7:]}\r\nContent-Length: "
        f"{len(body)}\r\n{name}: "
    ).encode()
    status = exchange(emulator, head + value + b"\r\n" + key + b"\r\n" + body)
    assert status.startswith((b"HTTP/1.1 200", b"HTTP/1.1 40", b"HTTP/1.0 40"))


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
def test_an_invalid_idempotency_key_is_refused(api: Api, key: str) -> None:
    """A key that the package's clients never send is a 400 that names the header."""
    response = api("POST", INVOICES, ORDER, {"x-api-key": API_KEY, "Idempotency-Key": key})
    assert (response.status, response.fields) == (400, ["Idempotency-Key"])


@settings(
    max_examples=often(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    changes=st.dictionaries(
        st.sampled_from(
            [*ORDER, "networkId", "customerId", "expiresIn", "metadata", "description"]
        ),
        json_values,
    )
)
def test_any_json_gets_a_response(api: Api, changes: dict[str, Any]) -> None:
    """Any JSON creates an invoice or is refused."""
    response = api("POST", INVOICES, {**ORDER, **changes})
    assert response.status in (200, 400, 404), response.body


@settings(
    max_examples=often(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    path=st.sampled_from(["payment/checkout", "payment-applications", "refund-request"]),
    changes=st.dictionaries(st.sampled_from([*GATEWAY_ORDER, *GATEWAY_FIELDS]), json_values),
)
def test_any_json_gets_a_response_of_the_gateway(
    api: Api, path: str, changes: dict[str, Any]
) -> None:
    """Any JSON creates a payment or is refused in the gateway's format."""
    response = api(
        "POST",
        f"/gateway/api/{path}",
        {**GATEWAY_ORDER, **changes},
        headers={"Authorization": f"Bearer {GATEWAY_OAUTH_TOKEN}"},
    )
    assert response.status in (201, 400, 404, 422), response.body
    assert (response.status == 201) is ("data" in response.json)


@settings(
    max_examples=often(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(
        ["pay", "confirm", "advance", "fault", "pay_gateway", "confirm_gateway", "refund_gateway"]
    ),
    body=st.dictionaries(st.text(max_size=3), json_values),
    value=json_values,
)
def test_any_control_request_gets_a_response(
    api: Api, name: str, body: dict[str, Any], value: object
) -> None:
    """Any JSON is executed or refused."""
    fields = {
        "invoiceId": value,
        "paymentId": value,
        "amount": value,
        "seconds": value,
        "operation": value,
        "kind": value,
    }
    assert api("POST", f"/_emulator/{name}", {**body, **fields}).status in (200, 400, 404)


@pytest.mark.parametrize("seconds", [9007199254740992, 100 * 365 * 86_400 + 1])
def test_a_lifetime_has_a_maximum(api: Api, seconds: int) -> None:
    """A lifetime beyond the range of dates is refused."""
    assert api("POST", INVOICES, {**ORDER, "expiresIn": seconds}).fields == ["expiresIn"]


def test_the_clock_has_a_maximum(api: Api) -> None:
    """An advance beyond the last date is refused, and the emulator continues."""
    with pytest.raises(ValueError, match="year 8999"):
        api.emulator.advance(1e12)
    api.emulator.advance(6900 * 365 * 86_400)
    assert api("POST", INVOICES, {**ORDER, "expiresIn": 100 * 365 * 86_400}).status == 200


def test_concurrent_requests_with_one_key_make_one_invoice(api: Api) -> None:
    """All interleavings return the same invoice."""
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: api("POST", INVOICES, ORDER, key="k"), range(40)))
    assert len({response.json["id"] for response in responses}) == 1
    assert api.count() == 2


def test_concurrent_requests_with_many_keys_make_one_invoice_each(api: Api) -> None:
    """No invoice is lost, and later pages hold each one once."""
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(lambda i: api("POST", INVOICES, ORDER, key=f"k{i}").json["id"], range(120))
        )
    listed = [
        row["id"]
        for page in (1, 2)
        for row in api("GET", f"{INVOICES}?limit=100&page={page}").json["data"]
    ]
    assert sorted(listed) == sorted([*made, "inv_123"])


def test_controls_in_many_threads(emulator: Emulator) -> None:
    """Each payment counts once."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: emulator.pay("inv_123", "1"), range(100)))
    assert Api(emulator).invoice("inv_123")["paidAmount"]["display"] == "100"


def test_an_effect_without_its_stored_response_is_rolled_back(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repeat with the key creates the only invoice if the response could not be stored."""

    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(idempotency_module, "store_reply", fail)
        assert api("POST", INVOICES, ORDER, key="k").status == 500
    assert api.count() == 1
    assert api("POST", INVOICES, ORDER, key="k").status == 200
    assert api.count() == 2


async def test_expect_100_continue_gets_a_response(emulator: Emulator) -> None:
    """Clients such as curl send `Expect: 100-continue` before a large body."""
    async with (
        asyncio.timeout(30),
        aiohttp.ClientSession(headers={"x-api-key": API_KEY}) as session,
        session.post(emulator.url + INVOICES, json=dict(ORDER), expect100=True) as response,
    ):
        assert response.status == 200


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_every_operation_is_found_by_its_own_path(operation: Any) -> None:
    """Any ids work, quoted ones included; another method or an additional segment is not found."""
    ids = {name: f"{name} é/1" for name in operation.placeholders}
    path = operation.path.format(
        **{
            name: value.replace(" ", "%20").replace("é", "%C3%A9").replace("/", "%2F")
            for name, value in ids.items()
        }
    )
    assert find_route(operation.method, path) == (operation, ids)
    assert find_route("PUT", path) is None
    assert find_route(operation.method, f"{path}/x/y/z") is None


def test_no_client_module_imports_the_emulator() -> None:
    """The emulator and the command depend on the client, never the reverse."""
    for file in PACKAGE.rglob("*.py"):
        if file.relative_to(PACKAGE).parts[0] in ("emulator", "cli"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not [name for name in names if name.startswith("paychainhq.emulator")], file
