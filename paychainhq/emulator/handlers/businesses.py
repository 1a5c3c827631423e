"""The business and its settings."""

from __future__ import annotations

from paychainhq.emulator.errors import not_found
from paychainhq.emulator.handlers import reference
from paychainhq.emulator.handlers.call import Call
from paychainhq.emulator.state import Row, iso


def get(call: Call) -> object:
    row = _business(call)
    times = {"createdAt": iso(row["created_at"]), "updatedAt": iso(row["updated_at"])}
    return {**_identity(row), "treasuryAddress": row["treasury_address"], **times}


def lookup(call: Call) -> object:
    row = _business(call)
    if call.path["id_or_alias"] not in (row["id"], row["billing_alias"]):
        raise not_found("business")
    return _identity(row)


def payment_methods(call: Call) -> object:
    methods = reference.payment_methods(call)
    return {"businessId": _business(call)["id"], "count": len(methods), "paymentMethods": methods}


def invoice_settings(call: Call) -> object:
    row = _business(call)
    return {
        "businessId": row["id"],
        "invoiceUnderpaymentToleranceBps": row["tolerance_bps"],
        "invoiceUnderpaymentToleranceMaxUsd": row["tolerance_max_usd"],
    }


def update_invoice_settings(call: Call) -> object:
    """Change the settings.

    Assumption: the response holds the settings, and they apply to invoices created later.
    """
    call.state.run(
        "UPDATE business SET tolerance_bps = coalesce(?, tolerance_bps), tolerance_max_usd = "
        "coalesce(?, tolerance_max_usd),"
        " updated_at = ?",
        call.body.get("invoiceUnderpaymentToleranceBps"),
        call.body.get("invoiceUnderpaymentToleranceMaxUsd"),
        call.state.now(),
    )
    return invoice_settings(call)


def _business(call: Call) -> Row:
    return call.state.get("SELECT * FROM business")


def _identity(row: Row) -> dict[str, object]:
    return {
        "id": row["id"],
        "billingAlias": row["billing_alias"],
        "name": row["name"],
        "status": row["status"],
    }
