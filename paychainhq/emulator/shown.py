"""JSON of the emulator's objects, for control requests and for the stream of changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from paychainhq._core import validators as check
from paychainhq._core.secrets import Secret
from paychainhq.emulator import deliveries, lifecycle, money
from paychainhq.emulator.deliveries import Delivery
from paychainhq.emulator.request_log import ReceivedRequest, RequestLog
from paychainhq.emulator.state import State, iso


def delivery(delivery: Delivery) -> dict[str, object]:
    return {check.wire_name(name): value for name, value in attrs.asdict(delivery).items()}


def request(request: ReceivedRequest) -> dict[str, object]:
    return {
        "requestId": request.request_id,
        "method": request.method,
        "path": request.path,
        "query": dict(request.query),
        "headers": masked(request.headers),
        "body": request.body,
        "operation": request.operation,
        "status": request.status,
        "credential": request.credential,
        "replayed": request.replayed,
        "receivedAt": request.received_at.isoformat(timespec="milliseconds"),
        "duration": request.duration,
    }


def masked(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: "***" if isinstance(value, Secret) else value for name, value in headers.items()}


def invoice(state: State, invoice_id: str) -> dict[str, object] | None:
    row = state.find("SELECT * FROM invoices WHERE id = ?", invoice_id)
    if row is None:
        return None
    return {
        "id": row["id"],
        "status": row["status"],
        "amount": money.amount(row, int(row["raw"])),
        "paidAmount": money.amount(row, lifecycle.standing(state, row).paid),
        "depositAddress": row["deposit_address"],
        "expiresAt": iso(row["expires_at"]),
    }


def changes(state: State, log: RequestLog) -> Callable[[str, str], object]:
    """Return the function that returns the JSON of a changed object, or None if it is gone."""

    def show(kind: str, changed_id: str) -> object:
        if kind == "invoice":
            return invoice(state, changed_id)
        if kind == "delivery":
            row = deliveries.lookup(state, changed_id)
            return None if row is None else delivery(deliveries.delivery(row))
        if kind == "request":
            found = log.get(changed_id)
            return None if found is None else request(found)
        return {"id": changed_id}

    return show
