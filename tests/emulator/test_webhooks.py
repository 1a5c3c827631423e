"""Webhooks of the emulator: signatures, the documented schedule, and the delivery log."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest

from paychainhq import webhooks
from paychainhq.emulator import Emulator
from paychainhq.emulator.deliveries import Delivery
from paychainhq.webhooks import Event
from tests.emulator.api import INVOICES, Api

SECRET = "whsec_of_the_test"
MINUTE, HOUR = 60, 3600


@attrs.frozen
class Received:
    """Webhook, as received."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> Event:
        return webhooks.parse(self.body, self.headers, secrets=SECRET)


class Endpoint:
    """Server that responds to webhooks with a list of statuses, repeating the last one."""

    def __init__(self) -> None:
        self.statuses: list[int] = [200]
        self.received: list[Received] = []
        self.gate = threading.Event()
        self.gate.set()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.received.append(Received(dict(self.headers), body))
                endpoint.gate.wait()
                status = (
                    endpoint.statuses.pop(0) if len(endpoint.statuses) > 1 else endpoint.statuses[0]
                )
                self.send_response(status)
                self.send_header("Content-Length", "0")
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.gate.set()
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def settled(
    emulator: Emulator, until: Callable[[tuple[Delivery, ...]], bool]
) -> tuple[Delivery, ...]:
    """Wait until the emulator's deliveries meet a condition."""
    while not until(found := emulator.deliveries):
        pass
    return found


def statuses(*wanted: str) -> Callable[[tuple[Delivery, ...]], bool]:
    return lambda found: [delivery.status for delivery in found] == list(wanted)


def attempted(times: int) -> Callable[[tuple[Delivery, ...]], bool]:
    return lambda found: (
        [(delivery.status, delivery.attempts) for delivery in found] == [("retrying", times)]
    )


def all_delivered(count: int) -> Callable[[tuple[Delivery, ...]], bool]:
    return statuses(*["delivered"] * count)


def pay(emulator: Emulator, invoice_id: str = "inv_123", amount: str | None = None) -> None:
    emulator.pay(invoice_id, amount)
    emulator.confirm(invoice_id)


def test_a_paid_invoice_sends_a_webhook(emulator: Emulator, endpoint: Endpoint) -> None:
    """The webhook has the documented headers and the documented envelope."""
    emulator.add_webhook(endpoint.url, secret=SECRET, bearer="agreed")
    pay(emulator, amount="149.75")
    seen, paid = settled(emulator, all_delivered(2))
    first, second = sorted(
        endpoint.received, key=lambda received: received.event.event, reverse=True
    )
    assert {
        name: first.headers[name]
        for name in ("Content-Type", "X-Webhook-Signature-Alg", "X-Webhook-Attempt")
    } == {
        "Content-Type": "application/json",
        "X-Webhook-Signature-Alg": "HMAC-SHA256",
        "X-Webhook-Attempt": "1",
    }
    assert (first.headers["X-Webhook-ID"], first.headers["Authorization"]) == (
        paid.id,
        "Bearer agreed",
    )
    assert (first.event.event, second.event.event) == ("invoice.paid", "invoice.confirming")
    data = first.event.data
    assert (data.invoice_id, data.business_id, data.status) == ("inv_123", "biz_123", "paid")
    assert data.amount is not None
    assert data.paid_amount is not None
    assert (str(data.amount.display), str(data.paid_amount.display)) == ("150", "149.75")
    assert (data.settled_by_tolerance, data.tolerance_raw, data.shortfall_raw) == (
        True,
        500_000,
        250_000,
    )
    assert first.event.extra == {}
    assert data.extra == {}
    assert (seen.event_type, seen.attempts, seen.max_attempts, seen.failure_reason) == (
        "invoice.confirming",
        1,
        6,
        None,
    )
    assert json.loads(paid.latest_request_headers or "")["X-Webhook-Signature"] == "***"
    assert "agreed" not in repr(paid)
    assert paid.body == first.body.decode()


def test_every_change_of_status_is_an_event(
    emulator: Emulator, endpoint: Endpoint, api: Api
) -> None:
    """A change without a request, such as expiry, counts too."""
    emulator.add_webhook(endpoint.url, secret=SECRET)
    assert api("DELETE", f"{INVOICES}/{api.create()}", key="cancel").json == {"count": 1}
    expiring = api.create(expiresIn=60)
    pay(emulator, amount="1")
    emulator.confirm("inv_123")
    emulator.advance(10 * MINUTE)
    settled(emulator, all_delivered(4))
    counts = Counter(
        (received.event.event, received.event.invoice_id == expiring)
        for received in endpoint.received
    )
    assert counts == {
        ("invoice.cancelled", False): 1,
        ("invoice.confirming", False): 1,
        ("invoice.partially_paid", False): 1,
        ("invoice.expired", True): 1,
    }


def test_failed_webhooks_are_delivered_again_on_the_schedule(
    emulator: Emulator, endpoint: Endpoint
) -> None:
    """Attempts follow after 1, 5 and 15 minutes, then 1 and 6 hours, with the same event.

    Each wait begins with the previous attempt, and the sixth attempt is the last.
    """
    endpoint.statuses = [500]
    emulator.add_webhook(endpoint.url, secret=SECRET)
    emulator.pay("inv_123")
    for attempt, wait in enumerate([MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR], start=1):
        (delivery,) = settled(emulator, attempted(attempt))
        assert delivery.failure_reason == "the endpoint returned 500"
        emulator.advance(wait - 2)
        assert len(endpoint.received) == attempt
        emulator.advance(2)
    (delivery,) = settled(emulator, statuses("failed"))
    assert delivery.attempts == 6
    emulator.advance(48 * HOUR)
    assert [received.headers["X-Webhook-Attempt"] for received in endpoint.received] == [
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
    ]
    assert len({received.body for received in endpoint.received}) == 1
    assert len({received.headers["X-Webhook-ID"] for received in endpoint.received}) == 1
    times = [int(received.headers["X-Webhook-Timestamp"]) for received in endpoint.received]
    assert times == sorted(set(times))


