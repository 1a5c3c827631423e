"""Operation table of the gateway: the operations of a merchant's server, with their pages.

The calls of the checkout page, which browsers send with a signed link, are not included.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from paychainhq._core import validators as check
from paychainhq._core.credentials import conceal
from paychainhq._core.operation import Operation, Parameter
from paychainhq.gateway import models
from paychainhq.models.lists import Listing

_SHORTEST_NAME, _LONGEST_NAME = 3, 255


def _minor_units(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        check.invalid(
            name, f"must be an int in minor units (10000 is 100.00), not a {type(value).__name__}"
        )
    return check.positive_int(name, value)


def _moment(name: str, value: object) -> str:
    """Return a time with its zone in ISO 8601, from an aware datetime or such a text."""
    written = ""
    with suppress(ValueError, OverflowError):
        value = check.content(value)
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, datetime) and moment.tzinfo is not None:
            written = (
                value if isinstance(value, str) else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
            )
    return written or check.invalid(
        name, f"must be an aware datetime, or ISO 8601 with a zone, not {str(value)[:40]!r}"
    )


def _application_name(name: str, value: object) -> str:
    written = check.text(name, value)
    if not _SHORTEST_NAME <= len(written) <= _LONGEST_NAME:
        check.invalid(
            name, f"must have {_SHORTEST_NAME} to {_LONGEST_NAME} characters, not {len(written)}"
        )
    return written


def _secret(name: str, value: object) -> str:
    concealed: str = conceal(check.text(name, value))
    return concealed


_TEXT = Parameter(check.text, required=True)
_PAYMENT = "/api/payment/{payment_id}"

PAYMENTS_CREATE = Operation(
    name="payments.create",
    method="POST",
    path="/api/payment/checkout",
    auth="any_token",
    body={
        "amount": Parameter(_minor_units, required=True),
        "currency_code": _TEXT,
        "reference": Parameter(check.reference, required=True),
        "reference_label": _TEXT,
        "client_id": check.text,
        "site_id": check.text,
        "redirect_url": check.text,
        "expires_at": _moment,
        "blockchain_slug": check.text,
        "product_id": check.text,
        "settlement_currency_code": check.text,
    },
    account=("client_id", "site_id"),
    inside="data",
    response=lambda: models.Checkout,
    source="payment endpoints",
)
PAYMENTS_GET = Operation(
    name="payments.get",
    method="GET",
    path=_PAYMENT,
    auth="any_token",
    inside="data",
    response=lambda: models.Payment,
    source="payment endpoints",
)
PAYMENTS_INSTRUCTIONS = Operation(
    name="payments.instructions",
    method="GET",
    path=f"{_PAYMENT}/provider/{{provider}}/method/{{method}}",
    auth="any_token",
    response=lambda: object,
    source="payment instructions",
)
PAYMENTS_METHODS = Operation(
    name="payments.methods",
    method="GET",
    path="/api/checkout/{payment_id}/payment-methods",
    auth="any_token",  # the page shows none; seed 004 requires one for every request
    response=lambda: object,
    source="payment instructions",
)
APPLICATIONS_LIST = Operation(
    name="applications.list",
    method="GET",
    path="/api/payment-applications",
    auth="oauth_token",
    response=lambda: Listing[models.Application],
    source="application endpoints",
)
APPLICATIONS_GET = Operation(
    name="applications.get",
    method="GET",
    path="/api/payment-applications/{application_id}",
    auth="oauth_token",
    inside="data",
    response=lambda: models.Application,
    source="application endpoints",
)
APPLICATIONS_CREATE = Operation(
    name="applications.create",
    method="POST",
    path="/api/payment-applications",
    auth="oauth_token",
    body={
        "name": Parameter(_application_name, required=True),
        "secret": Parameter(_secret, required=True),
        "url": check.text,
        "callback_url": check.text,
        "currency_whitelist": check.texts,
        "allow_underpay": check.boolean,
        "allow_overpay": check.boolean,
    },
    inside="data",
    response=lambda: models.Application,
    holds_secret=True,
    source="application endpoints",
)
REFUNDS_CREATE = Operation(
    name="refunds.create",
    method="POST",
    path="/api/refund-request",
    auth="oauth_token",
    body={
        "payment_id": _TEXT,
        "blockchain_address": check.text,
        "bank_name": check.text,
        "bank_code": check.text,
        "bank_account_number": check.text,
        "bank_account_holder": check.text,
    },
    inside="data",
    response=lambda: models.Refund,
    source="refunds",
)

OPERATIONS: Mapping[str, Operation[Any]] = {
    operation.name: operation
    for operation in list(globals().values())
    if isinstance(operation, Operation)
}
"""Operations of the gateway by name, in the order of this file."""
