"""Settings of a client: base URL and environment variables."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from paychainhq._core.secrets import Secret
from paychainhq._core.validators import content
from paychainhq.errors import ConfigurationError

# A host name (of any script) or an IP address, and a port. Only a port may follow the brackets of
# an IPv6 address.
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


_VARIABLES = {
    "PAYCHAIN_API_URL": "base_url",
    "PAYCHAIN_API_KEY": "api_key",
    "PAYCHAIN_BUSINESS_ID": "business_id",
    "PAYCHAIN_PAYOUT_KEY": "payout_key",
    "PAYCHAIN_CONTRACT_KEY": "contract_key",
    "PAYCHAIN_ENVIRONMENT": "environment",
}


def environment_settings(
    environ: Mapping[str, str] | None = None, names: Mapping[str, str] = _VARIABLES
) -> dict[str, Any]:
    """Return a client's settings from environment variables, without unset and empty ones."""
    environ = os.environ if environ is None else environ
    found = {
        setting: environ[variable] for variable, setting in names.items() if environ.get(variable)
    }
    return {
        setting: value if setting.endswith("_id") else Secret(value)
        for setting, value in found.items()
    }
