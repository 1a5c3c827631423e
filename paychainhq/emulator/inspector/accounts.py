"""Keys, customers, balances and billing of the inspector, which it only shows."""

from __future__ import annotations

from typing import Any, cast

from paychainhq.emulator.handlers import treasury
from paychainhq.emulator.handlers.call import Call
from paychainhq.emulator.inspector.markup import (
    Child,
    Markup,
    element,
    heading,
    moment,
    part,
    table,
)
from paychainhq.emulator.inspector.view import View
from paychainhq.emulator.state import State

SIZE = 10
Rows = list[tuple[str, list[Child]]]


def section(state: State, view: View) -> Markup:
    total = state.get("SELECT count(*) AS total FROM customers")["total"]
    return element(
        "section",
        element("h2", "Accounts"),
        element("h3", "API keys"),
        part(
            "keys",
            table("list of keys", ("Key", "Kind", "Name", "-Created", "-State"), _keys(state), 1),
        ),
        heading("h3", "Customers", "customers"),
        part(
            "customers",
            table(
                "list of customers",
                ("Customer", "Reference", "-Email"),
                _customers(state, view),
                SIZE,
            ),
        ),
        part("customers-pager", view.pager("customers", total, SIZE)),
        element("h3", "Balances"),
        part(
            "balances",
            table("list of balances", ("Network", "Token", "Available"), _balances(state), 1),
        ),
        element("h3", "Billing"),
        part(
            "billing",
            table("list of charges", ("Charge", "Status", "USD", "-Due"), _billing(state), 1),
        ),
        id="accounts",
    )


def _keys(state: State) -> Rows:
    return [
        (
            row["id"],
            [
                row["id"],
                row["kind"],
                row["name"],
                moment(row["created_at"], "since"),
                "revoked" if row["revoked"] else "active",
            ],
        )
        for row in state.all("SELECT * FROM api_keys ORDER BY seq DESC LIMIT ?", SIZE)
    ]


def _customers(state: State, view: View) -> Rows:
    rows = state.all(
        "SELECT * FROM customers ORDER BY seq DESC LIMIT ? OFFSET ?",
        SIZE,
        (view.page("customers") - 1) * SIZE,
    )
    return [(row["id"], [row["id"], row["external_ref"], row["email"]]) for row in rows]


def _balances(state: State) -> Rows:
    found = cast("dict[str, Any]", treasury.balances(Call(state, {}, {}, {})))
    return [
        (
            f"{item['networkId']} {item['token']}",
            [item["networkId"], item["token"], item["available"]],
        )
        for item in found["data"]
    ]


def _billing(state: State) -> Rows:
    rows = state.all("SELECT * FROM billing_invoices ORDER BY seq DESC LIMIT ?", SIZE)
    return [
        (row["id"], [row["id"], row["status"], row["amount_usd"], moment(row["due_at"], "until")])
        for row in rows
    ]
