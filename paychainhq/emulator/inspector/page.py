"""Document of the inspector, from the sections of its areas."""

from __future__ import annotations

from collections.abc import Mapping

from paychainhq.emulator import lifecycle
from paychainhq.emulator.control import Control
from paychainhq.emulator.inspector import accounts, faults, invoices, requests, webhooks
from paychainhq.emulator.inspector.markup import Markup, element, moment, part
from paychainhq.emulator.inspector.view import View

_AREAS = {
    "invoices": "Invoices",
    "requests": "Requests",
    "webhooks": "Webhooks",
    "faults": "Faults",
    "clock": "Clock",
    "accounts": "Accounts",
}


def page(control: Control, instance_id: str, query: Mapping[str, str]) -> Markup:
    """Return the page for a query: filter, pages of the lists, and opened objects."""
    view, state = View(query), control.state
    with state.transaction():
        lifecycle.expire(state)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width"),
        element("title", "PayChainHQ emulator"),
        element("link", rel="icon", href="icon.svg"),
        element("link", rel="stylesheet", href="inspector.css"),
        element("script", src="inspector.js"),
    )
    header = element(
        "header",
        element("a", "Skip to the invoices", href="#invoices", class_="skip"),
        element("h1", "PayChainHQ emulator"),
        part("now", element("p", "Emulator's time ", moment(state.now(), "clock"))),
        element("p", "not live", id="live", role="status"),
        element("nav", [element("a", label, href=f"#{name}") for name, label in _AREAS.items()]),
        element("noscript", element("p", "This is a snapshot: reload the page to update it.")),
    )
    body = element(
        "body",
        header,
        element(
            "main",
            invoices.section(state, view),
            requests.section(control.request_log, view),
            webhooks.section(state, view),
            faults.section(control),
            faults.clock(state),
            accounts.section(state, view),
        ),
        element("p", id="message", role="status"),
        data_instance=instance_id,
        data_now=state.now(),
    )
    return Markup("<!doctype html>\n" + element("html", head, body, lang="en"))
