"""Controls beyond payments: webhooks, faults, expiry, reset, traffic, and events in process."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from paychainhq import webhooks
from paychainhq.emulator import WEBHOOK_SECRET, Emulator
from paychainhq.emulator.errors import RefusedError
from paychainhq.emulator.traffic import Traffic
from paychainhq.errors import WebhookVerificationError
from tests.emulator.api import INVOICES, ORDER, Api
from tests.emulator.test_control import control
from tests.emulator.test_process import running_command
from tests.emulator.test_webhooks import (
    SECRET,
    Endpoint,
    all_delivered,
    endpoint,
    settled,
    statuses,
)

__all__ = ["endpoint"]

# --- invoices and state ---


def test_one_invoice_expires(emulator: Emulator, api: Api) -> None:
    """Neither the clock nor another invoice changes; a later payment counts as late."""
    other = api.create()
    assert emulator.expire("inv_123") == "expired"
    assert (api.invoice("inv_123")["status"], api.invoice(other)["status"]) == (
        "expired",
        "pending",
    )
    assert emulator.pay("inv_123") == "expired"
    emulator.pay(other)
    assert emulator.expire(other) == "confirming"
    assert emulator.confirm(other) == "paid"
    assert emulator.expire(other) == "paid"


def test_cancel_over_http(api: Api) -> None:
    """An invoice without a payment is cancelled, another one is not."""
    other = api.create()
    api.emulator.pay(other)
    for invoice_id, status in (("inv_123", "cancelled"), (other, "confirming")):
        assert control(api, "cancel", {"invoiceId": invoice_id}).json["status"] == status
        assert api.emulator.cancel(invoice_id) == status


def test_reset_restores_the_initial_state(
    emulator: Emulator, api: Api, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Invoices, keys, faults, requests, webhooks and clock are as at the start."""
    before = api("GET", INVOICES, key="k").json["data"][0]["id"]
    emulator.add_webhook(endpoint.url, secret=SECRET)
    created = api("POST", INVOICES, ORDER, key="k1")
    emulator.pay("inv_123")
    emulator.advance(10**6)
    emulator.fault("*", 503)
    assert control(api, "reset", {}).json == {"ok": True}
    assert emulator.requests == ()
    assert api.count() == 1
    assert api.invoice(before)["status"] == "pending"
    assert api("POST", INVOICES, ORDER, key="k1").json["id"] != created.json["id"]
    emulator.pay(before)
    assert emulator.deliveries == ()


@pytest.mark.parametrize("name", ["expire", "cancel", "trigger"])
def test_an_unknown_invoice_is_not_found(api: Api, name: str) -> None:
    """The response is a 404."""
    body = {"invoiceId": "inv_unknown", "event": "invoice.paid"}
    assert control(api, name, body).status == 404


def test_the_clock_returns_to_the_present(emulator: Emulator, api: Api) -> None:
    """`reset_clock` undoes `advance`."""
    emulator.advance(10**7)
    late = api("GET", INVOICES).headers["Date"]
    emulator.reset_clock()
    assert api("GET", INVOICES).headers["Date"] != late


def test_faults_are_cleared(emulator: Emulator, api: Api) -> None:
    """No armed fault fires after `clear_faults`."""
    emulator.fault("*", 503, times=100)
    assert api("GET", INVOICES).status == 503
    assert control(api, "clear_faults").json == {"ok": True}
    assert api("GET", INVOICES).status == 200


# --- webhooks ---


def test_a_removed_endpoint_gets_nothing(emulator: Emulator, api: Api, endpoint: Endpoint) -> None:
    """Its deliveries remain as a record, and due ones have failed."""
    endpoint.statuses = [500]
    endpoint_id = emulator.add_webhook(endpoint.url, secret=SECRET)
    emulator.pay("inv_123")
    settled(emulator, statuses("retrying"))
    assert control(api, "remove_webhook", {"endpointId": endpoint_id}).json == {"ok": True}
    (delivery,) = emulator.deliveries
    assert (delivery.status, delivery.failure_reason) == ("failed", "the endpoint was removed")
    assert (delivery.response_status, delivery.next_attempt_at) == (500, None)
    emulator.advance(100_000)
    emulator.confirm("inv_123")
    assert (len(emulator.deliveries), len(endpoint.received)) == (1, 1)
    with pytest.raises(LookupError, match="no webhook endpoint"):
        emulator.remove_webhook(endpoint_id)


def test_an_endpoint_that_is_removed_during_an_attempt(
    emulator: Emulator, endpoint: Endpoint
) -> None:
    """The failed attempt is the last one."""
    endpoint.statuses = [500]
    endpoint.gate.clear()
    endpoint_id = emulator.add_webhook(endpoint.url, secret=SECRET)
    emulator.pay("inv_123")
    (delivery,) = settled(emulator, statuses("sending"))
    with pytest.raises(ValueError, match="being sent"):
        emulator.resend(delivery.id)
    emulator.remove_webhook(endpoint_id)
    endpoint.gate.set()
    settled(emulator, statuses("failed"))


