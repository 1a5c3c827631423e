"""The settings of a client, checked before anything is sent."""

from __future__ import annotations

import ipaddress
import math
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import attrs

from paychainhq.arguments import content
from paychainhq.credentials import Secret
from paychainhq.errors import ConfigurationError

# A host name (of any script) or an IP address, and a port. Nothing may follow the brackets of an
# IPv6 address but a port.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[\w.-]+)(?::[0-9]+)?")
_LARGEST_COUNT = sys.maxsize

LIVE_URL = "https://api.paychainhq.io"


def seconds(name: str, value: object, *, zero: bool = False) -> float:
    """Return a duration in seconds, or raise `ConfigurationError`."""
    number = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        with suppress(OverflowError):  # an int that no float can hold
            number = float(value)
    if not math.isfinite(number) or number < 0 or not (number or zero):
        raise ConfigurationError(
            f"{name} must be a number of seconds, {'0 or more' if zero else 'more than 0'}, not "
            f"{_shown(value)}"
        )
    return number


def at_least(least: int, name: str, value: object) -> int:
    """Return a whole number, or raise `ConfigurationError`."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not least <= value <= _LARGEST_COUNT
    ):
        raise ConfigurationError(f"{name} must be an int of {least} or more, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    """Return a value as an error shows it; Python refuses to print an int of many thousand
    digits.
    """
    return (
        "an int that is far too large"
        if isinstance(value, int) and abs(value) > _LARGEST_COUNT
        else repr(value)
    )


def _seconds(instance: object, field: attrs.Attribute[Any], value: object) -> None:
    seconds(field.name, value)


def _positive(instance: object, field: attrs.Attribute[Any], value: object) -> None:
    at_least(1, field.name, value)


@attrs.frozen
class RetryPolicy:
    """How a call meets failures that may pass.

    Args:

        attempts: The most attempts that a call makes, the first included.
        attempt_timeout: Seconds that one attempt may take.
        first: The longest wait before the second attempt, in seconds; it doubles with each further
            one. The wait itself is drawn evenly between nothing and that (full jitter).
        cap: The longest wait before any attempt, in seconds.
    """

    attempts: int = attrs.field(default=6, validator=_positive)
    attempt_timeout: float = attrs.field(default=20.0, validator=_seconds)
    first: float = attrs.field(default=0.5, validator=_seconds)
    cap: float = attrs.field(default=20.0, validator=_seconds)


@attrs.frozen
class RateLimit:
    """At most `rate` requests in `per` seconds.

    Args:

        rate: Requests in each period.
        per: The length of the period in seconds.
        burst: How many may go at once after a pause; by default `rate`, but at least 1.
    """

    rate: float = attrs.field(validator=_seconds)
    per: float = attrs.field(default=1.0, validator=_seconds)
    burst: int | None = attrs.field(default=None, validator=attrs.validators.optional(_positive))


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
    """Return the origin (and prefix, if any) that paths beginning with `/api/` are put behind."""
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
                "the sandbox's base URL is not published: pass base_url=..., which is in your "
                "dashboard or onboarding materials"
            )
        return LIVE_URL
    return checked_base_url(base_url, "/api/v1", allow_insecure_http=allow_insecure_http)


def checked_base_url(base_url: str, ending: str, *, allow_insecure_http: bool) -> str:
    """Return a base URL without the path that it may end with, or refuse one that does not say
    safely where keys go.
    """
    if not isinstance(base_url, str):
        raise ConfigurationError(f"base_url must be a string, not {type(base_url).__name__}")
    if "@" in base_url:
        raise ConfigurationError("base_url must hold no user name and no password")
    try:
        url = urlsplit(base_url)
        host, _ = url.hostname or "", url.port
        host.encode(
            "idna"
        )  # a host with an empty label, or with one that is too long, cannot be looked up
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
            f"plain http to {host} would show your keys to the network: use https, or pass "
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
    """Read a client's settings from environment variables; those that are unset or empty are left
    out.
    """
    environ = os.environ if environ is None else environ
    found = {
        setting: environ[variable] for variable, setting in names.items() if environ.get(variable)
    }
    return {
        setting: value if setting.endswith("_id") else Secret(value)
        for setting, value in found.items()
    }
