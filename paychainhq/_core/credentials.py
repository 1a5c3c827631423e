"""Credentials: concealed keys, and the operations that each authenticates."""

from __future__ import annotations

import re
from collections import UserString
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, Literal, Protocol

import attrs
from attrs.validators import optional

from paychainhq._core.secrets import Secret, SecretBytes
from paychainhq._core.validators import checked, content, header_value, instance_of
from paychainhq.errors import ConfigurationError, MissingCredentialError

__all__ = [
    "Auth",
    "Credentials",
    "DashboardSession",
    "Keyring",
    "Secret",
    "SecretBytes",
    "TokenAuth",
    "conceal",
    "key",
]

TokenAuth = Literal["any_token", "oauth_token"]
"""Credential of an operation of the gateway: any token, or the OAuth2 token."""

Auth = Literal["api_key", "payout_key", "contract_key", "dashboard"] | TokenAuth
"""Credential of an operation."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

# A dashboard session may not set the headers that frame a message or identify a request.
_FIXED_HEADERS = {
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


def conceal(value: Any) -> Any:
    """Return a copy of a value with concealed text and bytes, in containers too.

    A `UserString`, and a URL object that may hold a password (such as yarl's), become text. Any
    other value is returned as it is, for a later check.
    """
    if isinstance(value, str):
        return Secret(str.__str__(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return SecretBytes(value)
    if isinstance(value, UserString) or hasattr(type(value), "password"):
        return Secret(str(value))
    if isinstance(value, Mapping):
        return {content(name): conceal(item) for name, item in value.items()}
    if isinstance(value, (Sequence, AbstractSet)):
        return [conceal(item) for item in value]
    return value


@attrs.frozen(init=False)
class DashboardSession:
    """Credential of a dashboard session, for the operations that accept no API key.

    The public pages name neither the header nor the step-up of a dashboard session, so you supply
    both.

    Args:
        headers: The header names and values that authenticate the session; only dashboard
            operations send them.

    Raises:
        ConfigurationError: There are no headers, or one that a session may not set.

    Source: seed 000, "Auth model".
    """

    headers: Mapping[str, str]

    def __init__(self, headers: Mapping[str, str]) -> None:
        headers = conceal(headers)
        # Before the checks, whose tracebacks may show the repr.
        object.__setattr__(self, "headers", headers)
        if not isinstance(headers, Mapping) or not headers:
            raise ConfigurationError(
                "DashboardSession needs headers: pass those that your dashboard session sends"
            )
        for name, value in headers.items():
            if (
                not isinstance(name, str)
                or not _HEADER_NAME.fullmatch(name)
                or name.lower() in _FIXED_HEADERS
            ):
                raise ConfigurationError(
                    f"{name!r} is not a header that a dashboard session may set"
                )
            header_value(f"DashboardSession header {name!r}", value)


def key() -> Any:
    """Return the field of an optional key or token."""
    return attrs.field(default=None, converter=conceal, validator=optional(checked(header_value)))


class Keyring(Protocol):
    """Credentials of one client, of either API; `kinds` are those of its operations."""

    kinds: ClassVar[tuple[Auth, ...]]

    def require(self, auth: Auth | None, operation: str) -> None: ...

    def headers_for(self, auth: Auth | None, operation: str) -> Mapping[str, str]: ...


@attrs.frozen(kw_only=True)
class Credentials:
    """Keys of one client. Each operation requires one of them; public operations require none."""

    kinds: ClassVar[tuple[Auth, ...]] = ("api_key", "payout_key", "contract_key", "dashboard")

    api_key: str | None = key()
    payout_key: str | None = key()
    contract_key: str | None = key()
    dashboard: DashboardSession | None = attrs.field(
        default=None, validator=optional(checked(instance_of(DashboardSession)))
    )

    def require(self, auth: Auth | None, operation: str) -> None:
        """Raise `MissingCredentialError` if the client lacks the credential of an operation."""
        if auth is not None and getattr(self, auth) is None:
            raise MissingCredentialError(
                f"{operation} needs {auth}, which this client does not have: pass {auth}=... to "
                "PayChainHQ",
                operation=operation,
                argument=auth,
            )

    def headers_for(self, auth: Auth | None, operation: str) -> Mapping[str, str]:
        """Return the headers that authenticate an operation; raises `MissingCredentialError`."""
        self.require(auth, operation)
        if auth is None:
            return {}
        credential = getattr(self, auth)
        return credential.headers if auth == "dashboard" else {"x-api-key": credential}

    def refuse_live_keys(self) -> None:
        """Raise `ConfigurationError` if a key is marked as live, as a guard against accidents."""
        for name in ("api_key", "payout_key", "contract_key"):
            if "_live_" in (getattr(self, name) or ""):
                raise ConfigurationError(
                    f"{name} is marked _live_, but the environment is sandbox: pass a sandbox key "
                    "(seed 000)"
                )
