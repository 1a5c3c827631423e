"""Signatures of webhooks: made, and compared without telling an attacker anything."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

from paychainhq.arguments import header_value
from paychainhq.credentials import Secret, conceal
from paychainhq.errors import ConfigurationError, InvalidArgumentError, WebhookVerificationError


class Headers(Protocol):
    """Header names and values: a dict, or the headers of any web framework."""

    def items(self) -> Iterable[tuple[str, str]]: ...


_HEX_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def checked_secrets(secrets: str | Sequence[str]) -> tuple[Secret, ...]:
    """Hold one secret, or several (the new and the old one during a rotation), so that no frame shows them."""
    secrets = conceal(secrets)
    given = secrets if isinstance(secrets, list) else [secrets]
    held = tuple(secret for secret in given if isinstance(secret, Secret) and secret)
    if not held or len(held) < len(given):
        raise ConfigurationError("secrets must be a webhook secret, or a sequence of them; none may be empty")
    return held


def checked_bearer(bearer: object) -> str | None:
    """Hold a token, so that no frame shows it; one that no header can hold would never be met."""
    bearer = conceal(bearer)
    return None if bearer is None else header_value("bearer", bearer)


def checked_body(body: bytes) -> bytes:
    """Take a raw body: parsed and written again, it would be other bytes than those that were signed."""
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise InvalidArgumentError(f"body must be the raw bytes of the request, not {type(body).__name__}", argument="body")
    return bytes(body)


def signature(secret: str, message: bytes) -> str:
    """Return the HMAC-SHA256 of a message in hex."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def verify(secrets: Sequence[Secret], message: bytes, given: str) -> None:
    """Raise `WebhookVerificationError` unless one of the secrets gives this signature; all are tried, whichever fits."""
    if not _HEX_SHA256.fullmatch(given):
        raise WebhookVerificationError("the signature is not 64 hexadecimal digits")
    if not sum([hmac.compare_digest(signature(secret, message), given.lower()) for secret in secrets]):
        raise WebhookVerificationError("the signature is not that of this body: another secret, or another body")


class Held(list[tuple[str, str]]):
    """Headers that no frame shows."""

    def items(self) -> Held:
        return self


def held(headers: Headers) -> Held:
    """Copy headers such that no frame shows them: one may be a token."""
    return Held((conceal(name), conceal(value)) for name, value in headers.items())


def header(headers: Held, name: str) -> str:
    """Return a header, whatever case its name is in; there must be one, and one only."""
    found = [value for key, value in headers if isinstance(key, str) and key.lower() == name.lower()]
    if len(found) != 1:
        raise WebhookVerificationError(f"the header {name} is missing" if not found else f"the header {name} is there twice")
    if not isinstance(found[0], str):
        raise WebhookVerificationError(f"the header {name} is not text")
    return found[0]


def check_age(seconds: float, max_age: float) -> None:
    """Raise `WebhookVerificationError` unless a time, in seconds since 1970, is less than `max_age` away, either way."""
    if not math.isfinite(seconds) or abs(time.time() - seconds) > max_age:
        raise WebhookVerificationError(f"the timestamp is not within {max_age:g} seconds of now")
