"""Signatures of webhooks, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from paychainhq._core.credentials import conceal
from paychainhq._core.secrets import Secret
from paychainhq._core.validators import header_value
from paychainhq.errors import ConfigurationError, InvalidArgumentError, WebhookVerificationError


class HasItems(Protocol):
    """Mapping of header names to values: a dict, or the headers of any web framework."""

    def items(self) -> Iterable[tuple[str, str]]: ...


Headers = HasItems | Iterable[tuple[str, str]]
"""Header names and values, as a mapping or as pairs."""

_HEX_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"
_ADVICE = "; a file, a variable or a form may have added it: pass the secret alone"


def checked_secrets(secrets: str | Sequence[str]) -> tuple[Secret, ...]:
    """Return one secret, or several (during a rotation), concealed.

    Raises:
        ConfigurationError: There is none, or one is empty, not text, or has characters around it
            that do not belong to a secret.
    """
    secrets = masked = conceal(secrets)
    given: tuple[Secret, ...] = tuple(masked) if isinstance(masked, list) else (masked,)
    if not given or not all(isinstance(secret, Secret) and secret for secret in given):
        raise ConfigurationError(
            "secrets must be a webhook secret, or a sequence of them, as text; none may be empty"
        )
    for secret in given:
        _check_secret(secret)
    return given


def _check_secret(secret: Secret) -> None:
    if secret.strip() != secret:
        raise InvalidArgumentError(
            f"a webhook secret begins or ends with white space or a line break{_ADVICE}",
            argument="secrets",
        )
    if not secret.isprintable():
        raise InvalidArgumentError(
            f"a webhook secret has an unprintable character, such as a byte order mark{_ADVICE}",
            argument="secrets",
        )
    if len(secret) > 1 and secret[0] in _QUOTES and secret[-1] in _QUOTES:
        raise InvalidArgumentError(f"a webhook secret is in quotes{_ADVICE}", argument="secrets")


def checked_bearer(bearer: object) -> str | None:
    """Return a bearer token, concealed and valid in a header."""
    bearer = conceal(bearer)
    return None if bearer is None else header_value("bearer", bearer)


def checked_body(body: bytes, headers: ConcealedHeaders | None = None) -> bytes:
    """Return the raw body of a webhook.

    Args:
        body: The body.
        headers: The headers, which may prove that the body is missing.

    Raises:
        InvalidArgumentError: The body is not bytes: the signature covers the raw bytes.
        WebhookVerificationError: The body is empty, and by its headers it was not.
    """
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise InvalidArgumentError(
            f"body must be the raw bytes of the request, not {type(body).__name__}: read it before "
            "anything parses it",
            argument="body",
        )
    if not body and any(map(_announces_body, headers or ())):
        raise WebhookVerificationError(
            "the body is empty, but its headers announce one: other code, such as a middleware, "
            "has read it before"
        )
    return bytes(body)


def _announces_body(header: tuple[str, str]) -> bool:
    """Return whether a header says that a body follows: by a length, or in chunks."""
    name, value = map(str, header)
    return name.lower() == "transfer-encoding" or (
        name.lower() == "content-length" and value.strip("0 ") != ""
    )


def signature(secret: str, message: bytes) -> str:
    """Return the HMAC-SHA256 of a message in hex."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def verify(secrets: Sequence[Secret], message: bytes, given: str) -> None:
    """Raise `WebhookVerificationError` unless one of the secrets yields this signature.

    All secrets are tried, so that the time does not depend on the valid one.
    """
    if not _HEX_SHA256.fullmatch(given):
        raise WebhookVerificationError("the signature is not 64 hexadecimal digits")
    if not sum(
        [hmac.compare_digest(signature(secret, message), given.lower()) for secret in secrets]
    ):
        raise WebhookVerificationError(
            "the signature does not match: another secret, or another body"
        )


class ConcealedHeaders(list[tuple[str, str]]):
    """Concealed headers."""

    def items(self) -> ConcealedHeaders:
        return self


def concealed_headers(headers: Headers) -> ConcealedHeaders:
    """Return a concealed copy of headers, which may hold a token.

    Raises:
        InvalidArgumentError: The headers are neither a mapping nor pairs.
    """
    try:
        pairs: Any = getattr(headers, "items", lambda: headers)()
        return ConcealedHeaders(_pair(name, value) for name, value in pairs)
    except (TypeError, ValueError):
        pass  # the error may contain a header
    raise InvalidArgumentError(
        "headers must be the headers of the request, as a mapping or as pairs, not "
        f"{type(headers).__name__}",
        argument="headers",
    )


def _pair(name: Any, value: Any) -> tuple[str, str]:
    """Return a concealed header; a pair of bytes is from an ASGI scope."""
    if isinstance(name, bytes) and isinstance(value, bytes):
        return conceal(name.decode("latin-1")), conceal(value.decode("latin-1"))
    return conceal(name), conceal(value)


def header(headers: ConcealedHeaders, name: str) -> str:
    """Return the value of a header that must occur once, with its name in any case."""
    found = [
        value for key, value in headers if isinstance(key, str) and key.lower() == name.lower()
    ]
    if len(found) != 1:
        raise WebhookVerificationError(
            f"the header {name} is missing" if not found else f"the header {name} occurs twice"
        )
    if not isinstance(found[0], str):
        raise WebhookVerificationError(f"the header {name} is not text")
    return found[0]


def check_age(seconds: float, max_age: float) -> None:
    """Raise `WebhookVerificationError` if a time, in seconds since 1970, is too far from now."""
    if not math.isfinite(seconds) or abs(time.time() - seconds) > max_age:
        raise WebhookVerificationError(f"the timestamp is not within {max_age:g} seconds of now")
