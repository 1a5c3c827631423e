"""Lifecycle of an invoice: payments, confirmations, tolerance, expiry, cancellation."""

from __future__ import annotations

import attrs

from paychainhq.emulator import catalog, money
from paychainhq.emulator.state import Row, State
from paychainhq.models.invoices import InvoiceStatus as Status

# Assumption: "expired invoices may remain raw-pending briefly" gives no duration.
RAW_PENDING_MS = 30_000
DEFAULT_LIFETIME_S = 86_400
# Assumption: no page gives a longest lifetime.
LONGEST_LIFETIME_S = 100 * 365 * 86_400

_PAYABLE = (Status.PENDING, Status.CONFIRMING, Status.PARTIALLY_PAID)


@attrs.frozen
class Standing:
    """Payments received for an invoice, in raw units of its token.

    Attributes:
        received: The number of payments seen, of any token.
        paid: The sum of the deposits in the invoice's own token.
        in_time: The part of `paid` from before the invoice expired.
        tolerance: The largest shortfall that still settles.
    """

    received: int
    paid: int
    in_time: int
    tolerance: int


def standing(state: State, invoice: Row) -> Standing:
    payments = state.all(
        "SELECT token, amount, late FROM payments WHERE invoice_id = ?", invoice["id"]
    )
    matching = [
        (money.to_raw(payment["amount"], invoice["decimals"]), payment["late"])
        for payment in payments
        if payment["token"] == invoice["token"]
    ]
    return Standing(
        received=len(payments),
        paid=sum(raw for raw, _ in matching),
        in_time=sum(raw for raw, late in matching if not late),
        tolerance=money.tolerance_raw(
            int(invoice["raw"]),
            invoice["decimals"],
            invoice["tolerance_bps"],
            invoice["tolerance_max_usd"],
            catalog.PRICES[invoice["token"]],
        ),
    )


def find(state: State, invoice_id: str) -> Row:
    """Return an invoice, or raise LookupError."""
    invoice = state.find("SELECT * FROM invoices WHERE id = ?", invoice_id)
    if invoice is None:
        raise LookupError(f"there is no invoice {invoice_id}")
    return invoice


def expire(state: State) -> None:
    """Expire the invoices whose `expiresAt` and grace period have passed."""
    state.run(
        "UPDATE invoices SET status = 'expired' WHERE status IN ('pending', 'partially_paid') AND "
        "expires_at <= ?",
        state.now() - RAW_PENDING_MS,
    )


def expire_now(state: State, invoice_id: str) -> str:
    """Move the end of an open invoice into the past, and return its status.

    A confirming invoice keeps its status, as it does at its real end.
    """
    if find(state, invoice_id)["status"] in _PAYABLE:
        state.run(
            "UPDATE invoices SET expires_at = min(expires_at, ?) WHERE id = ?",
            state.now() - RAW_PENDING_MS,
            invoice_id,
        )
    expire(state)
    return str(find(state, invoice_id)["status"])


def pay(state: State, invoice_id: str, amount: str | None, token: str | None) -> str:
    """Record a payment seen on chain and return the invoice's status.

    Assumption: a payment of another token, after `expiresAt`, or to an invoice with a terminal
    status is recorded and changes no status.
    """
    invoice = find(state, invoice_id)
    token = token or invoice["token"]
    if amount is None:
        missing = int(invoice["raw"]) - standing(state, invoice).paid
        if missing <= 0:
            raise ValueError(f"{invoice_id} has no remaining amount: pass an amount")
        amount = money.display(missing, invoice["decimals"])
    elif token == invoice["token"]:
        money.to_raw(amount, invoice["decimals"])
    late = state.now() >= invoice["expires_at"]
    state.insert("payments", invoice_id=invoice_id, token=token, amount=amount, late=late)
    if token == invoice["token"] and not late and invoice["status"] in _PAYABLE:
        _set_status(state, invoice_id, Status.CONFIRMING)
        return Status.CONFIRMING.value
    return str(invoice["status"])


def confirm(state: State, invoice_id: str) -> str:
    """Confirm the payments seen so far, settle the invoice accordingly, and return its status."""
    invoice = find(state, invoice_id)
    if invoice["status"] != Status.CONFIRMING:
        return str(invoice["status"])
    now = standing(state, invoice)
    shortfall = int(invoice["raw"]) - now.in_time
    if shortfall < 0:
        status = Status.OVERPAID
    elif shortfall <= now.tolerance:
        status = Status.PAID
    else:
        status = Status.PARTIALLY_PAID
    _set_status(
        state, invoice_id, status, settled_by_tolerance=status is Status.PAID and shortfall > 0
    )
    return status.value


def cancel(state: State, invoice_id: str) -> int:
    """Cancel an invoice and return the number of cancelled invoices.

    Assumption: 0 once a payment was seen.
    """
    return state.run(
        "UPDATE invoices SET status = 'cancelled' WHERE id = ? AND status = 'pending'", invoice_id
    )


def override(state: State, invoice_id: str, status: Status) -> None:
    """Set a status unconditionally."""
    _set_status(state, invoice_id, status)


def _set_status(
    state: State, invoice_id: str, status: Status, *, settled_by_tolerance: bool = False
) -> None:
    state.run(
        "UPDATE invoices SET status = ?, settled_by_tolerance = ? WHERE id = ?",
        status.value,
        settled_by_tolerance,
        invoice_id,
    )
