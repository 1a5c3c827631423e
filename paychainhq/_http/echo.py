"""Comparison of a created invoice with its request.

The connections of a caller's session cannot be checked before use, so that a response could belong
to another request.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from paychainhq import codec
from paychainhq._http.messages import Request, Response
from paychainhq._http.responses import request_id
from paychainhq.errors import DecodeError

_ADVICE = (
    "Compare `data` with your order, and read the created invoices, before you repeat the request "
    "with the same key."
)


def check_echo(request: Request, response: Response) -> None:
    """Raise `DecodeError` if a created invoice has another token, amount or customer.

    Members that are absent, or not in the documented form, are not compared.
    """
    if request.operation.name != "invoices.create" or not 200 <= response.status < 300:
        return
    try:
        requested, returned = codec.parse(request.body or b""), codec.parse(response.body)
    except ValueError:
        return
    if not isinstance(returned, dict):
        return
    amount = returned.get("amount")
    amount = amount if isinstance(amount, dict) else {"display": amount}
    differences = [
        name
        for name, differs in (
            (
                "token",
                _differ(
                    _folded(requested["token"]),
                    _folded(returned.get("token") or amount.get("symbol")),
                ),
            ),
            ("amount", _amounts_differ(_decimal(requested["amount"]), amount)),
            ("customerId", _differ(requested.get("customerId"), returned.get("customerId"))),
        )
        if differs
    ]
    if differences:
        raise DecodeError(
            "the response is another invoice than the requested one: its "
            f"{' and '.join(differences)} differs",
            **request.facts()
            | {
                "sent": "yes",
                "status": response.status,
                "request_id": request_id(response),
                "path": f"$.{differences[0]}",
                "problems": tuple(f"differs from the request @ $.{name}" for name in differences),
                "data": returned,
                "advice": _ADVICE,
            },
        )


def _differ(requested: Any, returned: Any) -> bool:
    return isinstance(requested, str) and isinstance(returned, str) and requested != returned


def _folded(text: Any) -> Any:
    return text.casefold() if isinstance(text, str) else None


def _decimal(text: Any) -> Decimal | None:
    try:
        return codec.from_json(Decimal, text)
    except DecodeError:
        return None


def _amounts_differ(requested: Decimal | None, amount: dict[str, Any]) -> bool:
    """Return whether an amount differs from the requested one in its display and its raw form.

    An amount with more digits than the token has decimals may be rounded in the last of them.
    """
    display, raw, decimals = (
        _decimal(amount.get("display")),
        _decimal(amount.get("raw")),
        amount.get("decimals"),
    )
    returned = [] if display is None else [display]
    rounding = Decimal(0)
    if isinstance(decimals, int) and 0 <= decimals <= 50:
        if raw is not None:
            returned.append(raw.scaleb(-decimals))
        if requested is not None and -int(requested.as_tuple().exponent) > decimals:
            rounding = Decimal(1).scaleb(-decimals)
    return (
        requested is not None
        and bool(returned)
        and not any(abs(requested - one) <= rounding for one in returned)
    )
