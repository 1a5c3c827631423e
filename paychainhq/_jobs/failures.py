"""Failures of a job's requests: transient ones, and those that end the job."""

from __future__ import annotations

from paychainhq.errors import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    IdempotencyInProgressError,
    InvalidArgumentError,
    PayChainError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)

_TRANSIENT = (
    ConnectionFailedError,
    RequestTimeoutError,
    RateLimitError,
    ServerError,
    IdempotencyInProgressError,
)
_CREDENTIAL = (AuthenticationError, PermissionDeniedError, ConfigurationError)


def is_transient(error: PayChainError) -> bool:
    """Return whether an error describes only the state of the server or the network."""
    return isinstance(error, _TRANSIENT) or (
        isinstance(error, APIError) and error.status in (408, 425)
    )


def ends_job(error: PayChainError) -> bool:
    """Return whether an error is about the credential or the client, and so every request."""
    return isinstance(error, _CREDENTIAL) and not isinstance(error, InvalidArgumentError)