@pytest.mark.parametrize("status", [204, 299])
def test_any_2xx_is_an_acknowledgement(emulator: Emulator, endpoint: Endpoint, status: int) -> None:
    """Statuses other than 200 are accepted too."""
    endpoint.statuses = [status]
    emulator.add_webhook(endpoint.url, secret=SECRET)
    emulator.pay("inv_123")
    settled(emulator, all_delivered(1))


def test_redirects_are_failures(emulator: Emulator, endpoint: Endpoint) -> None:
    """Redirects are not followed; the next attempt may succeed."""
    endpoint.statuses = [307, 200]
    emulator.add_webhook(endpoint.url, secret=SECRET)
    emulator.pay("inv_123")
    (delivery,) = settled(emulator, statuses("retrying"))
    assert delivery.failure_reason == "the endpoint returned 307"
    assert len(endpoint.received) == 1
    emulator.advance(MINUTE)
    (delivery,) = settled(emulator, statuses("delivered"))
    assert (delivery.attempts, delivery.failure_reason) == (2, None)


def test_an_unreachable_endpoint(emulator: Emulator, endpoint: Endpoint) -> None:
    """The delivery is retried like any other, and does not delay others."""
    emulator.add_webhook("http://127.0.0.1:9/hooks", secret=SECRET)
    emulator.add_webhook(endpoint.url, secret="another")
    emulator.pay("inv_123")
    lost, _ = settled(emulator, statuses("retrying", "delivered"))
    assert lost.failure_reason is not None
    assert "could not be reached" in lost.failure_reason
    assert (
        webhooks.parse(
            endpoint.received[0].body, endpoint.received[0].headers, secrets="another"
        ).invoice_id
        == "inv_123"
    )


def test_copies_and_jitter(emulator: Emulator, endpoint: Endpoint, api: Api) -> None:
    """Each event is delivered several times, and out of order."""
    emulator.add_webhook(endpoint.url, secret=SECRET, copies=3, jitter=HOUR)
    invoices = [api.create() for _ in range(10)]
    for invoice_id in invoices:
        pay(emulator, invoice_id)
    assert len(endpoint.received) < 60
    for _ in range(60):
        emulator.advance(MINUTE)
    settled(emulator, all_delivered(60))
    events = Counter((received.event.id, received.event.event) for received in endpoint.received)
    assert set(events.values()) == {3}
    assert len(events) == 20
    order = [received.event.timestamp for received in endpoint.received]
    assert order != sorted(order)  # type: ignore[type-var]


def test_deliveries_continue_after_a_crash(endpoint: Endpoint, tmp_path: Path) -> None:
    """A state file stores endpoints and deliveries."""
    endpoint.gate.clear()
    with Emulator(tmp_path / "state.db") as emulator:
        emulator.add_webhook(endpoint.url, secret=SECRET)
        emulator.pay("inv_123")
        settled(emulator, statuses("sending"))
        while not endpoint.received:
            pass
    endpoint.gate.set()
    with Emulator(tmp_path / "state.db") as emulator:
        (delivery,) = settled(emulator, statuses("delivered"))
        assert delivery.attempts == 2
    assert [received.event.event for received in endpoint.received] == ["invoice.confirming"] * 2


def test_endpoints_can_be_added_over_http(emulator: Emulator, endpoint: Endpoint, api: Api) -> None:
    """The endpoint and the record are the same as by method."""
    body = {"url": endpoint.url, "secret": SECRET, "copies": 2}
    assert api("POST", "/_emulator/add_webhook", body, headers={}).json["id"].startswith("whe_")
    emulator.pay("inv_123")
    settled(emulator, all_delivered(2))
    found = api("GET", "/_emulator/deliveries", headers={}).json["data"]
    assert [
        (delivery["eventType"], delivery["status"], delivery["maxAttempts"]) for delivery in found
    ] == [("invoice.confirming", "delivered", 6)] * 2


WRONG: list[dict[str, Any]] = [
    {"url": "ftp://x"},
    {"url": "nonsense"},
    {"url": ""},
    {"url": 7},
    {"secret": ""},
    {"secret": None},
    {"bearer": ""},
    {"copies": 0},
    {"copies": 101},
    {"copies": "2"},
    {"jitter": -1},
    {"jitter": "x"},
    {"jitter": True},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_an_invalid_endpoint_is_refused(
    emulator: Emulator, api: Api, wrong: dict[str, Any]
) -> None:
    """The method and the HTTP request refuse the same values."""
    given: dict[str, Any] = {"url": "http://127.0.0.1:9/", "secret": "s", **wrong}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        emulator.add_webhook(given.pop("url"), **given)
    response = api(
        "POST",
        "/_emulator/add_webhook",
        {"url": "http://127.0.0.1:9/", "secret": "s", **wrong},
        headers={},
    )
    assert (response.status, response.code) == (400, "VALIDATION_ERROR")


def test_a_silent_endpoint_does_not_delay_the_exit(endpoint: Endpoint) -> None:
    """The exit does not wait for the delivery's timeout of thirty seconds."""
    endpoint.gate.clear()
    with Emulator() as emulator:
        emulator.add_webhook(endpoint.url, secret=SECRET)
        emulator.pay("inv_123")
        settled(emulator, statuses("sending"))
