"""Comparison of a created invoice with what was asked for, where a connection cannot be checked
before it is used.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from paychainhq import codec
from paychainhq._http.messages import Request, Response
from paychainhq._http.responses import request_id
from paychainhq.codec.decoders import Mismatch, decoder
from paychainhq.errors import DecodeError

_read_decimal = decoder(Decimal)
_ADVICE = (
    "Compare `data` with your order, and read the invoices that were created, before you ask "
    "again under the same key."
)


def check_echo(request: Request, response: Response) -> None:
    """Raise `DecodeError` if a success that should be the created invoice has another token, amount
    or customer.

    What the answer does not contain, or not in the documented form, is not compared.
    """
    if request.operation.name != "invoices.create" or not 200 <= response.status < 300:
        return
    try:
        asked, answered = codec.parse(request.body or b""), codec.parse(response.body)
    except ValueError:
        return
    if not isinstance(answered, dict):
        return
    amount = answered.get("amount")
    amount = amount if isinstance(amount, dict) else {"display": amount}
    differences = [
        name
        for name, differs in (
            (
                "token",
                _differ(
                    _folded(asked["token"]), _folded(answered.get("token") or amount.get("symbol"))
                ),
            ),
            ("amount", _amounts_differ(_decimal(asked["amount"]), amount)),
            ("customerId", _differ(asked.get("customerId"), answered.get("customerId"))),
        )
        if differs
    ]
    if differences:
        raise DecodeError(
            "the answer is another invoice than the one that was asked for: its "
            f"{' and '.join(differences)} differs",
            **request.facts()
            | {
                "sent": "yes",
                "status": response.status,
                "request_id": request_id(response),
                "path": f"$.{differences[0]}",
                "data": answered,
                "advice": _ADVICE,
            },
        )


def _differ(asked: Any, answered: Any) -> bool:
    return isinstance(asked, str) and isinstance(answered, str) and asked != answered


def _folded(text: Any) -> Any:
    return text.casefold() if isinstance(text, str) else None


def _decimal(text: Any) -> Decimal | None:
    try:
        number: Decimal = _read_decimal(text)
    except Mismatch:
        return None
    return number


def _amounts_differ(asked: Decimal | None, amount: dict[str, Any]) -> bool:
    """Return whether an amount is another one, by both its display and its raw form.

    An amount with more digits than the token has decimals cannot be echoed exactly: it may be
    rounded in the last of them.
    """
    display, raw, decimals = (
        _decimal(amount.get("display")),
        _decimal(amount.get("raw")),
        amount.get("decimals"),
    )
    answered = [] if display is None else [display]
    rounding = Decimal(0)
    if isinstance(decimals, int) and 0 <= decimals <= 50:
        if raw is not None:
            answered.append(raw.scaleb(-decimals))
        if asked is not None and -int(asked.as_tuple().exponent) > decimals:
            rounding = Decimal(1).scaleb(-decimals)
    return (
        asked is not None
        and bool(answered)
        and not any(abs(asked - one) <= rounding for one in answered)
    )
