"""Payment page of an order: complete without scripts, kept up to date by `shop.js`."""

from __future__ import annotations

import html
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from string import Template
from typing import Any

import segno

Order = Mapping[str, Any]

PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
STEPS = {"pending": "Payment", "confirming": "Confirmation", "paid": "Done"}
TEXTS = {
    "new": "The payment is being prepared",
    "pending": "Waiting for your payment",
    "partially_paid": "Partially paid: a part is missing",
    "underpaid": "Partially paid: a part is missing",
    "confirming": "Seen, waiting for confirmations",
    "paid": "Paid. Thank you!",
    "overpaid": "Paid, and more than the price: we will return the rest. Thank you!",
    "expired": "Expired: do not pay any more, and place a new order",
    "cancelled": "Cancelled: do not pay any more",
    "failed": "The payment has failed: contact us",
}
FINAL = ("paid", "overpaid", "cancelled", "failed")
PAYABLE = ("pending", "partially_paid", "underpaid")
REFRESH = '<meta http-equiv="refresh" content="5">'


def state_of(order: Order) -> dict[str, Any]:
    """Return the state of an order as its page shows it; `version` changes with it."""
    status = str(order["status"])
    if status in PAYABLE and datetime.fromisoformat(order["expires_at"]) <= datetime.now(UTC):
        status = "expired"
    if order["paid_at"] is not None and status != "overpaid":
        status = "paid"
    return {
        "status": status,
        "paid": order["paid_at"] is not None,
        "final": status in FINAL,
        "version": f"{status} {order['received']}",
    }


def payment_page(order: Order) -> str:
    state = state_of(order)
    return PAGE.substitute(
        title=_text(f"{TEXTS.get(state['status'], state['status'])} - {order['article']}"),
        article=_text(order["article"]),
        text=_text(TEXTS.get(state["status"], state["status"])),
        version=_text(state["version"]),
        refresh="" if state["final"] else REFRESH,
        order=_steps(state["status"]) + (_payment(order) if state["status"] in PAYABLE else ""),
    )


def _text(value: object) -> str:
    return html.escape(str(value))


def _steps(status: str) -> str:
    """Return the progress of the payment, for statuses that are a step of it."""
    current = {"overpaid": "paid", "partially_paid": "pending", "underpaid": "pending"}
    step = current.get(status, status)
    if step not in STEPS:
        return ""
    reached = list(STEPS).index(step) + (step == "paid")
    marks = ["class='done'", "aria-current='step'", ""]
    items = "".join(
        f"<li {marks[(number >= reached) + (number > reached)]}>{text}</li>"
        for number, text in enumerate(STEPS.values())
    )
    return f"<ol aria-label='Progress'>{items}</ol>"


def _payment(order: Order) -> str:
    price, received = Decimal(order["price"]), Decimal(order["received"])
    missing, token = price - received, order["token"]
    partial = ""
    if received:
        partial = (
            f"<p>Received: {received:f} of {price:f} {token}."
            f' <progress value="{received:f}" max="{price:f}" aria-label="Received"></progress></p>'
        )
    ends = datetime.fromisoformat(order["expires_at"])
    uri = _text(order["uri"])
    return f"""{partial}<dl>
<dt>Send exactly</dt>
<dd><span id="amount">{missing:f}</span> {_text(token)} on {_text(order["network"])}
{_copy("amount")}</dd>
<dt>To</dt><dd><span id="address">{_text(order["address"])}</span> {_copy("address")}</dd>
<dt>Time left</dt>
<dd><time id="left" datetime="{ends.isoformat()}">until {ends:%H:%M} UTC</time></dd>
</dl>
<p><a class="wallet" href="{uri}">Open in your wallet</a></p>
<div id="qr">{segno.make(order["uri"], micro=False).svg_inline(scale=4, title="Payment code")}</div>
"""


def _copy(name: str) -> str:
    label = f"Copy the {name}"
    return f'<button type="button" data-copy="{name}" aria-label="{label}" hidden>Copy</button>'
