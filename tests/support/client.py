"""Clients of a test server, with a fast retry policy, and readers of their results."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import attrs

from paychainhq import PayChainError, ResponseInfo, RetryPolicy
from paychainhq.emulator import API_KEY, BUSINESS_ID
from paychainhq.models.base import Model
from tests.support.faces import PayChainHQ
from tests.support.samples import BY_NAME

KEY = API_KEY
QUICK = RetryPolicy(first=0.001, cap=0.002, attempt_timeout=20)  # on a busy machine, too
HASTY = attrs.evolve(QUICK, attempt_timeout=2)  # for a server that is silent
INVOICE = BY_NAME["invoices.create"].response
CREATED_KEY = BY_NAME["api_keys.create"].response
PRICES = BY_NAME["prices.list"].response


def client(url: str, **settings: Any) -> PayChainHQ:
    """Return a client with a standard key and short retry waits."""
    return PayChainHQ(
        **{
            "api_key": KEY,
            "business_id": BUSINESS_ID,
            "base_url": url,
            "retry": QUICK,
            "timeout": 20,
            **settings,
        }
    )


def invoice(pay: PayChainHQ, **arguments: Any) -> Coroutine[Any, Any, Any]:
    return pay.invoices.create("150", "USDC", "eth", "base-mainnet", **arguments)


def error_body(code: str, message: str = "no", **more: Any) -> dict[str, Any]:
    """Return the documented envelope of an error."""
    return {"error": {"code": code, "message": message, **more}}


def info(result: Model) -> ResponseInfo:
    """Return the response metadata of a fetched result."""
    assert result.response is not None
    return result.response


def states(error: PayChainError) -> list[int | str | None]:
    """Return the result of each attempt: a status, or an error."""
    return [
        attempt.status if attempt.error is None else attempt.error for attempt in error.attempts
    ]
