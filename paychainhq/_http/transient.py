"""Transient failures: the one table of failures that a retry may overcome."""

from __future__ import annotations

from paychainhq._http.messages import Response
from paychainhq._http.responses import error_code
from paychainhq.errors import (
    APIError,
    ConnectionFailedError,
    IdempotencyInProgressError,
    PayChainError,
    ProxyAuthenticationError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    api_error_class,
)

_STATUSES = frozenset({408, 425, 429, *range(500, 1000)})
_ERRORS = (
    ConnectionFailedError,
    RequestTimeoutError,
    RateLimitError,
    ServerError,
    IdempotencyInProgressError,
)


def is_transient(error: PayChainError) -> bool:
    """Return whether an error is a transient failure."""
    if isinstance(error, ProxyAuthenticationError):
        return False
    return isinstance(error, _ERRORS) or (isinstance(error, APIError) and error.status in _STATUSES)


def is_transient_response(response: Response) -> bool:
    """Return whether a response is a transient failure."""
    status = response.status
    return status in _STATUSES or (
        status == 409 and issubclass(api_error_class(status, error_code(response)), _ERRORS)
    )
