"""Secrets of the gateway in calls and in its receiver: nothing shows tokens or webhook secrets."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable
from typing import Any

import pytest

import paychainhq_sync.gateway.webhooks
from paychainhq import InvalidArgumentError, Next, PayChainError, Request, Response
from paychainhq.gateway import webhooks
from paychainhq.ledger import MemoryLedger
from tests.gateway.samples import APPLICATION, NOTICE, PAYMENT_ID
from tests.security.leaks import (
    CLIENT_TOKEN,
    NEW_KEY,
    OAUTH_TOKEN,
    PASSWORD,
    WEBHOOK_SECRET,
    all_forms,
    all_output,
    make_gateway,
    shown,
    traced,
)
from tests.security.test_secrets import FAILURES
from tests.support import faces
from tests.support.client import QUICK
from tests.support.faces import Gateway
from tests.support.raw_server import RawServer, http_response

pytestmark = pytest.mark.usefixtures("face", "debugging")


def calls(gateway: Gateway) -> list[Awaitable[Any]]:
    """Return calls with each token, and with a webhook secret in the body."""
    return [
        gateway.payments.get(PAYMENT_ID),
        gateway.applications.create("abc", WEBHOOK_SECRET),
        gateway.refunds.create(PAYMENT_ID, blockchain_address="bc1q"),
        gateway.request("GET", "/api/new"),
        gateway.request("POST", "/api/new", body={}, auth="oauth_token"),
    ]


async def failed(gateway: Gateway) -> list[PayChainError]:
    """Return the errors of the calls."""
    errors = []
    for work in calls(gateway):
        try:
            await work
        except PayChainError as error:
            errors.append(error)
    assert len(errors) >= 3
    return errors


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failed_call_shows_no_secret(failure: str) -> None:
    """Errors, tracebacks with locals, pickles and logs show none, after any failure."""
    with all_output() as output:
        async with (
            RawServer(FAILURES[failure]) as server,
            make_gateway(
                server.url, retry=QUICK, timeout=0.2 if failure == "silence" else 2
            ) as gateway,
        ):
            for error in await failed(gateway):
                assert shown(str(error) + repr(error)) == []
                # A response may contain anything, and the error keeps it for the caller.
                seen = traced(error) + all_forms(error) + repr(vars(error))
                assert shown(seen.replace(NEW_KEY, "")) == []
    assert output
    assert shown("\n".join(output)) == []


async def test_a_missing_server_or_proxy_shows_no_secret() -> None:
    """The errors of a failed connection show no secret."""
    for settings in ({}, {"proxy": f"http://me:{PASSWORD}@127.0.0.1:1"}):
        with all_output() as output:
            async with make_gateway("http://127.0.0.1:1", **settings) as gateway:
                for error in await failed(gateway):
                    assert shown(traced(error) + all_forms(error)) == []
        assert shown("\n".join(output)) == []


async def test_a_middleware_that_raises() -> None:
    """A middleware sees no secret, and the frames that its exception passes hold none."""
    seen: list[str] = []

    async def raising(request: Request, send: Next) -> Response:
        seen.append(f"{request!r} {request.headers!r} {request.body!r}")
        await send(request)
        raise RuntimeError("of the middleware")

    with all_output() as output:
        async with (
            RawServer(http_response({"data": APPLICATION})) as server,
            make_gateway(server.url, middleware=[raising]) as gateway,
        ):
            for work in calls(gateway):
                with pytest.raises(RuntimeError, match="of the middleware") as caught:
                    await work
                assert shown(traced(caught.value)) == []
    sent = [request.headers["authorization"] for request in server.requests]
    assert {f"Bearer {CLIENT_TOKEN}", f"Bearer {OAUTH_TOKEN}"} == set(sent)
    assert shown("\n".join(seen + output)) == []


async def test_objects_of_a_client() -> None:
    """No object that a client is made of shows a secret in its repr, even after a call."""
    async with (
        RawServer(http_response({"data": APPLICATION})) as server,
        make_gateway(server.url) as gateway,
    ):
        application = await gateway.applications.create("abc", WEBHOOK_SECRET)
        assert shown(all_forms(application) + all_forms(application.response)) == []
        for value in [gateway, gateway.with_options(timeout=1), *gc.get_objects()]:
            home = str(type(value).__module__).partition(".")[0]
            # An error left by another test may hold a response by design.
            if home in ("paychainhq", "paychainhq_sync") and not isinstance(value, Exception):
                assert shown(repr(value) + repr(getattr(value, "__dict__", ""))) == []


async def test_a_receiver_shows_no_secret() -> None:
    """Refusals and failures show neither the secret nor the right signature."""
    package: Any = webhooks if faces.current == "async" else paychainhq_sync.gateway.webhooks
    receiver = package.Receiver(secrets=[WEBHOOK_SECRET, "old"], ledger=MemoryLedger())
    body = json.dumps({"payment": NOTICE}).encode()
    right = webhooks.sign(body, secret=WEBHOOK_SECRET)

    def failing(event: webhooks.Event) -> None:
        raise ZeroDivisionError(event.payment.id)

    async def failing_too(event: webhooks.Event) -> None:
        failing(event)

    async def receive(body: Any, headers: Any) -> int:
        given = receiver.receive(body, headers)
        return int(await given if faces.current == "async" else given)

    receiver.on("RECEIVED")(failing_too if faces.current == "async" else failing)
    wrong: list[dict[str, str]] = [
        {},
        {**right, "X-PaymentService-Signature": "0" * 64},
        {**right, "X-PaymentService-Timestamp": "1"},
        {**right, "Authorization": f"Bearer {CLIENT_TOKEN}", "X-PaymentService-Signature": "x"},
    ]
    with all_output() as output:
        for headers in wrong:
            assert await receive(body, headers) == 400
        assert await receive(body, right) == 500
        assert await receive(b"{}", webhooks.sign(b"{}", secret=WEBHOOK_SECRET)) == 500
    assert any("ZeroDivisionError" in text for text in output)
    text = "\n".join(output) + repr(receiver) + repr(vars(receiver))
    assert shown(text) == []
    assert right["X-PaymentService-Signature"] not in text
    with pytest.raises(InvalidArgumentError) as mistaken:
        await receive(body.decode(), right)
    assert shown(traced(mistaken.value) + all_forms(mistaken.value)) == []


@pytest.mark.async_only("it collects a client of each face itself")
@pytest.mark.parametrize("face_of_client", faces.FACES)
async def test_a_client_that_is_never_closed(
    monkeypatch: pytest.MonkeyPatch, face_of_client: str
) -> None:
    """The warning names the line that made the client, and shows no secret."""
    monkeypatch.setattr(faces, "current", face_of_client)
    with all_output() as output:
        async with RawServer(http_response({})) as server:
            gateway = make_gateway(server.url)
            await gateway.request("GET", "/api/new")
            del gateway
            gc.collect()
            await asyncio.sleep(0)
    assert any("was never closed" in text for text in output)
    assert shown("\n".join(output)) == []
