"""Webhooks of the inspector: endpoints, deliveries, and one delivery with body and signature."""

from __future__ import annotations

import json
from typing import Any

from paychainhq.emulator import deliveries
from paychainhq.emulator.inspector.markup import (
    Child,
    Markup,
    button,
    element,
    field,
    heading,
    moment,
    pairs,
    part,
    table,
)
from paychainhq.emulator.inspector.view import View
from paychainhq.emulator.state import Row, State

SIZE = 10
_ENDPOINTS = ("URL", "-State", "-Id", "-Copies", "Controls")
_DELIVERIES = (
    "Event",
    "-Endpoint",
    "Status",
    "-Attempts",
    "-Response",
    "-Next attempt",
    "-Controls",
)


def section(state: State, view: View) -> Markup:
    total = state.get("SELECT count(*) AS total FROM webhook_deliveries")["total"]
    rows = deliveries.newest(state, SIZE, (view.page("deliveries") - 1) * SIZE)
    listed = [(row["id"], _cells(view, row)) for row in rows]
    return element(
        "section",
        element("h2", "Webhooks"),
        part("endpoints", _endpoints(state)),
        _forms(),
        heading("h3", "Deliveries", "deliveries"),
        part("deliveries", table("list of deliveries", _DELIVERIES, listed, SIZE)),
        part("deliveries-pager", view.pager("deliveries", total, SIZE)),
        part("delivery", _opened(state, view)),
        id="webhooks",
    )


def _endpoints(state: State) -> Markup:
    rows = state.all("SELECT * FROM webhook_endpoints WHERE state <> 'removed' ORDER BY seq")
    listed = [(row["id"], _endpoint_cells(row)) for row in rows]
    return table("list of endpoints", _ENDPOINTS, listed, 1)


def _endpoint_cells(row: Row) -> list[Child]:
    body, held = {"endpointId": row["id"]}, row["state"] == "held"
    controls = [
        button("Release", ("release_webhook", body), name=row["url"])
        if held
        else button("Hold back", ("hold_webhook", body), name=row["url"]),
        button("Remove", ("remove_webhook", body), name=row["url"]),
    ]
    # An endpoint of the gateway belongs to its application.
    return [
        row["url"],
        row["state"],
        row["id"],
        str(row["copies"]),
        controls if row["scheme"] == "paychain" else "-",
    ]


def _forms() -> Markup:
    secret: dict[str, Any] = {"type": "password", "autocomplete": "off", "required": True}
    return element(
        "div",
        element(
            "form",
            field("webhook", "URL", "url", type="url", required=True, size=28),
            field("webhook", "Secret", "secret", **secret),
            element("button", "Add endpoint"),
            data_control="add_webhook",
        ),
        element(
            "form",
            field("trigger", "Event", "event", value="invoice.paid", size=16),
            field("trigger", "Invoice", "invoiceId", value="inv_123", size=12),
            element("button", "Trigger event"),
            data_control="trigger",
        ),
        class_="js-only",
    )


def _cells(view: View, row: Row) -> list[Child]:
    shown = deliveries.delivery(row)
    waiting = shown.next_attempt_at is not None
    return [
        view.link(shown.event_type, "delivery", delivery=shown.id),
        shown.url,
        shown.status,
        f"{shown.attempts} of {shown.max_attempts}",
        str(shown.response_status or "-"),
        moment(row["next_at"], "until") if waiting else "-",
        _controls(shown.id),
    ]


def _controls(delivery_id: str) -> list[Child]:
    body = {"deliveryId": delivery_id}
    return [
        button("Resend", ("resend", body), name=delivery_id),
        button("Deliver twice", ("duplicate", body), name=delivery_id),
    ]


def _opened(state: State, view: View) -> Child:
    row = deliveries.lookup(state, view.get("delivery"))
    if row is None:
        return None
    shown = deliveries.delivery(row)
    headers = json.loads(shown.latest_request_headers or "{}")
    lines = "\n".join(f"{name}: {value}" for name, value in headers.items())
    return element(
        "article",
        element("h3", f"Delivery {shown.id}", id="delivery"),
        pairs(
            {
                "Event": shown.event_type,
                "Endpoint": shown.url,
                "Status": shown.status,
                "Response": str(shown.response_status or "-"),
                "Failure": shown.failure_reason or "-",
                "Signature": row["signature"] or "-",
            }
        ),
        element("h4", "Latest request"),
        element("pre", f"{lines}\n\n{shown.body}", tabindex=0),
        element("p", _controls(shown.id)),
        element("p", view.link("Close", "webhooks", delivery=None)),
    )
