"""Controls of the emulator: payments, webhooks, time, faults and traffic.

`Emulator` calls them directly, other processes over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from paychainhq._core import validators as check
from paychainhq._core.settings import is_loopback
from paychainhq.emulator import deliveries, lifecycle, shown
from paychainhq.emulator.endpoints import add_endpoint, set_endpoint_state
from paychainhq.emulator.errors import RefusedError
from paychainhq.emulator.faults import Faults
from paychainhq.emulator.gateway import lifecycle as gateway
from paychainhq.emulator.request_log import RequestLog
from paychainhq.emulator.state import State
from paychainhq.emulator.traffic import Traffic, check_seconds
from paychainhq.models.invoices import InvoiceStatus
from paychainhq.webhooks import signatures

ROOT = "/_emulator"
PREFIX = f"{ROOT}/"
_copies = check.at_most("100", check.positive_int)
_LONGEST_JITTER = 86_400
_LONGEST_ADVANCE = 10**12


@attrs.frozen
class Control:
    """Controls. They raise ValueError for an invalid argument, LookupError for an unknown id."""

    state: State
    faults: Faults
    request_log: RequestLog
    traffic: Traffic
    allow_remote_webhooks: bool = False

    # --- invoices ---

    def pay(self, invoice_id: object, amount: object = None, token: object = None) -> str:
        invoice_id = check.text("invoiceId", invoice_id)
        written = None if amount is None else check.positive_money("amount", amount)
        coin = None if token is None else check.text("token", token)
        with self.state.transaction():
            lifecycle.expire(self.state)
            return lifecycle.pay(self.state, invoice_id, written, coin)

    def confirm(self, invoice_id: object) -> str:
        invoice_id = check.text("invoiceId", invoice_id)
        with self.state.transaction():
            lifecycle.expire(self.state)
            return lifecycle.confirm(self.state, invoice_id)

    def expire(self, invoice_id: object) -> str:
        with self.state.transaction():
            return lifecycle.expire_now(self.state, check.text("invoiceId", invoice_id))

    def cancel(self, invoice_id: object) -> str:
        invoice_id = check.text("invoiceId", invoice_id)
        with self.state.transaction():
            lifecycle.expire(self.state)
            lifecycle.find(self.state, invoice_id)
            lifecycle.cancel(self.state, invoice_id)
            return str(lifecycle.find(self.state, invoice_id)["status"])

    # --- webhooks ---

    def add_webhook(
        self,
        url: object,
        secret: object,
        bearer: object = None,
        copies: object = 1,
        jitter: object = 0.0,
    ) -> str:
        address = self.check_url(url)
        number = _copies("copies", copies)
        seconds = check_seconds("jitter", jitter, _LONGEST_JITTER)
        bearer = signatures.checked_bearer(bearer)
        (secret,) = signatures.checked_secrets(check.text("secret", secret))
        with self.state.transaction():
            return add_endpoint(self.state, address, secret, bearer, number, seconds)

    def check_url(self, url: object) -> str:
        """Return a URL that webhooks may be sent to, or raise ValueError."""
        parts = urlsplit(check.text("url", url))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must be an http or https URL with a host")
        if not self.allow_remote_webhooks and not is_loopback(parts.hostname):
            raise ValueError(
                f"url is not loopback: {parts.hostname[:100]!r} requires --allow-remote-webhooks "
                "(allow_remote_webhooks=True)"
            )
        return parts.geturl()

    def remove_webhook(self, endpoint_id: object) -> None:
        self._set_endpoint_state(endpoint_id, "removed")

    def hold_webhook(self, endpoint_id: object) -> None:
        self._set_endpoint_state(endpoint_id, "held")

    def release_webhook(self, endpoint_id: object) -> None:
        self._set_endpoint_state(endpoint_id, "active")

    def _set_endpoint_state(self, endpoint_id: object, new: str) -> None:
        with self.state.transaction():
            set_endpoint_state(self.state, check.text("endpointId", endpoint_id), new)

    def trigger(self, event: object, invoice_id: object = "inv_123") -> list[str]:
        event, invoice_id = check.text("event", event), check.text("invoiceId", invoice_id)
        with self.state.transaction():
            status = _status_of(self.state, event, invoice_id)
            return deliveries.insert_event(self.state, event, invoice_id, status, self.state.now())

    def event_body(self, event: object, invoice_id: object) -> bytes:
        event, invoice_id = check.text("event", event), check.text("invoiceId", invoice_id)
        status = _status_of(self.state, event, invoice_id)
        return deliveries.event_body(self.state, event, invoice_id, status, self.state.now())

    def resend(self, delivery_id: object) -> str:
        with self.state.transaction():
            return deliveries.resend(self.state, check.text("deliveryId", delivery_id))

    def duplicate(self, delivery_id: object) -> str:
        with self.state.transaction():
            return deliveries.duplicate(self.state, check.text("deliveryId", delivery_id))

    # --- time, faults, traffic ---

    def advance(self, seconds: object) -> None:
        self.state.advance(round(check_seconds("seconds", seconds, _LONGEST_ADVANCE) * 1000))

    def reset_clock(self) -> None:
        self.state.reset_clock()

    def fault(self, operation: object, kind: object, times: object = 1) -> None:
        self.faults.add(operation, kind, times)

    def clear_faults(self) -> None:
        self.faults.clear()

    def set_rate_limit(self, rate: object = None, per: object = 1) -> None:
        self.traffic.set_rate_limit(rate, per)

    def set_latency(self, seconds: object) -> None:
        self.traffic.set_latency(seconds)

    def reset(self) -> None:
        self.state.reset()
        self.faults.clear()
        self.request_log.clear()

    # --- the gateway ---

    def pay_gateway(self, payment_id: object, amount: object = None) -> str:
        payment_id = check.text("paymentId", payment_id)
        minor = None if amount is None else check.positive_int("amount", amount)
        with self.state.transaction():
            return gateway.pay(self.state, payment_id, minor)

    def confirm_gateway(self, payment_id: object) -> str:
        with self.state.transaction():
            return gateway.confirm(self.state, check.text("paymentId", payment_id))

    def refund_gateway(self, payment_id: object) -> str:
        with self.state.transaction():
            return gateway.refund(self.state, check.text("paymentId", payment_id))


def _status_of(state: State, event: str, invoice_id: str) -> str:
    """Return the status that an event reports: the one in its name, or the invoice's own."""
    name = event.removeprefix("invoice.")
    current = str(lifecycle.find(state, invoice_id)["status"])
    return name if name in set(InvoiceStatus) else current


