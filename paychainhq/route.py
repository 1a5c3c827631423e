"""How the server is reached: TLS, proxies, the caller's own session."""

from __future__ import annotations

import base64
import ssl as ssl_module
from collections.abc import Mapping
from functools import cache
from urllib.parse import urlsplit

import aiohttp
import attrs
from yarl import URL

from paychainhq.config import at_least, is_loopback_url
from paychainhq.credentials import Secret, conceal
from paychainhq.errors import ConfigurationError


@attrs.frozen(kw_only=True)
class Route:
    """How the server is reached."""

    base_url: str
    session: aiohttp.ClientSession | None
    ssl: ssl_module.SSLContext | None
    proxy: URL | None = attrs.field(repr=False)
    proxy_headers: Mapping[str, str]
    max_connections: int

    @property
    def name(self) -> str:
        """What tells this server from another one, such as the sandbox from the live one; all servers on this machine are one."""
        return "" if is_loopback_url(self.base_url) else self.base_url


def make_route(
    base_url: str,
    *,
    session: aiohttp.ClientSession | None,
    ssl: ssl_module.SSLContext | None,
    proxy: str | None,
    trust_env: bool,
    max_connections: int,
) -> Route:
    """Check the settings of the connections, and build the TLS context; raises `ConfigurationError`."""
    if ssl is not None and not isinstance(ssl, ssl_module.SSLContext):
        raise ConfigurationError("ssl must be an ssl.SSLContext: one that trusts your certificate, not a switch that trusts any")
    if session is not None and not isinstance(session, aiohttp.ClientSession):
        raise ConfigurationError(f"session must be an aiohttp.ClientSession, not {type(session).__name__}")
    if ssl is None and session is None and base_url.startswith("https:"):
        ssl = _default_tls()
    if proxy is None and trust_env:
        proxy = _environment_proxy(base_url)
    address, proxy_headers = (None, {}) if proxy is None else _take_proxy_apart(proxy)
    if proxy is not None and address is None:
        raise ConfigurationError("proxy must be an http or https URL with a host")
    return Route(
        base_url=base_url,
        session=session,
        ssl=ssl,
        proxy=address,
        proxy_headers=proxy_headers,
        max_connections=at_least(1, "max_connections", max_connections),
    )


@cache
def _default_tls() -> ssl_module.SSLContext:
    """The verifying TLS context, built once a process: it takes some 30 ms."""
    return ssl_module.create_default_context()


def _take_proxy_apart(proxy: str) -> tuple[URL | None, Mapping[str, str]]:
    """Return a proxy's address, or None if it is none, and the headers that its credentials become.

    Nothing is raised here, where the locals show a password.
    """
    try:
        url = URL(proxy)
    except (TypeError, ValueError):
        return None, {}
    if url.scheme not in ("http", "https") or not url.host:
        return None, {}
    if url.user is None:
        return url, {}
    credentials = base64.b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
    return url.with_user(None), {"Proxy-Authorization": Secret(f"Basic {credentials}")}


def _environment_proxy(base_url: str) -> str | None:
    """The proxy that the environment's variables name for this server: looked up once, not for each request."""
    from urllib.request import getproxies, proxy_bypass

    url = urlsplit(base_url)
    return None if proxy_bypass(url.netloc) else conceal(getproxies().get(url.scheme))
