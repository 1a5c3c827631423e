"""Tokens of the gateway and their scopes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

import attrs
from attrs.validators import optional

from paychainhq._core.credentials import Auth, conceal, key
from paychainhq._core.validators import checked
from paychainhq.errors import ConfigurationError, MissingCredentialError

SCOPES: Mapping[str, str] = {
    "payments.create": "payments.create",
    "payments.get": "payments.get",
    "payments.instructions": "payments.user-instructions.get",
}
"""Scope that an operation requires of a client token."""

EVERY_SCOPE = "*"

VARIABLES = {
    "PAYMENT_CLIENT_ID": "client_id",
    "PAYMENT_CLIENT_TOKEN": "client_token",
    "WEBHOOK_SECRET": "webhook_secret",
}
"""Documented environment variables, and the settings that they provide."""


def _scopes(name: str, value: object) -> None:
    if (
        isinstance(value, str)
        or not isinstance(value, Collection)
        or not all(isinstance(scope, str) for scope in value)
    ):
        raise ConfigurationError(
            f"{name} must be a collection of scopes such as ['payments.create'], or None"
        )


@attrs.frozen(kw_only=True)
class Tokens:
    """Tokens of one client. They are opaque: the only check is that a header can hold them.

    Args:
        client_token: For a server that creates and reads payments.
        oauth_token: For operations of the dashboard; also valid for those of a client token.
        scopes: The scopes of the client token, if known.
    """

    kinds: ClassVar[tuple[Auth, ...]] = ("any_token", "oauth_token")

    client_token: str | None = key()
    oauth_token: str | None = key()
    scopes: Collection[str] | None = attrs.field(default=None, validator=optional(checked(_scopes)))

    def require(self, auth: Auth | None, operation: str) -> None:
        """Raise `MissingCredentialError` if no token permits an operation."""
        if auth == "oauth_token" and self.oauth_token is None:
            raise MissingCredentialError(
                f"{operation} needs an OAuth2 token, which this client does not have: pass "
                "oauth_token=... to Gateway (a client token does not suffice)",
                operation=operation,
                argument="oauth_token",
            )
        if auth == "any_token" and self.client_token is None and self.oauth_token is None:
            raise MissingCredentialError(
                f"{operation} needs a token, which this client does not have: pass "
                "client_token=... to Gateway",
                operation=operation,
                argument="client_token",
            )
        scope = SCOPES.get(operation)
        if (
            self.client_token is None
            or self.scopes is None
            or scope is None
            or not {scope, EVERY_SCOPE}.isdisjoint(self.scopes)
        ):
            return
        raise MissingCredentialError(
            f"{operation} needs a client token with the scope {scope}, which is not among its "
            "scopes: use another token, or correct scopes=...",
            operation=operation,
            argument="scopes",
        )

    def headers_for(self, auth: Auth | None, operation: str) -> Mapping[str, str]:
        """Return the header that authenticates an operation; the client token, if both would do."""
        self.require(auth, operation)
        if auth is None:
            return {}
        token = (
            self.oauth_token
            if auth == "oauth_token" or self.client_token is None
            else self.client_token
        )
        return {"Authorization": conceal(f"Bearer {token}")}