Result = Callable[[Mapping[str, Any], Any], object]


def _status(name: str) -> Result:
    return lambda given, status: {check.wire_name(name): given[name], "status": status}


def _ok(given: Mapping[str, Any], result: object) -> object:
    return {"ok": True}


def _id(given: Mapping[str, Any], result: object) -> object:
    return {"id": result}


_INVOICE, _PAYMENT = _status("invoice_id"), _status("payment_id")

# Each control is a method of `Control`, with its arguments, which the body has under their wire
# names, and the function that returns the JSON of the response. "?" marks what may be omitted.
ACTIONS: Mapping[str, tuple[str, Result]] = {
    "pay": ("invoice_id amount? token?", _INVOICE),
    "confirm": ("invoice_id", _INVOICE),
    "expire": ("invoice_id", _INVOICE),
    "cancel": ("invoice_id", _INVOICE),
    "add_webhook": ("url secret bearer? copies? jitter?", _id),
    "remove_webhook": ("endpoint_id", _ok),
    "hold_webhook": ("endpoint_id", _ok),
    "release_webhook": ("endpoint_id", _ok),
    "trigger": ("event invoice_id?", lambda given, ids: {"ids": ids}),
    "resend": ("delivery_id", _id),
    "duplicate": ("delivery_id", _id),
    "advance": ("seconds", _ok),
    "reset_clock": ("", _ok),
    "fault": ("operation kind times?", _ok),
    "clear_faults": ("", _ok),
    "set_rate_limit": ("rate? per?", _ok),
    "set_latency": ("seconds", _ok),
    "reset": ("", _ok),
    "pay_gateway": ("payment_id amount?", _PAYMENT),
    "confirm_gateway": ("payment_id", _PAYMENT),
    "refund_gateway": ("payment_id", _PAYMENT),
}
LISTS: Mapping[str, Callable[[Control], list[object]]] = {
    "deliveries": lambda control: [
        shown.delivery(delivery) for delivery in deliveries.deliveries(control.state)
    ],
    "requests": lambda control: [shown.request(request) for request in control.request_log.all()],
}


def execute(control: Control, method: str, path: str, body: object) -> object:
    """Execute a request to a path below `/_emulator/`, and return the JSON of its response."""
    name = path.removeprefix(PREFIX)
    try:
        if method == "POST" and name in ACTIONS:
            return _act(control, name, body if isinstance(body, Mapping) else {})
        if method == "GET" and name in LISTS:
            return {"data": LISTS[name](control)}
    except LookupError as error:
        raise RefusedError(404, "NOT_FOUND", str(error)) from None
    except ValueError as error:
        raise RefusedError(400, "VALIDATION_ERROR", str(error)) from None
    raise RefusedError(404, "NOT_FOUND", f"there is no {method} {path}")


def _act(control: Control, name: str, body: Mapping[str, Any]) -> object:
    fields, result = ACTIONS[name]
    given = {}
    for field in fields.split():
        argument = field.removesuffix("?")
        value = body.get(check.wire_name(argument))
        if value is not None or argument == field:
            given[argument] = value
    return result(given, getattr(control, name)(**given))
