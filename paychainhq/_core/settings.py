"""Settings of a client: base URL and environment variables."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from paychainhq._core.secrets import Secret
from paychainhq._core.validators import content, seconds
from paychainhq.errors import ConfigurationError

# A host name (of any script) or an IP address, and a port. Only a port may follow the brackets of
# an IPv6 address.
_DNS_NAME = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*", re.ASCII)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[\w.-]+)(?::[0-9]+)?")

LIVE_URL = "https://api.paychainhq.io"


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")


def resolve_base_url(environment: str, base_url: str | None, *, allow_insecure_http: bool) -> str:
    """Return the address, without `/api/v1`, that precedes the path of each request."""
    if environment not in ("live", "sandbox"):
        shown = (
            f'"{content(environment)}"'
            if isinstance(environment, str)
            else type(environment).__name__
        )
        raise ConfigurationError(f'environment must be "live" or "sandbox", not {shown}')
    if base_url is None:
        if environment == "sandbox":
            raise ConfigurationError(
                "the base URL of the sandbox is not published: pass base_url=... from your "
                "dashboard or onboarding materials"
            )
        return LIVE_URL
    return checked_base_url(base_url, "/api/v1", allow_insecure_http=allow_insecure_http)


def checked_base_url(base_url: str, ending: str, *, allow_insecure_http: bool) -> str:
    """Return a base URL without its ending; raises `ConfigurationError` for an unsafe one.

    Args:
        base_url: The URL.
        ending: A path that the URL may end with.
        allow_insecure_http: Allow plain http to another host.
    """
    if not isinstance(base_url, str):
        raise ConfigurationError(f"base_url must be a string, not {type(base_url).__name__}")
    if "@" in base_url:
        raise ConfigurationError("base_url must contain no user name and no password")
    try:
        url = urlsplit(base_url)
        host, _ = url.hostname or "", url.port
        if not _DNS_NAME.fullmatch(host):  # spares the import of the codec
            host.encode("idna")  # raises for an empty or overlong label, which DNS does not allow
    except ValueError:
        url, host = urlsplit(""), ""
    if not _HOST.fullmatch(url.netloc):
        host = ""
    if (
        url.scheme not in ("http", "https")
        or not host
        or any(not c.isprintable() or c in " \\" for c in base_url)
    ):
        raise ConfigurationError("base_url must be an http or https URL with a host")
    if (
        url.query
        or url.fragment
        or "%" in url.path
        or any(part in (".", "..") for part in url.path.split("/"))
    ):
        raise ConfigurationError(
            f"base_url must end with its host, or with a plain path such as {ending}"
        )
    if url.scheme == "http" and not allow_insecure_http and not is_loopback(host):
        raise ConfigurationError(
            f"plain http to {host} would expose your keys to the network: use https, or pass "
            "allow_insecure_http=True"
        )
    prefix = url.path.rstrip("/").removesuffix(ending)
    return f"{url.scheme}://{url.netloc}{prefix}"


# --- environment variables ---

VARIABLES = {
    "PAYCHAIN_API_URL": "base_url",
    "PAYCHAIN_API_KEY": "api_key",
    "PAYCHAIN_BUSINESS_ID": "business_id",
    "PAYCHAIN_PAYOUT_KEY": "payout_key",
    "PAYCHAIN_CONTRACT_KEY": "contract_key",
    "PAYCHAIN_ENVIRONMENT": "environment",
    "PAYCHAIN_TIMEOUT": "timeout",
}
"""Environment variables of a client, and the settings that they provide."""

WEBHOOK_VARIABLES = {"PAYCHAIN_WEBHOOK_SECRET": "secrets"}
"""Environment variable of a webhook receiver, and its setting."""

_REQUIRED = frozenset({"api_key", "business_id", "secrets"})


def environment_settings(
    given: Mapping[str, object], names: Mapping[str, str] = VARIABLES
) -> dict[str, Any]:
    """Return the given settings, and the others from environment variables or files.

    A setting is the first of: the given one, even None; the variable, unless it is empty; the
    content of the file that the variable with the ending `_FILE` names.

    Args:
        given: Settings by their names; secrets are concealed.
        names: The variables, and the settings that they provide.

    Raises:
        ConfigurationError: A required setting is missing (the error names each), a file cannot be
            read, or a number is invalid. No value is shown.
    """
    settings: dict[str, Any] = dict(given)
    for variable, setting in names.items():
        if setting not in settings and (value := variable_value(variable)) is not None:
            settings[setting] = _converted(variable, setting, value)
    required = _REQUIRED | ({"base_url"} if settings.get("environment") == "sandbox" else set())
    missing = {
        variable: setting
        for variable, setting in names.items()
        if setting in required - settings.keys()
    }
    if missing:
        raise ConfigurationError(
            f"not set in the environment: {', '.join(missing)}. Set each, or set its name with the "
            "ending _FILE to the path of a file with the value, or pass "
            f"{', '.join(f'{setting}=...' for setting in missing.values())}"
        )
    return settings


def variable_value(variable: str) -> Secret | None:
    """Return the value of a variable or of its file, or None.

    Raises:
        ConfigurationError: The file cannot be read, or is empty; no value is shown.
    """
    if os.environ.get(variable):
        return Secret(os.environ[variable])
    path = Secret(os.environ.get(f"{variable}_FILE", ""))  # perhaps a misplaced secret
    if not path:
        return None
    try:
        # Editors and `echo` end a file with a line break.
        value = Secret(Path(path).read_text(encoding="utf-8").removesuffix("\n"))
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not text in UTF-8"
    else:
        if value:
            return value
        problem = "is empty"
    # Outside of the handlers, whose exceptions show the content or the path.
    raise ConfigurationError(f"the file that {variable}_FILE names {problem}")


def _converted(variable: str, setting: str, value: Secret) -> Any:
    """Return the value of a setting from its text."""
    if setting.endswith("_id"):
        return str.__str__(value)
    if setting != "timeout":
        return value
    try:
        return seconds(variable, float(value))
    except (ValueError, ConfigurationError):
        pass  # the error may contain the value, which may be a misplaced secret
    raise ConfigurationError(f"{variable} must be a number of seconds, more than 0")
