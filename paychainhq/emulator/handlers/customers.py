"""Customers and their permanent deposit addresses."""

from __future__ import annotations

from paychainhq.emulator.errors import not_found
from paychainhq.emulator.handlers.call import Call, new_address, new_id, page_of
from paychainhq.emulator.state import Row


def create(call: Call) -> object:
    """Create a customer.

    Assumption: references are not unique, so a second request without a key makes a second
    customer.
    """
    customer_id = new_id("cus")
    call.state.insert(
        "customers",
        id=customer_id,
        external_ref=call.body["externalRef"],
        email=call.body.get("email"),
        eth_address=new_address("eth"),
        sol_address=new_address("sol"),
    )
    return _customer(find(call, customer_id))


def list_(call: Call) -> object:
    rows, pagination = page_of(call, "FROM customers")
    return {"data": [_customer(row) for row in rows], "pagination": pagination}


def get(call: Call) -> object:
    return _customer(find(call, call.path["customer_id"]))


def find(call: Call, customer_id: str) -> Row:
    row = call.state.find("SELECT * FROM customers WHERE id = ?", customer_id)
    if row is None:
        raise not_found("customer")
    return row


def _customer(row: Row) -> dict[str, object]:
    addresses = [
        {"chainFamily": family, "address": row[f"{family}_address"]} for family in ("eth", "sol")
    ]
    return {
        "id": row["id"],
        "externalRef": row["external_ref"],
        "email": row["email"],
        "addresses": addresses,
    }
