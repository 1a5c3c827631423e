"""The PayChainHQ SDK for Python.

Each public name is imported on its first use, so that unused modules are not loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from paychainhq._version import __version__

if TYPE_CHECKING:
    from paychainhq._attempts import Attempt, ResponseInfo
    from paychainhq._core.credentials import DashboardSession
    from paychainhq._core.policies import RateLimit, RetryPolicy
    from paychainhq._core.statistics import Statistics
    from paychainhq._http.messages import Middleware, Next, Request, Response
    from paychainhq._jobs.requests import (
        CustomerRequest,
        Failure,
        InvoiceRequest,
        Outcome,
        Progress,
        Success,
    )
    from paychainhq._jobs.watch_state import Change, ReadFailure, StatusChange, WatchState
    from paychainhq.client import PayChainHQ
    from paychainhq.errors import (
        APIError,
        AuthenticationError,
        BadRequestError,
        ConfigurationError,
        ConflictError,
        ConnectionFailedError,
        DecodeError,
        DuplicateRequestError,
        IdempotencyInProgressError,
        IdempotencyKeyMismatchError,
        InvalidArgumentError,
        LedgerError,
        MissingCredentialError,
        NotFoundError,
        OutcomeUnknownError,
        PayChainError,
        PermissionDeniedError,
        ProxyAuthenticationError,
        RateLimitError,
        RequestTimeoutError,
        ServerError,
        UntrustedServerError,
        WaitTimeoutError,
        WebhookVerificationError,
    )

__all__ = [
    "APIError",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
    "Change",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailedError",
    "CustomerRequest",
    "DashboardSession",
    "DecodeError",
    "DuplicateRequestError",
    "Failure",
    "IdempotencyInProgressError",
    "IdempotencyKeyMismatchError",
    "InvalidArgumentError",
    "InvoiceRequest",
    "LedgerError",
    "Middleware",
    "MissingCredentialError",
    "Next",
    "NotFoundError",
    "Outcome",
    "OutcomeUnknownError",
    "PayChainError",
    "PayChainHQ",
    "PermissionDeniedError",
    "Progress",
    "ProxyAuthenticationError",
    "RateLimit",
    "RateLimitError",
    "ReadFailure",
    "Request",
    "RequestTimeoutError",
    "Response",
    "ResponseInfo",
    "RetryPolicy",
    "ServerError",
    "Statistics",
    "StatusChange",
    "Success",
    "UntrustedServerError",
    "WaitTimeoutError",
    "WatchState",
    "WebhookVerificationError",
    "__version__",
]

_HOMES = (
    "errors",
    "_attempts",
    "_core.credentials",
    "_core.policies",
    "_core.statistics",
    "_http.messages",
    "_jobs.requests",
    "_jobs.watch_state",
    "client",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            value = getattr(import_module(f"{__name__}.{home}"), name, None)
            if value is not None:
                globals()[name] = value
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
