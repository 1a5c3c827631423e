"""Invoices: each operation returns its own selection of fields, as in the samples."""

from __future__ import annotations

import json
from collections.abc import Mapping

from paychainhq.emulator import catalog, lifecycle, money
from paychainhq.emulator.errors import not_found, refuse_field
from paychainhq.emulator.handlers import customers
from paychainhq.emulator.handlers.call import Call, new_address, new_id, page_of
from paychainhq.emulator.state import Row, iso
from paychainhq.models.invoices import InvoiceStatus

_READY = {
    "status": "ready",
    "ready": True,
    "message": "Deposit address is registered and ready to share.",
}


def create(call: Call) -> object:
    body, state = call.body, call.state
    network = _network(body)
    decimals = catalog.DECIMALS[body["token"]]
    try:
        raw = money.to_raw(body["amount"], decimals)
    except ValueError as error:
        refuse_field("amount", f"amount {error}")
    lifetime = body.get("expiresIn", lifecycle.DEFAULT_LIFETIME_S)
    if lifetime > lifecycle.LONGEST_LIFETIME_S:
        refuse_field("expiresIn", f"expiresIn must be at most {lifecycle.LONGEST_LIFETIME_S}")
    customer = customers.find(call, body["customerId"]) if "customerId" in body else None
    business = state.get("SELECT tolerance_bps, tolerance_max_usd FROM business")
    invoice_id = new_id("inv")
    state.insert(
        "invoices",
        id=invoice_id,
        customer_id=body.get("customerId"),
        status="pending",
        token=body["token"],
        chain=body["chain"],
        network_id=network.id,
        raw=str(raw),
        decimals=decimals,
        deposit_address=_deposit_address(body["chain"], customer),
        expires_at=state.now() + 1000 * lifetime,
        tolerance_bps=body.get("underpaymentToleranceBps", business["tolerance_bps"]),
        tolerance_max_usd=body.get("underpaymentToleranceMaxUsd", business["tolerance_max_usd"]),
        metadata=json.dumps(body["metadata"]) if "metadata" in body else None,
        created_at=state.now(),
    )
    row = _find(call, invoice_id)
    return {
        "id": invoice_id,
        "businessId": state.get("SELECT id FROM business")["id"],
        **({"customerId": customer["id"]} if customer else {}),
        **_asset(row),
        "depositAddress": row["deposit_address"],
        "expiresAt": iso(row["expires_at"]),
        **_tolerance(row),
        "providerRegistration": _READY,
        **_metadata(row),
    }


def list_(call: Call) -> object:
    # An omitted filter is null and matches every row.
    source = (
        "FROM invoices WHERE status = coalesce(?, status) AND customer_id IS coalesce(?, "
        "customer_id)"
    )
    rows, pagination = page_of(call, source, call.query.get("status"), call.query.get("customerId"))
    data = [{"id": row["id"], **_asset(row), "expiresAt": iso(row["expires_at"])} for row in rows]
    return {"data": data, "pagination": pagination}


def get(call: Call) -> object:
    return _detail(call, _find(call, call.path["invoice_id"]))


def get_public(call: Call) -> object:
    row = _find(call, call.path["invoice_id"])
    standing = lifecycle.standing(call.state, row)
    requested = int(row["raw"])
    label, missing = _progress(requested, standing)
    expired = row["status"] == InvoiceStatus.PENDING and call.state.now() >= row["expires_at"]
    return {
        "id": row["id"],
        "status": row["status"],
        # Assumption: no page distinguishes `state` from `status`. Here, `state` reflects expiry at
        # once.
        "state": InvoiceStatus.EXPIRED.value if expired else row["status"],
        "amount": money.amount(row, requested),
        "paidAmount": money.amount(row, standing.paid),
        "paymentProgress": {
            "percentPaid": money.percent(standing.paid, requested),
            "status": label,
            "remainingAmount": {"display": money.display(missing, row["decimals"])},
        },
        "depositAddress": row["deposit_address"],
    }


def cancel(call: Call) -> object:
    row = _find(call, call.path["invoice_id"])
    return {"count": lifecycle.cancel(call.state, row["id"])}


def update_status(call: Call) -> object:
    """Set a status.

    Assumption: the targets are the statuses of the public pages, and there is no other directive.
    """
    row = _find(call, call.path["invoice_id"])
    try:
        status = InvoiceStatus(call.body["status"])
    except ValueError:
        refuse_field("status", f"status must be one of {', '.join(InvoiceStatus)}")
    lifecycle.override(call.state, row["id"], status)
    return _detail(call, _find(call, row["id"]))


def _network(body: Mapping[str, str]) -> catalog.Network:
    token, chain, network_id = body["token"], body["chain"], body.get("networkId")
    if token not in catalog.DECIMALS:
        refuse_field("token", f"token {token} is not supported")
    network = catalog.find_network(token, chain, network_id)
    if network is None:
        refuse_field(
            "networkId" if network_id else "chain",
            f"{token} cannot be received on {chain} {network_id or ''}".rstrip(),
        )
    return network


def _deposit_address(chain: str, customer: Row | None) -> str:
    if customer is not None and chain != "btc":
        return str(customer[f"{chain}_address"])
    return new_address(chain)


def _find(call: Call, invoice_id: str) -> Row:
    try:
        return lifecycle.find(call.state, invoice_id)
    except LookupError:
        raise not_found("invoice") from None


def _asset(row: Row) -> dict[str, object]:
    return {
        "status": row["status"],
        "token": row["token"],
        "chain": row["chain"],
        "networkId": row["network_id"],
        "amount": money.amount(row, int(row["raw"])),
    }


def _tolerance(row: Row) -> dict[str, object]:
    return {
        "underpaymentToleranceBps": row["tolerance_bps"],
        "underpaymentToleranceMaxUsd": row["tolerance_max_usd"],
    }


def _metadata(row: Row) -> dict[str, object]:
    # Assumption: one page documents metadata in requests, none in responses.
    return {} if row["metadata"] is None else {"metadata": json.loads(row["metadata"])}


def _detail(call: Call, row: Row) -> dict[str, object]:
    standing = lifecycle.standing(call.state, row)
    requested = int(row["raw"])
    shortfall = max(requested - standing.in_time, 0) if row["settled_by_tolerance"] else 0
    return {
        "id": row["id"],
        "status": row["status"],
        "settledByTolerance": bool(row["settled_by_tolerance"]),
        **_tolerance(row),
        "toleranceRaw": str(standing.tolerance),
        "toleranceShortfall": money.amount(row, shortfall),
        "amount": money.amount(row, requested),
        "paidAmount": money.amount(row, standing.paid),
        "depositAddress": row["deposit_address"],
        "paymentSummary": {"paymentsReceived": standing.received},
        **_metadata(row),
    }


def _progress(requested: int, standing: lifecycle.Standing) -> tuple[str, int]:
    """Return the payer's label and the missing amount.

    Assumption: only "Paid within tolerance" appears in a sample.
    """
    missing = requested - standing.paid
    if missing < 0:
        return "Overpaid", 0
    if missing == 0:
        return "Paid", 0
    if standing.paid == 0:
        return "Awaiting payment", missing
    if missing <= standing.tolerance:
        return "Paid within tolerance", 0
    return "Partially paid", missing
