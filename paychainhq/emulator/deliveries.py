"""Deliveries of webhooks: events of invoices as rows of the database, and repeats of them."""

from __future__ import annotations

import json
import random
from typing import Literal

import attrs

from paychainhq.emulator import lifecycle, money
from paychainhq.emulator.handlers.call import new_id
from paychainhq.emulator.state import Row, State, iso
from paychainhq.emulator.webhook_schemes import SCHEMES

_OPEN = ("pending", "retrying")
_SELECT = (
    "SELECT d.*, e.url, e.scheme FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = "
    "d.endpoint_id"
)


@attrs.frozen
class Delivery:
    """Delivery of one event to one endpoint.

    Attributes:
        id: The delivery's id, which webhooks of invoices have as `X-Webhook-ID`.
        event_type: The event's name.
        url: The endpoint's URL.
        status: The state of the delivery.
        attempts: The number of attempts.
        max_attempts: The largest number of attempts.
        failure_reason: The reason of the last attempt's failure, or None.
        latest_request_headers: The headers of the last attempt as JSON with masked secrets, or
            None.
        body: The body.
        response_status: The status of the last attempt's response, or None without a response.
        next_attempt_at: The time of the next attempt, or None if there is none.

    Source: the schema `WebhookEvent` of reference/openapi. Assumption: the last two are the
    emulator's own.
    """

    id: str
    event_type: str
    url: str
    status: Literal["pending", "sending", "retrying", "delivered", "failed"]
    attempts: int
    max_attempts: int
    failure_reason: str | None
    latest_request_headers: str | None
    body: str
    response_status: int | None
    next_attempt_at: str | None


def deliveries(state: State) -> tuple[Delivery, ...]:
    """Return all deliveries, oldest first."""
    with state.transaction():
        insert_events(state)
    return tuple(delivery(row) for row in state.all(f"{_SELECT} ORDER BY d.seq"))


def newest(state: State, limit: int, offset: int) -> list[Row]:
    """Return some deliveries as `lookup` does, the newest first."""
    return state.all(f"{_SELECT} ORDER BY d.seq DESC LIMIT ? OFFSET ?", limit, offset)


def lookup(state: State, delivery_id: str) -> Row | None:
    """Return a delivery with the URL and the scheme of its endpoint, or None."""
    return state.find(f"{_SELECT} WHERE d.id = ?", delivery_id)


def find(state: State, delivery_id: str) -> Row:
    """Return a delivery as `lookup` does, or raise LookupError."""
    row = lookup(state, delivery_id)
    if row is None:
        raise LookupError(f"there is no delivery {delivery_id}")
    return row


def delivery(row: Row) -> Delivery:
    names = [field.name for field in attrs.fields(Delivery) if field.name in row.keys()]  # noqa: SIM118
    values = {name: row[name] for name in names}
    return Delivery(
        **{**values, "body": row["body"].decode()},
        max_attempts=1 + len(SCHEMES[row["scheme"]].schedule),
        next_attempt_at=iso(row["next_at"]) if row["status"] in _OPEN else None,
    )


def resend(state: State, delivery_id: str) -> str:
    """Schedule another attempt of a delivery at once, and return its id."""
    if find(state, delivery_id)["status"] == "sending":
        raise ValueError(f"{delivery_id} is being sent: wait for the end of the attempt")
    state.run(
        "UPDATE webhook_deliveries SET status = 'retrying', next_at = ? WHERE id = ?",
        state.now(),
        delivery_id,
    )
    return delivery_id


def duplicate(state: State, delivery_id: str) -> str:
    """Insert a second delivery of the same event, as a vendor may send it, and return its id."""
    original = find(state, delivery_id)
    return _insert(
        state, original["endpoint_id"], original["event_type"], original["body"], state.now()
    )


def insert_events(state: State) -> None:
    """Insert the deliveries for the changes of invoices so far."""
    for change in state.all("SELECT * FROM status_changes ORDER BY seq"):
        status = change["status"]
        insert_event(state, f"invoice.{status}", change["invoice_id"], status, change["at"])
    state.run("DELETE FROM status_changes")


def insert_event(state: State, name: str, invoice_id: str, status: str, at: int) -> list[str]:
    """Insert the deliveries of an event of an invoice, and return their ids.

    Assumption: no page names the events of an invoice, except `invoice.paid`.
    """
    body = event_body(state, name, invoice_id, status, at)
    return [
        _insert(
            state,
            endpoint["id"],
            name,
            body,
            at + random.randint(0, endpoint["jitter_ms"]),  # noqa: S311  # nosec B311
        )
        for endpoint in state.all(
            "SELECT * FROM webhook_endpoints WHERE scheme = 'paychain' AND state <> 'removed'"
        )
        for _ in range(endpoint["copies"])
    ]


def _insert(state: State, endpoint_id: str, event_type: str, body: bytes, next_at: int) -> str:
    delivery_id = new_id("wh")
    state.insert(
        "webhook_deliveries",
        id=delivery_id,
        endpoint_id=endpoint_id,
        event_type=event_type,
        body=body,
        status="pending",
        attempts=0,
        next_at=next_at,
    )
    return delivery_id


def event_body(state: State, name: str, invoice_id: str, status: str, at: int) -> bytes:
    """Return the body of a new event."""
    invoice = lifecycle.find(state, invoice_id)
    standing = lifecycle.standing(state, invoice)
    shortfall = max(int(invoice["raw"]) - standing.in_time, 0)
    data = {
        "invoiceId": invoice["id"],
        "businessId": state.get("SELECT id FROM business")["id"],
        "status": status,
        "amount": money.amount(invoice, int(invoice["raw"])),
        "paidAmount": money.amount(invoice, standing.paid),
        "settledByTolerance": bool(invoice["settled_by_tolerance"]),
        "toleranceRaw": str(standing.tolerance),
        "shortfallRaw": str(shortfall),
    }
    event = {"id": new_id("evt"), "event": name, "timestamp": iso(at), "data": data}
    return json.dumps(event).encode()
