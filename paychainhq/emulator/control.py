"""Controls of the emulator: payments, confirmations, time and faults.

`Emulator` calls them directly, other processes over HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from paychainhq._core import validators as check
from paychainhq._core.secrets import Secret
from paychainhq.emulator import lifecycle, outbox
from paychainhq.emulator.endpoints import add_endpoint
from paychainhq.emulator.errors import RefusedError
from paychainhq.emulator.faults import Faults
from paychainhq.emulator.gateway import lifecycle as gateway
from paychainhq.emulator.request_log import ReceivedRequest, RequestLog
from paychainhq.emulator.state import State
from paychainhq.webhooks import signatures

PREFIX = "/_emulator/"
_copies = check.at_most("100", check.positive_int)
_LONGEST_JITTER = 86_400


@attrs.frozen
class Control:
    """Controls. They raise ValueError for an invalid argument, LookupError for an unknown id."""

    state: State
    faults: Faults
    request_log: RequestLog

    def pay(
        self, invoice_id: str, amount: check.Money | None = None, token: str | None = None
    ) -> str:
        written = None if amount is None else check.positive_money("amount", amount)
        with self.state.transaction():
            lifecycle.expire(self.state)
            return lifecycle.pay(self.state, invoice_id, written, token)

    def confirm(self, invoice_id: str) -> str:
        with self.state.transaction():
            lifecycle.expire(self.state)
            return lifecycle.confirm(self.state, invoice_id)

    def advance(self, seconds: float) -> None:
        if (
            isinstance(seconds, bool)
            or not isinstance(seconds, (int, float))
            or not 0 <= seconds < math.inf
        ):
            raise ValueError(f"seconds must be a number of 0 or more, not {seconds!r}")
        self.state.advance(round(seconds * 1000))

    def add_webhook(
        self,
        url: object,
        secret: object,
        bearer: object = None,
        copies: object = 1,
        jitter: object = 0.0,
    ) -> str:
        parts = urlsplit(check.text("url", url))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must be an http or https URL with a host")
        number = _copies("copies", copies)
        if (
            isinstance(jitter, bool)
            or not isinstance(jitter, (int, float))
            or not 0 <= jitter < _LONGEST_JITTER
        ):
            raise ValueError(
                f"jitter must be a number of seconds below {_LONGEST_JITTER}, not {jitter!r}"
            )
        bearer = signatures.checked_bearer(bearer)
        (secret,) = signatures.checked_secrets(check.text("secret", secret))
        with self.state.transaction():
            return add_endpoint(self.state, parts.geturl(), secret, bearer, number, jitter)

    def pay_gateway(self, payment_id: str, amount: int | None = None) -> str:
        minor = None if amount is None else check.positive_int("amount", amount)
        with self.state.transaction():
            return gateway.pay(self.state, payment_id, minor)

    def confirm_gateway(self, payment_id: str) -> str:
        with self.state.transaction():
            return gateway.confirm(self.state, payment_id)

    def refund_gateway(self, payment_id: str) -> str:
        with self.state.transaction():
            return gateway.refund(self.state, payment_id)

    def fault(self, operation: str, kind: str | int, times: int = 1) -> None:
        self.faults.add(operation, kind, times)


def _pay(control: Control, body: Mapping[str, Any]) -> object:
    invoice_id = check.text("invoiceId", body.get("invoiceId"))
    token = None if body.get("token") is None else check.text("token", body["token"])
    return {"invoiceId": invoice_id, "status": control.pay(invoice_id, body.get("amount"), token)}


def _confirm(control: Control, body: Mapping[str, Any]) -> object:
    invoice_id = check.text("invoiceId", body.get("invoiceId"))
    return {"invoiceId": invoice_id, "status": control.confirm(invoice_id)}


def _advance(control: Control, body: Mapping[str, Any]) -> object:
    control.advance(body.get("seconds", ""))
    return {"ok": True}


def _fault(control: Control, body: Mapping[str, Any]) -> object:
    control.fault(body.get("operation", ""), body.get("kind", ""), body.get("times", 1))
    return {"ok": True}


def _add_webhook(control: Control, body: Mapping[str, Any]) -> object:
    known = {
        name: body[name] for name in ("url", "secret", "bearer", "copies", "jitter") if name in body
    }
    return {"id": control.add_webhook(**{"url": None, "secret": None, **known})}


def _deliveries(control: Control, body: Mapping[str, Any]) -> object:
    named = [attrs.asdict(delivery) for delivery in outbox.deliveries(control.state)]
    return {
        "data": [
            {check.wire_name(name): value for name, value in delivery.items()} for delivery in named
        ]
    }


def _gateway(name: str) -> Callable[[Control, Mapping[str, Any]], object]:
    """Return the handler of a control of a gateway payment."""

    def act(control: Control, body: Mapping[str, Any]) -> object:
        payment_id = check.text("paymentId", body.get("paymentId"))
        amount = {"amount": body["amount"]} if name == "pay_gateway" and "amount" in body else {}
        return {"paymentId": payment_id, "status": getattr(control, name)(payment_id, **amount)}

    return act


def _requests(control: Control, body: Mapping[str, Any]) -> object:
    return {"data": [_shown(request) for request in control.request_log.all()]}


def _shown(request: ReceivedRequest) -> dict[str, object]:
    return {
        "requestId": request.request_id,
        "method": request.method,
        "path": request.path,
        "query": dict(request.query),
        "headers": {
            name: "***" if isinstance(value, Secret) else value
            for name, value in request.headers.items()
        },
        "body": request.body,
        "operation": request.operation,
        "status": request.status,
    }


_ROUTES: dict[tuple[str, str], Callable[[Control, Mapping[str, Any]], object]] = {
    ("POST", "pay"): _pay,
    ("POST", "confirm"): _confirm,
    ("POST", "advance"): _advance,
    ("POST", "fault"): _fault,
    ("POST", "add_webhook"): _add_webhook,
    **{
        ("POST", name): _gateway(name)
        for name in ("pay_gateway", "confirm_gateway", "refund_gateway")
    },
    ("GET", "deliveries"): _deliveries,
    ("GET", "requests"): _requests,
}


def execute(control: Control, method: str, path: str, body: object) -> object:
    """Execute a request to a path below `/_emulator/`, and return the JSON of its response."""
    route = _ROUTES.get((method, path.removeprefix(PREFIX)))
    if route is None:
        raise RefusedError(404, "NOT_FOUND", f"there is no {method} {path}")
    try:
        return route(control, body if isinstance(body, Mapping) else {})
    except LookupError as error:
        raise RefusedError(404, "NOT_FOUND", str(error)) from None
    except ValueError as error:
        raise RefusedError(400, "VALIDATION_ERROR", str(error)) from None
