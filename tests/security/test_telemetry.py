"""Secrets in telemetry: spans and metrics show none."""

from __future__ import annotations

import pytest

from tests.otel.recorded import Recorded
from tests.otel.test_webhooks import deliver
from tests.security.leaks import (
    API_KEY,
    BEARER,
    CREATED,
    NEW_KEY,
    PASSWORD,
    SECRETS,
    failed,
    make,
    shown,
)
from tests.security.test_secrets import FAILURES
from tests.support.client import QUICK
from tests.support.raw_server import RawServer, http_response
from tests.webhooks.samples import SECRET, signed, webhook

pytestmark = pytest.mark.usefixtures("face")


async def test_control_of_the_search() -> None:
    """The search finds a secret that a caller puts into a path, which spans show."""
    recorded = Recorded()
    async with (
        RawServer(http_response({})) as server,
        make(server.url, telemetry=recorded.telemetry) as pay,
    ):
        await pay.request("GET", f"/api/v1/{API_KEY}")
        recorded.meters.get_meter("test").create_counter("planted").add(1, {"key": NEW_KEY})
    assert shown(recorded.everything()) == [API_KEY, NEW_KEY]


@pytest.mark.parametrize("failure", FAILURES)
async def test_failed_calls(failure: str) -> None:
    """No secret is in the spans and the metrics of calls with any credential and failure."""
    recorded = Recorded(record_keys=True)
    async with (
        RawServer(FAILURES[failure]) as server,
        make(server.url, retry=QUICK, timeout=2, telemetry=recorded.telemetry) as pay,
    ):
        await failed(pay)
    assert len(recorded.spans) >= 8
    assert shown(recorded.everything()) == []


async def test_a_missing_server_or_proxy() -> None:
    """No secret is shown after a failed connection, also through a proxy with a password."""
    recorded = Recorded()
    for settings in ({}, {"proxy": f"http://me:{PASSWORD}@127.0.0.1:1"}):
        async with make("http://127.0.0.1:1", telemetry=recorded.telemetry, **settings) as pay:
            await failed(pay)
    assert len(recorded.spans) >= 8
    assert shown(recorded.everything()) == []


async def test_a_new_key() -> None:
    """Neither the new key of a response nor the query of a request is shown."""
    recorded = Recorded()
    async with (
        RawServer(http_response(CREATED)) as server,
        make(server.url, telemetry=recorded.telemetry) as pay,
    ):
        await pay.api_keys.create("x", ["business:read"])
        await pay.request("GET", "/api/v1/new", query={"key": SECRETS[1]})
    assert shown(recorded.everything()) == []


async def test_webhooks() -> None:
    """Neither the secret nor the bearer token nor the body of a webhook is shown."""
    recorded, body = Recorded(), webhook("evt_secretINDIA", customer="secretJULIETT")
    forged = {**signed(body, bearer=BEARER), "X-Webhook-Signature": "0" * 64}
    await deliver(recorded, recorded.telemetry, (body, signed(body)), (body, forged))
    text = recorded.everything()
    assert "webhook handle" in text
    assert [
        word for word in (*SECRETS, SECRET, "secretINDIA", "secretJULIETT") if word in text
    ] == []
