"""JSON views of the gateway's rows."""

from __future__ import annotations

import json
from fractions import Fraction

from paychainhq.emulator.money import json_number
from paychainhq.emulator.state import Row, iso
from paychainhq.gateway.models import PAID

# Assumption: one account owns all rows.
_USER = "user-uuid"

SYMBOLS = {"USD": "$", "EUR": "€"}
"""Currencies of prices. Assumption: the pages name no others."""


def _time(milliseconds: int | None) -> str | None:
    """Format a time as the gateway's pages do: without a fraction."""
    written = iso(milliseconds)
    return None if written is None else f"{written[:19]}Z"


def money(minor: int, currency: str) -> dict[str, object]:
    whole, cents = divmod(minor, 100)
    return {
        "value": json_number(Fraction(minor, 100)),
        "amount": minor,
        "formatted": f"{SYMBOLS[currency]}{whole:,}.{cents:02d}",
    }


def payment_json(row: Row) -> dict[str, object]:
    """Return a payment with all fields.

    Assumption: fields that do not apply yet are null, and a paid payment may be refunded.
    """
    currency, paid = row["currency"], row["status"] in PAID
    return {
        "id": row["id"],
        "userId": _USER,
        "status": row["status"],
        "reference": row["reference"],
        "referenceLabel": row["reference_label"],
        "currencyCode": currency,
        "settlementCurrencyCode": row["settlement_currency"],
        "amount": money(row["amount"], currency),
        "receivedAmount": money(row["received"], currency) if row["received"] else None,
        "settledAmount": money(row["received"], currency) if paid else None,
        "confirmedAt": _time(row["confirmed_at"]),
        "foundAt": _time(row["found_at"]),
        "date": _time(row["created_at"]),
        "refund": paid,
    }


def application_json(row: Row) -> dict[str, object]:
    setting = {
        "id": f"setting-{row['id']}",
        "title": "Default Settings",
        "allowOverpay": bool(row["allow_overpay"]),
        "allowUnderpay": bool(row["allow_underpay"]),
    }
    site = {
        "id": row["site_id"],
        "title": row["name"],
        "url": row["url"],
        "callbackUrl": row["callback_url"],
        "setting": setting,
    }
    return {
        "id": row["id"],
        "name": row["name"],
        "clientId": row["client_id"],
        "userId": _USER,
        "site": site,
        "currencyWhitelist": json.loads(row["currency_whitelist"]),
        "paymentAppImage": None,
        "createdAt": _time(row["created_at"]),
        "deletedAt": None,
    }


def refund_json(row: Row, payment: Row) -> dict[str, object]:
    return {
        "id": row["id"],
        "paymentId": payment["id"],
        "status": "PENDING",
        "refundAmount": money(payment["received"], payment["currency"]),
        "blockchainAddress": row["blockchain_address"],
        "refundedAt": None,
        "createdAt": _time(row["created_at"]),
    }