def test_deliveries_are_held_back(emulator: Emulator, endpoint: Endpoint) -> None:
    """Events of a held endpoint are sent after its release."""
    endpoint_id = emulator.add_webhook(endpoint.url, secret=SECRET)
    other = emulator.add_webhook(endpoint.url, secret="other")
    emulator.hold_webhook(endpoint_id)
    emulator.pay("inv_123")
    settled(emulator, statuses("pending", "delivered"))
    emulator.release_webhook(endpoint_id)
    settled(emulator, all_delivered(2))
    emulator.remove_webhook(other)


def test_a_delivery_is_sent_again(emulator: Emulator, api: Api, endpoint: Endpoint) -> None:
    """`resend` repeats the delivery under its id; `duplicate` delivers the event under another."""
    emulator.add_webhook(endpoint.url, secret=SECRET)
    emulator.pay("inv_123")
    (first,) = settled(emulator, all_delivered(1))
    assert control(api, "resend", {"deliveryId": first.id}).json == {"id": first.id}
    settled(emulator, lambda found: [d.attempts for d in found if d.status == "delivered"] == [2])
    second = emulator.duplicate(first.id)
    settled(emulator, all_delivered(2))
    assert [received.headers["X-Webhook-ID"] for received in endpoint.received] == [
        first.id,
        first.id,
        second,
    ]
    assert len({received.body for received in endpoint.received}) == 1
    with pytest.raises(LookupError, match="no delivery"):
        emulator.resend("wh_unknown")


def test_an_event_is_triggered(emulator: Emulator, api: Api, endpoint: Endpoint) -> None:
    """The event is signed and names its status; the invoice is unchanged."""
    emulator.add_webhook(endpoint.url, secret=SECRET)
    (delivery_id,) = control(api, "trigger", {"event": "invoice.expired"}).json["ids"]
    settled(emulator, all_delivered(1))
    assert emulator.deliveries[0].id == delivery_id
    event = endpoint.received[0].event
    assert (event.event, event.data.status, event.invoice_id) == (
        "invoice.expired",
        "expired",
        "inv_123",
    )
    assert api.invoice("inv_123")["status"] == "pending"
    assert control(api, "trigger", {"event": ""}).status == 400


@pytest.mark.parametrize("url", ["http://192.0.2.1/hooks", "https://shop.example/hooks"])
def test_webhooks_stay_on_loopback(api: Api, url: str) -> None:
    """A remote endpoint is refused, unless it is permitted."""
    response = control(api, "add_webhook", {"url": url, "secret": "s"})
    assert (response.status, response.code) == (400, "VALIDATION_ERROR")
    assert "--allow-remote-webhooks" in response.json["error"]["message"]
    with Emulator(allow_remote_webhooks=True) as emulator:
        assert emulator.add_webhook(url, secret="s").startswith("whe_")


def test_a_stored_remote_endpoint_gets_nothing(tmp_path: Path) -> None:
    """The attempt fails with the reason."""
    with Emulator(tmp_path / "state.db", allow_remote_webhooks=True) as emulator:
        emulator.add_webhook("http://shop.example/hooks", secret=SECRET)
    with Emulator(tmp_path / "state.db") as emulator:
        emulator.pay("inv_123")
        (delivery,) = settled(emulator, statuses("retrying"))
        assert "--allow-remote-webhooks" in (delivery.failure_reason or "")


# --- events in process ---


