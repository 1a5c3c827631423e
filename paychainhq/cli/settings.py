"""Settings of the command's client: variables, their files, the keyring, a hidden prompt."""

from __future__ import annotations

import getpass
import json
import sys
from typing import Any

from paychainhq import DashboardSession, PayChainHQ
from paychainhq._core.secrets import Secret
from paychainhq._core.settings import VARIABLES, environment_settings, variable_value
from paychainhq.errors import ConfigurationError

DASHBOARD = "PAYCHAIN_DASHBOARD_HEADERS"
"""Variable with the headers of a dashboard session, as a JSON object."""

_KEYS = ("api_key", "payout_key", "contract_key")


def open_client(auth: str | None = "api_key", *, needs_business: bool = True) -> PayChainHQ:
    """Return a client that has at least one credential, and the business.

    Raises:
        ConfigurationError: A setting is missing or invalid.
    """
    settings: dict[str, Any] = {}
    for variable, setting in VARIABLES.items():
        if setting in _KEYS and variable_value(variable) is None:
            value = stored(variable) or (prompted(variable) if setting == auth else None)
            # None: not required. Otherwise `from_env` names the variable in its error.
            if value is not None or setting != auth:
                settings[setting] = value
        elif setting == "business_id" and not needs_business and variable_value(variable) is None:
            settings[setting] = None
    if auth == "dashboard":
        settings["dashboard"] = _dashboard()
    return PayChainHQ.from_env(**settings)


def business_id() -> str:
    """Return the business of the variables.

    Raises:
        ConfigurationError: It is not set.
    """
    names = {"PAYCHAIN_BUSINESS_ID": "business_id"}
    return str(environment_settings({}, names)["business_id"])


def stored(variable: str) -> Secret | None:
    """Return the secret in the keyring (service `paychainhq`), if one is installed and works."""
    try:
        import keyring  # type: ignore[import-not-found, unused-ignore]

        value = keyring.get_password("paychainhq", variable)
    except Exception:  # noqa: BLE001 (a keyring without a desktop fails in many ways)
        return None
    return Secret(value) if value else None


def prompted(variable: str) -> Secret | None:
    """Return a secret from a hidden prompt, or None without a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    value = Secret(getpass.getpass(f"{variable} (hidden): "))
    return value or None


def _dashboard() -> DashboardSession:
    text = variable_value(DASHBOARD)
    if text is None:
        raise ConfigurationError(
            f"the operation requires a dashboard session: set {DASHBOARD} (or {DASHBOARD}_FILE) to "
            "its headers, as a JSON object"
        )
    try:
        headers = json.loads(text)
    except ValueError:
        headers = None
    if not isinstance(headers, dict):
        raise ConfigurationError(f"{DASHBOARD} must be a JSON object of header names and values")
    return DashboardSession(headers)
