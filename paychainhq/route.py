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

from paychainhq.config import at_least, is_loopback, is_loopback_url
from paychainhq.credentials import Secret, conceal
from paychainhq.errors import ConfigurationError
from paychainhq.fast_path import tls_of


@attrs.frozen(kw_only=True)
class Route:
    """How the server is reached.

    Attributes:

        name: What tells this server from another one, such as the sandbox from the live one; all
            servers on this machine are one.
    """

    base_url: str
    session: aiohttp.ClientSession | None
    ssl: ssl_module.SSLContext | None
    proxy: URL | None = attrs.field(repr=False)
    proxy_headers: Mapping[str, str]
    max_connections: int

    # Stored, since each recorded call reads it.
    name: str = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: "" if is_loopback_url(self.base_url) else self.base_url, takes_self=True
        ),
    )


def make_route(
    base_url: str,
    *,
    session: aiohttp.ClientSession | None,
    ssl: ssl_module.SSLContext | None,
    proxy: str | None,
    trust_env: bool,
    allow_insecure_http: bool,
    max_connections: int,
) -> Route:
    """Check the settings of the connections, and build the TLS context; raises
    `ConfigurationError`.
    """
    if ssl is not None and not isinstance(ssl, ssl_module.SSLContext):
        raise ConfigurationError(
            "ssl must be an ssl.SSLContext: one that trusts your certificate, not a switch that "
            "trusts any"
        )
    if session is not None and not isinstance(session, aiohttp.ClientSession):
        raise ConfigurationError(
            f"session must be an aiohttp.ClientSession, not {type(session).__name__}"
        )
    _refuse_unverified("ssl", ssl)
    if ssl is None and base_url.startswith("https:"):
        if session is None:
            ssl = _default_tls()
        else:
            _refuse_unverified("the connector of session", tls_of(session))
    if proxy is None and trust_env:
        proxy = _environment_proxy(base_url)
    address, proxy_headers = (None, {}) if proxy is None else _take_proxy_apart(proxy)
    if proxy is not None and address is None:
        raise ConfigurationError("proxy must be an http or https URL with a host")
    if (
        address is not None
        and base_url.startswith("http:")
        and not allow_insecure_http
        and not is_loopback(address.host or "")
    ):
        raise ConfigurationError(
            "plain http through a proxy on another host would show your keys to the network: use "
            "https, or pass"
            " allow_insecure_http=True"
        )
    return Route(
        base_url=base_url,
        session=session,
        ssl=ssl,
        proxy=address,
        proxy_headers=proxy_headers,
        max_connections=at_least(1, "max_connections", max_connections),
    )


def _refuse_unverified(argument: str, tls: object) -> None:
    """Raise `ConfigurationError` for what takes any certificate, or one that was issued to another
    host.

    None and True stand for aiohttp's default, and a fingerprint is a verification of its own.
    """
    if isinstance(tls, ssl_module.SSLContext):
        verifies = tls.verify_mode is ssl_module.CERT_REQUIRED and tls.check_hostname
    else:
        verifies = tls is not False
    if not verifies:
        raise ConfigurationError(
            f"{argument} does not verify who the server is, and your keys would go to whoever "
            "answers: use a context from"
            " ssl.create_default_context(cafile=...) that trusts your certificate"
        )


@cache
def _default_tls() -> ssl_module.SSLContext:
    """The verifying TLS context, built once a process: it takes some 30 ms."""
    return ssl_module.create_default_context()


def _take_proxy_apart(proxy: str) -> tuple[URL | None, Mapping[str, str]]:
    """Return a proxy's address, or None if it is none, and the headers that its credentials become.

    Nothing is raised here, where the locals show a password.
    """
    if not isinstance(proxy, str) or not proxy.isprintable():
        return None, {}
    try:
        url = URL(proxy)
    except ValueError:
        return None, {}
    if url.scheme not in ("http", "https") or not url.host:
        return None, {}
    if url.user is None:
        return url, {}
    credentials = base64.b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
    return url.with_user(None), {"Proxy-Authorization": Secret(f"Basic {credentials}")}


def _environment_proxy(base_url: str) -> str | None:
    """The proxy that the environment's variables name for this server: looked up once, not for each
    request.
    """
    from urllib.request import getproxies, proxy_bypass

    url = urlsplit(base_url)
    return None if proxy_bypass(url.netloc) else conceal(getproxies().get(url.scheme))
