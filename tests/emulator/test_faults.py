"""Faults on demand: each kind as seen by a client, its effect, and its count."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import aiohttp
import pytest

from paychainhq.emulator import API_KEY, Emulator
from tests.emulator.api import BUSINESS, INVOICES, ORDER, Api, until_received


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Any:
    """Assert that no fault leaves an error of the server in the log."""
    with caplog.at_level(logging.INFO):
        yield
    assert [
        record for record in caplog.records if record.name.startswith(("aiohttp", "asyncio"))
    ] == []


async def create(
    emulator: Emulator, *, key: str = "k", total: float = 30
) -> tuple[int, bytes, Any]:
    """Create an invoice over a separate connection; return status, body and headers."""
    timeout = aiohttp.ClientTimeout(total=total)
    headers = {"x-api-key": API_KEY, "Idempotency-Key": key}
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
        session.post(emulator.url + INVOICES, json=dict(ORDER)) as response,
    ):
        return response.status, await response.read(), response.headers


@pytest.mark.parametrize(
    ("kind", "status", "code", "retry_after"),
    [
        (503, 503, "INTERNAL_ERROR", None),
        ("500", 500, "INTERNAL_ERROR", None),
        ("503:2", 503, "INTERNAL_ERROR", "2"),
        (429, 429, "RATE_LIMIT_EXCEEDED", None),
        ("429:1", 429, "RATE_LIMIT_EXCEEDED", "1"),
        ("429:0.2", 429, "RATE_LIMIT_EXCEEDED", "1"),
        ("401", 401, "UNAUTHORIZED", None),
        ("in_progress", 409, "IDEMPOTENCY_REQUEST_IN_PROGRESS", None),
    ],
)
def test_an_error_status_has_the_envelope_and_no_effect(
    api: Api, kind: str | int, status: int, code: str, retry_after: str | None
) -> None:
    """The request is not handled, so the same key is free afterwards."""
    api.emulator.fault("invoices.create", kind)
    response = api("POST", INVOICES, ORDER, key="k")
    assert (response.status, response.code, response.headers.get("Retry-After")) == (
        status,
        code,
        retry_after,
    )
    assert response.json["error"]["requestId"] == response.headers["x-request-id"]
    assert api.count() == 1
    assert api("POST", INVOICES, ORDER, key="k").status == 200
    assert [request.status for request in api.emulator.requests if request.method == "POST"] == [
        status,
        200,
    ]


async def test_a_dropped_request_is_not_handled(emulator: Emulator) -> None:
    """The connection closes without a response, before any effect."""
    emulator.fault("invoices.create", "drop")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await create(emulator)
    assert Api(emulator).count() == 1
    assert emulator.requests[0].status is None


async def test_a_reset_request_is_handled(emulator: Emulator) -> None:
    """The connection is reset after the invoice was created; the same key finds it."""
    emulator.fault("invoices.create", "reset")
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await create(emulator)
    assert emulator.requests[0].status is None
    status, _, _ = await create(emulator)
    assert (status, Api(emulator).count()) == (200, 2)


async def test_a_truncated_response_ends_in_the_body(emulator: Emulator) -> None:
    """Headers and half of the body arrive; the same key returns the whole response."""
    emulator.fault("invoices.create", "truncate")
    with pytest.raises(aiohttp.ClientPayloadError):
        await create(emulator)
    assert emulator.requests[0].status == 200
    _, body, _ = await create(emulator)
    assert json.loads(body)["status"] == "pending"
    assert Api(emulator).count() == 2


@pytest.mark.parametrize("kind", ["bad_json", "html", "empty"])
async def test_a_response_that_is_not_json(emulator: Emulator, kind: str) -> None:
    """The request was handled, and a 200 with a request id has a body that cannot be parsed."""
    emulator.fault("invoices.create", kind)
    status, body, headers = await create(emulator)
    assert status == 200
    assert headers["x-request-id"] == emulator.requests[0].request_id
    assert headers["Content-Type"].startswith("text/html" if kind == "html" else "application/json")
    with pytest.raises(ValueError):
        json.loads(body)
    assert Api(emulator).count() == 2


async def test_silence_sends_no_response(emulator: Emulator) -> None:
    """The request is not handled and gets no response, while others do."""
    emulator.fault("invoices.create", "silence")
    with pytest.raises(asyncio.TimeoutError):
        await create(emulator, total=0.2)
    assert emulator.requests[0].status is None
    assert Api(emulator).count() == 1


async def test_a_slow_request_is_handled_at_once(emulator: Emulator) -> None:
    """The invoice exists at once, and its key is in progress until the response is due."""
    emulator.fault("invoices.create", "slow:600")
    with pytest.raises(asyncio.TimeoutError):
        await create(emulator, total=0.2)
    assert Api(emulator).count() == 2
    status, body, _ = await create(emulator)
    assert (status, json.loads(body)["error"]["code"]) == (409, "IDEMPOTENCY_REQUEST_IN_PROGRESS")


def test_a_slow_response_arrives(api: Api) -> None:
    """After the delay, the response is the ordinary one."""
    api.emulator.fault("*", "slow:0.01")
    assert api("GET", BUSINESS).json["id"] == "biz_123"
    assert api.emulator.requests[0].status == 200


def test_faults_apply_in_order_and_are_used_up(api: Api) -> None:
    """Each fault occurs as often as requested; later requests succeed."""
    api.emulator.fault("invoices.list", 503, times=2)
    api.emulator.fault("invoices.list", 429)
    assert [api("GET", INVOICES).status for _ in range(5)] == [503, 503, 429, 200, 200]


def test_a_fault_applies_to_its_operation_only(api: Api) -> None:
    """Other operations succeed and do not consume it; `*` applies to any request.

    Unknown paths are included.
    """
    api.emulator.fault("invoices.create", 503)
    assert api("GET", INVOICES).status == 200
    assert api("POST", INVOICES, ORDER).status == 503
    api.emulator.fault("*", 500, times=2)
    assert [
        api("GET", path).status for path in ("/api/v1/nothing", "/api/v1/prices", "/api/v1/prices")
    ] == [500, 500, 200]


def test_a_fault_comes_before_the_credential_is_checked(api: Api) -> None:
    """A gateway that is down checks no keys."""
    api.emulator.fault("*", 503)
    assert api("GET", INVOICES, headers={}).status == 503


def test_a_fault_after_handling_preserves_an_error(api: Api) -> None:
    """A slow or broken response to a bad request remains the response to that request."""
    api.emulator.fault("*", "slow:0")
    assert api("POST", INVOICES, {}).status == 400


@pytest.mark.parametrize(
    ("operation", "kind", "times"),
    [
        ("invoices.crate", 503, 1),
        ("", 503, 1),
        ("*", "explode", 1),
        ("*", 200, 1),
        ("*", 399, 1),
        ("*", 600, 1),
        ("*", "", 1),
        ("*", "drop:1", 1),
        ("*", "slow", 1),
        ("*", "slow:x", 1),
        ("*", "slow:-1", 1),
        ("*", "slow:inf", 1),
        ("*", "429:soon", 1),
        ("*", 503, 0),
        ("*", 503, True),
        ("*", 503, 1.5),
    ],
)
def test_an_unknown_fault_is_refused_at_once(
    api: Api, operation: str, kind: Any, times: Any
) -> None:
    """The result is a ValueError, and no fault is planned."""
    with pytest.raises(ValueError):
        api.emulator.fault(operation, kind, times)
    assert api("GET", "/api/v1/prices").status == 200


async def test_stopping_releases_waiting_clients() -> None:
    """A client without a response is disconnected; one with a slow response receives it."""
    with Emulator() as emulator:
        emulator.fault("invoices.create", "slow:600")
        emulator.fault("invoices.create", "silence")
        slow = asyncio.create_task(create(emulator, key="a"))
        await asyncio.to_thread(until_received, emulator, 1)
        silent = asyncio.create_task(create(emulator, key="b"))
        await asyncio.to_thread(until_received, emulator, 2)
    assert (await slow)[0] == 200
    with pytest.raises(aiohttp.ClientConnectionError):
        await silent


async def test_a_disconnect_within_a_body_does_no_harm(emulator: Emulator) -> None:
    """A partial request is not handled."""
    port = int(emulator.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST {INVOICES} HTTP/1.1\r\nHost: {emulator.url[7:]}\r\nContent-Length: "
        f"100\r\n\r\n{{".encode()
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert Api(emulator).count() == 1