def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    headers = {
        name[5:].replace("_", "-").title(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    try:
        event = webhooks.parse(body, headers, secrets=WEBHOOK_SECRET)
    except WebhookVerificationError:
        start_response("400 Bad Request", [])
        return []
    start_response("200 OK", [("X-Path", environ["PATH_INFO"])])
    return [event.event.encode(), b" ", str(event.invoice_id).encode()]


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    event = webhooks.parse(message["body"], headers, secrets=WEBHOOK_SECRET)
    fields = [(b"X-Path", scope["path"].encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    text = f"{event.event} {event.invoice_id}".encode()
    await send({"type": "http.response.body", "body": text})


@pytest.mark.parametrize("app", [wsgi_app, asgi_app])
def test_an_application_in_process_gets_an_event(emulator: Emulator, app: Any) -> None:
    """The application verifies the event, and its response is returned."""
    response = emulator.deliver("invoice.paid", to=app, path="/hooks")
    assert (response.status, response.body) == (200, b"invoice.paid inv_123")
    assert response.headers["x-path"] == "/hooks"


async def test_an_application_on_the_running_loop(emulator: Emulator) -> None:
    """`adeliver` runs an ASGI application on the loop, and a WSGI application on a thread."""
    loops = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        loops.append(asyncio.get_running_loop())
        await asgi_app(scope, receive, send)

    for to in (app, wsgi_app):
        response = await emulator.adeliver("invoice.paid", to=to)
        assert response.body == b"invoice.paid inv_123"
    assert loops == [asyncio.get_running_loop()]
    with pytest.raises(RuntimeError, match="adeliver"):
        emulator.deliver("invoice.paid", to=app)


def test_a_url_gets_an_event(emulator: Emulator, endpoint: Endpoint) -> None:
    """A refusal is returned like a success, and a redirect is not followed."""
    endpoint.statuses = [307, 500, 204]
    found = [
        emulator.deliver("custom", to=endpoint.url, secret=SECRET, bearer="agreed").status
        for _ in range(3)
    ]
    assert found == [307, 500, 204]
    assert endpoint.received[0].event.event == "custom"
    assert endpoint.received[0].headers["Authorization"] == "Bearer agreed"


def test_a_delivery_is_delivered_unchanged(emulator: Emulator, endpoint: Endpoint) -> None:
    """Body and id are those of the delivery, the signature is new."""
    emulator.add_webhook(endpoint.url, secret=SECRET)
    emulator.pay("inv_123")
    (delivery,) = settled(emulator, all_delivered(1))
    assert emulator.deliver(delivery, to=wsgi_app).body == b"invoice.confirming inv_123"
    assert emulator.deliver(delivery, to=wsgi_app, secret="guessed").status == 400


def test_another_target_is_refused(emulator: Emulator) -> None:
    """Neither another object nor another scheme is accepted."""
    with pytest.raises(TypeError, match="no ASGI or WSGI application"):
        emulator.deliver("invoice.paid", to=object())  # type: ignore[arg-type]
    for url in ("file:///etc/passwd", "http://shop.example/hooks"):
        with pytest.raises(ValueError, match=r"must be an http|allow-remote-webhooks"):
            emulator.deliver("invoice.paid", to=url)


# --- traffic ---


def test_the_rate_limit() -> None:
    """Requests beyond the limit of a window are refused with the documented code."""
    with Emulator(rate_limit=(2, 3600)) as emulator:
        api = Api(emulator)
        assert [api("GET", INVOICES).status for _ in range(3)] == [200, 200, 429]
        refused = api("GET", INVOICES)
        assert refused.code == "RATE_LIMIT_EXCEEDED"
        assert "Retry-After" not in refused.headers
        assert api("GET", "/gateway/api/v1/payments").status == 429
        assert control(api, "set_rate_limit", {"rate": 1, "per": 3600}).json == {"ok": True}
        assert [api("GET", INVOICES).status for _ in range(2)] == [200, 429]
        control(api, "set_rate_limit")
        assert api("GET", INVOICES).status == 200
        assert [request.status for request in emulator.requests][-1] == 200


def test_the_window_of_the_rate_limit() -> None:
    """Each window admits its number of requests."""
    now = [0.0]
    traffic = Traffic(lambda: now[0])
    traffic.set_rate_limit(2, 0.5)
    admitted = []
    for at in (0.0, 0.1, 0.4, 0.5, 0.6, 0.9, 7.0):
        now[0] = at
        try:
            traffic.admit()
        except RefusedError:
            continue
        admitted.append(at)
    assert admitted == [0.0, 0.1, 0.5, 0.6, 7.0]


def test_latency(emulator: Emulator, api: Api) -> None:
    """The measured duration of a request contains the latency, and a control request has none."""
    emulator.set_latency(0.05)
    api("GET", INVOICES)
    assert (emulator.requests[-1].duration or 0) >= 0.05
    emulator.set_latency(3000)
    assert control(api, "set_latency", {"seconds": 0}).status == 200


@pytest.mark.parametrize(
    "settings",
    [{"rate_limit": (0, 1)}, {"rate_limit": (1, 0)}, {"rate_limit": (1.5, 1)}, {"latency": -1}],
)
def test_invalid_traffic_is_refused(settings: dict[str, Any]) -> None:
    """The constructor raises ValueError."""
    with pytest.raises(ValueError, match=r"rate|per|seconds"):
        Emulator(**settings)


# --- identity ---


def test_a_script_finds_its_own_emulator(tmp_path: Path) -> None:
    """The ready file has URL and instance id, and is removed at the end."""
    file = tmp_path / "ready.json"
    options = ("--ready-file", str(file), "--rate-limit", "1000", "--latency", "0.001")
    with running_command(*options) as (process, url, _):
        ready = json.loads(file.read_text())
        assert ready["url"] == url
        with urllib.request.urlopen(f"{url}/_emulator", timeout=30) as response:
            about = json.load(response)
        assert about["instanceId"] == ready["instanceId"]
        assert list(tmp_path.iterdir()) == [file]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert list(tmp_path.iterdir()) == []


def test_each_run_has_its_own_id() -> None:
    """The id differs between two emulators."""
    with Emulator() as one, Emulator() as other:
        assert one.instance_id != other.instance_id
