"""Failures of an attempt: what aiohttp raises, and how it is described."""

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
    RequestTimeoutError,
    UntrustedServerError,
)


class SentTwiceError(aiohttp.ClientError):
    """The server closed the connection before it answered, and aiohttp was about to send the
    request again.
    """


class SessionClosedError(aiohttp.ClientError):
    """The session was closed under the request."""


class RefusedError(aiohttp.ClientError):
    """aiohttp refused to write the request."""


class StrayCancellationError(aiohttp.ClientError):
    """A wait of the attempt was cancelled, and not on the request of whoever made the call."""


class MisfitError(aiohttp.ClientError):
    """This version of aiohttp does not do what the fast path relies on."""


FAILURES = (aiohttp.ClientError, HttpProcessingError, aiohttp.EofStream, OSError)
_NEVER_LEFT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.ServerFingerprintMismatch,
)
_UNTRUSTED = (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch)
# In words of our own, the first that fits: the texts of others may quote what was sent.
_DESCRIPTIONS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "timed out"),
    (aiohttp.ClientPayloadError, "the answer was cut short"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection before it answered"),
    (SentTwiceError, "the server closed the connection before it answered"),
    (SessionClosedError, "the session was closed"),
    (
        RefusedError,
        "aiohttp refused to send the request: a header or the host name is not allowed in HTTP",
    ),
    (StrayCancellationError, "the wait for the connection was cancelled"),
    (MisfitError, "this version of aiohttp does not do what was expected of it"),
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
    (aiohttp.ClientResponseError, "the answer was not HTTP"),
    (HttpProcessingError, "the answer was not HTTP"),
    (Exception, "the connection failed"),
)


def failure_class(problem: Exception) -> type[PayChainError]:
    """Return the class of error that a failure is to the caller.

    A head that is too large is an answer: sent again, the request would be handled again, and most
    likely be answered likewise.
    """
    if is_too_large(problem):
        return DecodeError
    if isinstance(problem, TimeoutError):
        return RequestTimeoutError
    return UntrustedServerError if isinstance(problem, _UNTRUSTED) else ConnectionFailedError


def was_sent(problem: Exception, state: AttemptState) -> Sent:
    """Return whether the request of a failed attempt has left."""
    if is_too_large(problem):
        return "yes"
    return "no" if isinstance(problem, _NEVER_LEFT) else state.sent


def describe(problem: Exception) -> str:
    """Describe a failure without anything of the request."""
    if is_too_large(problem):
        return (
            f"a header of the answer is longer than {LARGEST_HEADER} bytes, or it has too many "
            "headers"
        )
    text = next(text for kind, text in _DESCRIPTIONS if isinstance(problem, kind))
    if isinstance(
        problem, aiohttp.ClientConnectorCertificateError
    ):  # in OpenSSL's words, which are about the certificate alone
        return f"{text} ({getattr(problem.certificate_error, 'verify_message', 'no reason given')})"
    if (
        isinstance(problem, OSError)
        and problem.errno
        and not isinstance(problem, (TimeoutError, aiohttp.ClientSSLError))
    ):
        return f"{text} ({os.strerror(problem.errno)})"
    return text
