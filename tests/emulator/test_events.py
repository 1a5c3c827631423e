"""Stream of server-sent events at `/_emulator/events`."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from paychainhq.emulator import Emulator
from tests.emulator.api import INVOICES, Api
from tests.emulator.test_origin_check import port_of
from tests.emulator.test_webhooks import SECRET, Endpoint, all_delivered, endpoint, settled

__all__ = ["endpoint"]


@contextmanager
def stream(emulator: Emulator, **headers: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(emulator), timeout=30)
    connection.request("GET", "/_emulator/events", headers=headers)
    response = connection.getresponse()
    try:
        yield response
    finally:
        response.close()
        connection.close()


def events(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """Return each event with its data."""
    while line := response.readline().decode():
        if line.startswith("event: "):
            data = response.readline().decode().removeprefix("data: ")
            yield line.removeprefix("event: ").strip(), json.loads(data)


def readers(emulator: Emulator) -> int:
    return len(emulator._server._changes._readers)


def test_changes_are_sent(emulator: Emulator, api: Api, endpoint: Endpoint) -> None:
    """Requests, invoices, deliveries and controls arrive, without a credential."""
    with stream(emulator) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert "Access-Control-Allow-Origin" not in response.headers
        received = events(response)
        assert next(received) == ("ready", {"instanceId": emulator.instance_id})
        emulator.add_webhook(endpoint.url, secret=SECRET)
        created = api.create(metadata={"order": "7"})
        emulator.pay(created)
        settled(emulator, all_delivered(1))
        seen: dict[str, Any] = {}
        while seen.get("delivery", {}).get("status") != "delivered":
            kind, data = next(received)
            seen[kind] = data
        assert seen.keys() >= {"webhook", "request", "invoice", "delivery", "control"}
        assert (seen["invoice"]["id"], seen["invoice"]["status"]) == (created, "confirming")
        assert (seen["request"]["operation"], seen["request"]["status"]) == ("invoices.create", 200)
        assert "pk_live" not in json.dumps(seen)
        assert SECRET not in json.dumps(seen)


def test_changes_without_a_reader_are_not_kept(emulator: Emulator, api: Api) -> None:
    """A new reader gets later changes only."""
    api.create()
    with stream(emulator) as response:
        received = events(response)
        assert next(received)[0] == "ready"
        assert api("GET", INVOICES).status == 200
        kind, data = next(received)
        assert (kind, data["operation"]) == ("request", "invoices.list")


def test_a_rolled_back_change_is_sent_as_it_is(emulator: Emulator, api: Api) -> None:
    """Only objects that exist are sent."""
    with stream(emulator) as response:
        received = events(response)
        next(received)
        emulator._read(lambda control: emulator._server._changes.add("invoice", "inv_unknown"))
        emulator._read(lambda control: emulator._server._changes.add("invoice", "inv_123"))
        assert next(received)[1]["id"] == "inv_123"


def test_a_reader_with_too_many_unread_changes_is_dropped(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection ends."""
    monkeypatch.setattr("paychainhq.emulator.changes._UNREAD", 5)
    with stream(emulator) as response:
        next(events(response))
        emulator.reset()
        while readers(emulator):
            pass


def test_a_slow_reader_delays_nobody(
    emulator: Emulator, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests succeed while a reader does not read; in the end it is dropped."""
    monkeypatch.setattr("paychainhq.emulator.changes._PATIENCE_S", 0.5)
    with stream(emulator):
        while readers(emulator):
            api.create(metadata={"large": "x" * 500_000})
    assert api("GET", INVOICES).status == 200


def test_a_reader_that_disconnects_is_forgotten(emulator: Emulator, api: Api) -> None:
    """The next writes reveal the closed connection."""
    with stream(emulator) as response:
        next(events(response))
        assert readers(emulator) == 1
    while readers(emulator):
        api("GET", INVOICES)


def test_readers_do_not_delay_the_exit() -> None:
    """Open streams end when the emulator stops."""
    with Emulator() as emulator, stream(emulator) as response:
        received = events(response)
        next(received)
        emulator.__exit__(None, None, None)
        with pytest.raises((StopIteration, ConnectionError, http.client.HTTPException)):
            while True:
                next(received)


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
def test_a_foreign_page_gets_no_stream(emulator: Emulator, headers: dict[str, str]) -> None:
    """The response is a 403."""
    with stream(emulator, **headers) as response:
        assert response.status == 403
