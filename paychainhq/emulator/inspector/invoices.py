"""Invoices of the inspector: the list, and one invoice with its payments and controls."""

from __future__ import annotations

from paychainhq.emulator import catalog, lifecycle, money
from paychainhq.emulator.inspector.markup import (
    Child,
    Markup,
    Steps,
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
from paychainhq.models.invoices import InvoiceStatus

SIZE = 15
_COLUMNS = ("Invoice", "Status", "Amount", "-Paid", "-Age", "-Expires", "-Metadata", "-Controls")


def section(state: State, view: View) -> Markup:
    status = view.get("status")
    where, values = ("WHERE status = ?", (status,)) if status else ("", ())
    total = state.get(f"SELECT count(*) AS total FROM invoices {where}", *values)["total"]  # noqa: S608  # nosec B608
    rows = state.all(
        f"SELECT * FROM invoices {where} ORDER BY seq DESC LIMIT ? OFFSET ?",  # noqa: S608  # nosec B608
        *values,
        SIZE,
        (view.page("invoices") - 1) * SIZE,
    )
    listed = [(row["id"], _cells(state, view, row)) for row in rows]
    return element(
        "section",
        heading("h2", "Invoices", "invoices"),
        _filter(status),
        part("invoices", table("list of invoices", _COLUMNS, listed, SIZE)),
        part("invoices-pager", view.pager("invoices", total, SIZE)),
        part("invoice", _opened(state, view)),
        id="invoices",
    )


def _filter(status: str) -> Markup:
    options = [
        element("option", label, value=value, selected=value == status)
        for value, label in [("", "all"), *((name, name) for name in InvoiceStatus)]
    ]
    return element(
        "form",
        field("filter", "Status", "status", options, tag="select"),
        element("button", "Filter"),
        data_filter=True,
    )


def _cells(state: State, view: View, row: Row) -> list[Child]:
    paid = lifecycle.standing(state, row).paid
    body = {"invoiceId": row["id"]}
    return [
        view.link(row["id"], "invoice", invoice=row["id"]),
        _badge(row["status"]),
        f"{money.display(int(row['raw']), row['decimals'])} {row['token']}",
        money.display(paid, row["decimals"]),
        moment(row["created_at"], "since"),
        moment(row["expires_at"], "until"),
        row["metadata"],
        [
            button("Pay", ("pay", body), name=row["id"]),
            button("Confirm", ("confirm", body), name=row["id"]),
        ],
    ]


def _badge(status: str) -> Markup:
    return element("span", status, class_=f"badge {status}")


def _opened(state: State, view: View) -> Child:
    row = state.find("SELECT * FROM invoices WHERE id = ?", view.get("invoice"))
    if row is None:
        return None
    payments = state.all("SELECT * FROM payments WHERE invoice_id = ? ORDER BY seq", row["id"])
    facts: dict[str, Child] = {
        "Status": _badge(row["status"]),
        "Amount": f"{money.display(int(row['raw']), row['decimals'])} {row['token']}",
        "Network": row["network_id"],
        "Address": row["deposit_address"],
        "Created": moment(row["created_at"], "since"),
        "Expires": moment(row["expires_at"], "until"),
        "Customer": row["customer_id"] or "-",
        "Metadata": row["metadata"] or "-",
        "Payments": ", ".join(
            f"{payment['amount']} {payment['token']}{' (late)' if payment['late'] else ''}"
            for payment in payments
        )
        or "none",
    }
    return element(
        "article",
        element("h3", f"Invoice {row['id']}", id="invoice"),
        pairs(facts),
        element("p", [button(label, *steps) for label, steps in _controls(state, row)]),
        element("p", view.link("Close", "invoices", invoice=None)),
    )


def _controls(state: State, row: Row) -> list[tuple[str, Steps]]:
    """Return the controls of an invoice: the label of each, and what it sends."""
    body = {"invoiceId": row["id"]}
    missing = int(row["raw"]) - lifecycle.standing(state, row).paid
    other = next(token for token in catalog.DECIMALS if token != row["token"])

    def pay(raw: int) -> Steps:
        return [("pay", {**body, "amount": money.display(raw, row["decimals"])})]

    controls: list[tuple[str, Steps]] = []
    if missing > 0:
        controls = [
            ("Pay exactly", [("pay", body)]),
            ("Pay too little", pay(max(1, missing // 2))),
            ("Pay too much", pay(missing + max(1, missing // 10))),
            ("Pay late", [("expire", body), ("pay", body)]),
        ]
    return [
        *controls,
        ("Pay in a wrong token", [("pay", {**body, "amount": "1", "token": other})]),
        ("Confirm", [("confirm", body)]),
        ("Expire", [("expire", body)]),
        ("Cancel", [("cancel", body)]),
    ]
