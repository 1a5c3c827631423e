"""Keys: the form in which they are held, and the operations that each is for."""

from __future__ import annotations

import re
from collections import UserString
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Literal, Protocol

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
    "conceal",
    "key",
]

Auth = Literal["api_key", "payout_key", "contract_key", "dashboard", "oauth_token", "any_token"]
"""What an operation may take; the last two are the gateway's: the OAuth2 token, or whichever token
there is.
"""

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

# A dashboard session may not rewrite what frames the message or says who asks for what.
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
    """Return a copy that no frame shows, of text, bytes, and containers of these; anything else is
    left for a check to refuse.

    A `UserString`, and a URL object that may hold a password (of yarl, for instance), become text.
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
    """What authenticates a dashboard session, for the operations that take no API key.

    The public pages name neither the header nor the step-up of a dashboard session, so the operator
    supplies both here.

    Args:
        headers: Header names and values that are sent with dashboard operations, and with nothing
            else.

    Raises:
        ConfigurationError: There is none, or one that a session may not set.

    Source: seed 000, "Auth model".
    """

    headers: Mapping[str, str]

    def __init__(self, headers: Mapping[str, str]) -> None:
        headers = conceal(headers)
        # Before the checks: a traceback of theirs may want the repr.
        object.__setattr__(self, "headers", headers)
        if not isinstance(headers, Mapping) or not headers:
            raise ConfigurationError(
                "DashboardSession needs the headers that your dashboard session sends"
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
    """A key or token that may be left out."""
    return attrs.field(default=None, converter=conceal, validator=optional(checked(header_value)))


class Keyring(Protocol):
    """What authenticates the operations of one client."""

    def require(self, auth: Auth | None, operation: str) -> None: ...

    def headers_for(self, auth: Auth | None, operation: str) -> Mapping[str, str]: ...


@attrs.frozen(kw_only=True)
class Credentials:
    """The keys of one client. Each operation takes the one that it is for; public operations take
    none.
    """

    api_key: str | None = key()
    payout_key: str | None = key()
    contract_key: str | None = key()
    dashboard: DashboardSession | None = attrs.field(
        default=None, validator=optional(checked(instance_of(DashboardSession)))
    )

    def require(self, auth: Auth | None, operation: str) -> None:
        """Raise `MissingCredentialError`, before anything is sent, if there is not what
        authenticates `operation`.
        """
        if auth is not None and getattr(self, auth) is None:
            raise MissingCredentialError(
                f"{operation} needs PayChainHQ({auth}=...), which this client was not given",
                operation=operation,
                argument=auth,
            )

    def headers_for(self, auth: Auth | None, operation: str) -> Mapping[str, str]:
        """Return the headers that authenticate `operation`; raises `MissingCredentialError`."""
        self.require(auth, operation)
        if auth is None:
            return {}
        credential = getattr(self, auth)
        return credential.headers if auth == "dashboard" else {"x-api-key": credential}

    def refuse_live_keys(self) -> None:
        """Raise if a key says of itself that it is a live one: a guard against accidents, not a
        fact about keys.
        """
        for name in ("api_key", "payout_key", "contract_key"):
            if "_live_" in (getattr(self, name) or ""):
                raise ConfigurationError(
                    f"{name} is marked _live_, but environment='sandbox' was asked for: never "
                    "share a live key into sandbox"
                    " tooling (seed 000)"
                )
