"""Failures of an attempt: their classes, and descriptions without secrets."""

from __future__ import annotations

import os

import aiohttp
from aiohttp.http import HttpProcessingError

from paychainhq._attempts import Sent
from paychainhq._http.attempt import LARGEST_HEADER, AttemptState
from paychainhq._http.fast_path import is_too_large
from paychainhq.errors import (
    ConnectionFailedError,
    DecodeError,
    PayChainError,
    ProxyAuthenticationError,
    RequestTimeoutError,
    UntrustedServerError,
)


class SentTwiceError(aiohttp.ClientError):
    """Hidden repeat of a request by aiohttp, after a connection closed before the response."""


class SessionClosedError(aiohttp.ClientError):
    """Session that was closed during the request."""


class RefusedError(aiohttp.ClientError):
    """Request that aiohttp refused to write."""


class StrayCancellationError(aiohttp.ClientError):
    """Wait of an attempt that was cancelled, but not by the caller."""


class MisfitError(aiohttp.ClientError):
    """Version of aiohttp in which the assumptions of the fast path fail."""


FAILURES = (aiohttp.ClientError, HttpProcessingError, aiohttp.EofStream, OSError)
_NEVER_LEFT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.ServerFingerprintMismatch,
)
_UNTRUSTED = (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch)
# The first match counts. The texts of other packages are not used, since they may quote a request.
_DESCRIPTIONS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "timed out"),
    (aiohttp.ClientPayloadError, "the response was cut short"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection before it responded"),
    (SentTwiceError, "the server closed the connection before it responded"),
    (SessionClosedError, "the session was closed"),
    (
        RefusedError,
        "aiohttp refused to send the request: a header or the host name is not allowed in HTTP",
    ),
    (StrayCancellationError, "the wait for the connection was cancelled"),
    (MisfitError, "this version of aiohttp is not supported by the fast path"),
    (aiohttp.InvalidURL, "the URL is not one that HTTP allows"),
    (aiohttp.ClientConnectorCertificateError, "the server's certificate could not be verified"),
    (
        aiohttp.ServerFingerprintMismatch,
        "the server's certificate is not the one that the session expects",
    ),
    (aiohttp.ClientConnectorSSLError, "TLS could not be negotiated"),
    (aiohttp.ClientConnectorDNSError, "the host name could not be resolved"),
    (aiohttp.ClientProxyConnectionError, "the proxy could not be reached"),
    (aiohttp.ClientHttpProxyError, "the proxy refused"),
    (aiohttp.ClientConnectorError, "the connection failed"),
    (OSError, "the connection was lost"),
    (aiohttp.ClientResponseError, "the response was not HTTP"),
    (HttpProcessingError, "the response was not HTTP"),
    (Exception, "the connection failed"),
)


def failure_class(problem: Exception) -> type[PayChainError]:
    """Return the error class of a failure.

    Oversized headers are a response: the server has handled the request, and a retry would most
    likely have the same response.
    """
    if is_too_large(problem):
        return DecodeError
    if isinstance(problem, TimeoutError):
        return RequestTimeoutError
    if isinstance(problem, aiohttp.ClientHttpProxyError) and problem.status == 407:
        return ProxyAuthenticationError
    return UntrustedServerError if isinstance(problem, _UNTRUSTED) else ConnectionFailedError


def was_sent(problem: Exception, state: AttemptState) -> Sent:
    """Return whether the request of a failed attempt was sent."""
    if is_too_large(problem):
        return "yes"
    return "no" if isinstance(problem, _NEVER_LEFT) else state.sent


def is_raised_by_aiohttp(problem: Exception) -> bool:
    """Return whether code of aiohttp raised an exception."""
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return bool(name.partition(".")[0] == "aiohttp")


def describe(problem: Exception) -> str:
    """Return a description of a failure, without any part of the request."""
    if is_too_large(problem):
        return (
            f"a header of the response is longer than {LARGEST_HEADER} bytes, or there are too "
            "many headers"
        )
    text = next(text for kind, text in _DESCRIPTIONS if isinstance(problem, kind))
    # OpenSSL's text is safe: it describes only the certificate.
    if isinstance(problem, aiohttp.ClientConnectorCertificateError):
        return f"{text} ({getattr(problem.certificate_error, 'verify_message', 'no reason given')})"
    if isinstance(problem, aiohttp.ClientHttpProxyError):
        return f"{text} (status {problem.status})"
    if (
        isinstance(problem, OSError)
        and problem.errno
        and not isinstance(problem, (TimeoutError, aiohttp.ClientSSLError))
    ):
        return f"{text} ({os.strerror(problem.errno)})"
    return text
