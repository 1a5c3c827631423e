"""Lifecycle of a gateway payment, with the webhooks of its changes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from paychainhq.emulator.gateway.views import payment_json
from paychainhq.emulator.handlers.call import new_id
from paychainhq.emulator.state import Row, State
from paychainhq.gateway.models import PaymentStatus as Status
from paychainhq.gateway.webhooks import EventName

_PAYABLE = (Status.OPEN, Status.FOUND, Status.UNDERPAID)


def find(state: State, payment_id: str) -> Row:
    """Return a payment, or raise LookupError."""
    payment = state.find("SELECT * FROM gateway_payments WHERE id = ?", payment_id)
    if payment is None:
        raise LookupError(f"there is no payment {payment_id}")
    return payment


def pay(state: State, payment_id: str, amount: int | None) -> str:
    """Record a payment seen on chain and return its status.

    Assumption: a payment that is no longer open accepts nothing.
    """
    payment = find(state, payment_id)
    if payment["status"] not in _PAYABLE:
        return str(payment["status"])
    missing = payment["amount"] - payment["received"]
    if amount is None and missing <= 0:
        raise ValueError(f"{payment_id} has no remaining amount: pass an amount")
    status = Status.FOUND if payment["status"] == Status.OPEN else Status(payment["status"])
    state.run(
        "UPDATE gateway_payments SET status = ?, received = received + ?, found_at = "
        "coalesce(found_at, ?) WHERE id = ?",
        status.value,
        missing if amount is None else amount,
        state.now(),
        payment_id,
    )
    return status.value


def confirm(state: State, payment_id: str) -> str:
    """Confirm the received amount, send the webhooks, and return the payment's status.

    Assumption: an application that allows underpayments accepts any amount as full. Overpayments
    are always accepted.
    """
    payment = find(state, payment_id)
    if payment["status"] not in (Status.FOUND, Status.UNDERPAID):
        return str(payment["status"])
    application = state.get(
        "SELECT * FROM gateway_applications WHERE id = ?", payment["application_id"]
    )
    if payment["received"] >= payment["amount"] or application["allow_underpay"]:
        state.run(
            "UPDATE gateway_payments SET confirmed_at = ? WHERE id = ?", state.now(), payment_id
        )
        return _become(
            state, payment_id, Status.RECEIVED, [EventName.RECEIVED, EventName.COMPLETED]
        )
    return _become(state, payment_id, Status.UNDERPAID, [EventName.UNDERPAID])


def acknowledged(state: State, body: bytes) -> None:
    """Set the payment of an acknowledged webhook to CONFIRMED if its status is RECEIVED.

    Assumption: the first acknowledgement of either event of the payment suffices.
    """
    payment_id = json.loads(body)["payment"]["id"]
    state.run(
        "UPDATE gateway_payments SET status = 'CONFIRMED' WHERE id = ? AND status = 'RECEIVED'",
        payment_id,
    )


def refund(state: State, payment_id: str) -> str:
    """Execute the requested refund, send the webhook, and return the payment's status.

    Assumption: the webhook of a refund has the status REFUND.
    """
    find(state, payment_id)
    if state.find("SELECT 1 FROM gateway_refunds WHERE payment_id = ?", payment_id) is None:
        raise LookupError(f"no refund of {payment_id} was requested")
    return _become(state, payment_id, Status.REFUND, [EventName.REFUND])


def _become(state: State, payment_id: str, status: Status, events: Sequence[EventName]) -> str:
    """Set a status, insert its webhooks, and return it.

    Assumption: the webhooks of a change are due at once, and a repeated one has the body of the
    first attempt.
    """
    state.run("UPDATE gateway_payments SET status = ? WHERE id = ?", status.value, payment_id)
    payment = find(state, payment_id)
    # The endpoint of an application has the application's id.
    if (
        state.find("SELECT 1 FROM webhook_endpoints WHERE id = ?", payment["application_id"])
        is not None
    ):
        for event in events:
            state.insert(
                "webhook_deliveries",
                id=new_id("wh"),
                endpoint_id=payment["application_id"],
                event_type=event.value,
                body=json.dumps({"payment": payment_json(payment)}).encode(),
                status="pending",
                attempts=0,
                next_at=state.now(),
            )
    return status.value
