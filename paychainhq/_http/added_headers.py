"""Headers that middleware and telemetry add to a request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import aiohttp

from paychainhq._http.messages import COMMON_HEADERS, Request
from paychainhq.errors import ConfigurationError

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

OWN = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-api-key",  # also of a public operation, which sends no key
    }
)
"""Names of the headers that frame a message, or identify a request or its sender; in lower case."""

# Headers of each request. Another value replaces the usual one, on the session path.
_USUAL = frozenset(
    str(name).lower() for name in (*COMMON_HEADERS, *aiohttp.ClientRequest.DEFAULT_HEADERS)
)


def refuse(names: Iterable[str], own: frozenset[str], request: Request) -> None:
    """Raise `ConfigurationError` for the name of a header that only the client may set.

    Args:
        names: The names.
        own: Those that only the client may set, in lower case.
        request: The request.
    """
    for name in names:
        if name.lower() in own:
            raise ConfigurationError(
                f"a middleware must not set the header {name}, which belongs to the client: keys "
                "are arguments of the client, and an idempotency key is one of the call",
                **request.facts(),
            )


def added_lines(headers: Mapping[str, str]) -> str | None:
    """Return the lines of the headers that are added to the common ones.

    Returns:
        The lines; None if the request must take the session path, which checks or replaces a
        header.
    """
    lines: dict[str, str] = {}
    common = 0
    for name, value in headers.items():
        if COMMON_HEADERS.get(name) == value:
            common += 1
            continue
        lower = name.lower()
        if (
            lower in _USUAL
            or lower in lines
            or _TOKEN.fullmatch(name) is None
            or not (value.isascii() and value.isprintable())
        ):
            return None
        lines[lower] = f"{name}: {value}\r\n"
    return "".join(lines.values()) if common == len(COMMON_HEADERS) else None
