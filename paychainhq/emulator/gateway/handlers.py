"""Operations of the gateway, one function each: takes a `Call`, returns the content of `data`."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote
from uuid import uuid4

from paychainhq.emulator.catalog import GATEWAY_CURRENCIES
from paychainhq.emulator.endpoints import add_endpoint
from paychainhq.emulator.errors import RefusedError, refuse_field
from paychainhq.emulator.gateway import lifecycle
from paychainhq.emulator.gateway.views import SYMBOLS, application_json, payment_json, refund_json
from paychainhq.emulator.handlers.call import Call, Handler
from paychainhq.emulator.state import Row
from paychainhq.webhooks.signatures import signature

_YEAR_S = 365 * 86_400
_BANK = ("bankName", "bankCode", "bankAccountNumber", "bankAccountHolder")
_APP_KEY = "the emulator's APP_KEY"
# Assumption: the checkout page is not emulated. Its links have the address of the documents.
_CHECKOUT = "https://yourdomain.com/checkout"


def create_payment(call: Call) -> object:
    """Create a payment.

    Assumption: references are not unique, so that a second request makes a second payment.
    """
    body, now = call.body, call.state.now()
    field = "siteId" if "siteId" in body and "clientId" not in body else "clientId"
    if field not in body:
        refuse_field(field, "The client id field is required.")
    queries = {
        "siteId": "SELECT * FROM gateway_applications WHERE site_id = ?",
        "clientId": "SELECT * FROM gateway_applications WHERE client_id = ?",
    }
    application = call.state.find(queries[field], body[field])
    if application is None:
        refuse_field(field, "There is no such application.")
    if body["currencyCode"] not in SYMBOLS:
        refuse_field("currencyCode", "The selected currency code is invalid.")
    payment_id = str(uuid4())
    call.state.insert(
        "gateway_payments",
        id=payment_id,
        application_id=application["id"],
        status="OPEN",
        reference=body["reference"],
        reference_label=body["referenceLabel"],
        currency=body["currencyCode"],
        settlement_currency=body.get("settlementCurrencyCode", "USDT"),
        amount=body["amount"],
        created_at=now,
    )
    expires = now // 1000 + _YEAR_S
    if "expiresAt" in body:
        expires = int(datetime.fromisoformat(body["expiresAt"]).timestamp())
    signed = signature(_APP_KEY, f"{payment_id}|{expires}".encode())
    url = f"{_CHECKOUT}/{payment_id}?expires={expires}&signature={signed}"
    back = f"&redirectUrl={quote(body['redirectUrl'], safe='')}" if "redirectUrl" in body else ""
    return {"checkoutUrl": url + back}


def get_payment(call: Call) -> object:
    return payment_json(_payment(call, call.path["payment_id"]))


def instructions(call: Call) -> object:
    """Return the payment instructions.

    Assumption: no page shows these fields, the providers or the methods.
    """
    payment = _payment(call, call.path["payment_id"])
    address = hashlib.sha256("|".join(call.path.values()).encode()).hexdigest()[:40]
    amount = f"{payment['amount'] // 100}.{payment['amount'] % 100:02d}"
    return {
        "address": f"0x{address}",
        "amount": amount,
        "currency": call.path["method"],
        "provider": call.path["provider"],
    }


def methods(call: Call) -> object:
    """List the methods that the application accepts. Assumption: no page shows these fields."""
    payment = _payment(call, call.path["payment_id"])
    application = call.state.get(
        "SELECT * FROM gateway_applications WHERE id = ?", payment["application_id"]
    )
    return [
        {"provider": "emulator", "method": code}
        for code in json.loads(application["currency_whitelist"])
    ]


def list_applications(call: Call) -> object:
    return [
        application_json(row)
        for row in call.state.all("SELECT * FROM gateway_applications ORDER BY seq")
    ]


def get_application(call: Call) -> object:
    row = call.state.find(
        "SELECT * FROM gateway_applications WHERE id = ?", call.path["application_id"]
    )
    if row is None:
        raise _not_found()
    return application_json(row)


def create_application(call: Call) -> object:
    """Create an application. Assumption: no page gives the defaults of omitted fields."""
    body, application_id = call.body, str(uuid4())
    call.state.insert(
        "gateway_applications",
        id=application_id,
        client_id=secrets.token_hex(16),
        site_id=str(uuid4()),
        name=body["name"],
        url=body.get("url"),
        callback_url=body.get("callbackUrl"),
        currency_whitelist=json.dumps(body.get("currencyWhitelist", GATEWAY_CURRENCIES)),
        allow_underpay=body.get("allowUnderpay", False),
        allow_overpay=body.get("allowOverpay", True),
        created_at=call.state.now(),
    )
    if "callbackUrl" in body:
        add_endpoint(
            call.state,
            body["callbackUrl"],
            body["secret"],
            endpoint_id=application_id,
            scheme="gateway",
        )
    return application_json(
        call.state.get("SELECT * FROM gateway_applications WHERE id = ?", application_id)
    )


def create_refund(call: Call) -> object:
    """Record a refund request. Assumption: no page gives the statuses of these refusals."""
    body = call.body
    bank = [name for name in _BANK if name in body]
    if ("blockchainAddress" in body) is bool(bank) or len(bank) not in (0, len(_BANK)):
        refuse_field("blockchainAddress", "Give an address, or all of the bank fields.")
    payment = _payment(call, body["paymentId"])
    if not payment_json(payment)["refund"]:
        refuse_field("paymentId", "Refund is not allowed for this payment.")
    if (
        call.state.find("SELECT 1 FROM gateway_refunds WHERE payment_id = ?", payment["id"])
        is not None
    ):
        refuse_field("paymentId", "A refund request exists already.")
    refund_id = str(uuid4())
    call.state.insert(
        "gateway_refunds",
        id=refund_id,
        payment_id=payment["id"],
        blockchain_address=body.get("blockchainAddress"),
        created_at=call.state.now(),
    )
    return refund_json(
        call.state.get("SELECT * FROM gateway_refunds WHERE id = ?", refund_id), payment
    )


def _payment(call: Call, payment_id: str) -> Row:
    try:
        return lifecycle.find(call.state, payment_id)
    except LookupError:
        raise _not_found() from None


def _not_found() -> RefusedError:
    return RefusedError(404, "NOT_FOUND", "Not found.")


HANDLERS: Mapping[str, Handler] = {
    "payments.create": create_payment,
    "payments.get": get_payment,
    "payments.instructions": instructions,
    "payments.methods": methods,
    "applications.list": list_applications,
    "applications.get": get_application,
    "applications.create": create_application,
    "refunds.create": create_refund,
}
