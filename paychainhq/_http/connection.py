"""Connection settings: TLS, proxy, the caller's session."""

from __future__ import annotations

import ssl as ssl_module
from collections.abc import Mapping
from functools import cache, partial

import aiohttp
import attrs
from attrs.validators import optional
from yarl import URL

from paychainhq._core.settings import is_loopback, is_loopback_url
from paychainhq._core.validators import at_least, checked
from paychainhq._http.fast_path import tls_of
from paychainhq._http.proxies import environment_proxy, split_proxy
from paychainhq.errors import ConfigurationError


def _session(name: str, value: object) -> None:
    if not isinstance(value, aiohttp.ClientSession):
        raise ConfigurationError(
            f"{name} must be an aiohttp.ClientSession, not {type(value).__name__}"
        )


def _context(name: str, value: object) -> None:
    if not isinstance(value, ssl_module.SSLContext):
        raise ConfigurationError(
            f"{name} must be an ssl.SSLContext that trusts your server's certificate, not "
            f"{type(value).__name__}"
        )
    _refuse_unverified(name, value)


@attrs.frozen(kw_only=True)
class ConnectionSettings:
    """Settings of the connections to the server; raises `ConfigurationError` if they are invalid.

    Attributes:
        base_url: The address of the API, without the path of its version.
        session: The caller's own session, or None.
        ssl: The TLS context; None for plain http, and where the session has one.
        proxy: The address of the proxy, without credentials, or None.
        proxy_headers: The headers with the credentials of the proxy.
        max_connections: The largest number of concurrent requests.
        name: The server's name in ledger entries: its address, or "" for this machine.
        origin: The server: scheme, host, and port unless it is the scheme's own.
    """

    base_url: str
    session: aiohttp.ClientSession | None = attrs.field(validator=optional(checked(_session)))
    ssl: ssl_module.SSLContext | None = attrs.field(validator=optional(checked(_context)))
    _proxy_url: str | None = attrs.field(alias="proxy", repr=False)
    _trust_env: bool = attrs.field(alias="trust_env")
    _allow_insecure_http: bool = attrs.field(alias="allow_insecure_http")
    max_connections: int = attrs.field(validator=checked(partial(at_least, 1)))
    name: str = attrs.field(init=False, repr=False, eq=False)
    origin: str = attrs.field(init=False, repr=False, eq=False)
    proxy: URL | None = attrs.field(init=False, repr=False)
    proxy_headers: Mapping[str, str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # Stored, since each recorded call reads it.
        name = "" if is_loopback_url(self.base_url) else self.base_url
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "origin", str(URL(self.base_url).origin()))
        if self.ssl is None and self.base_url.startswith("https:"):
            if self.session is None:
                object.__setattr__(self, "ssl", _default_tls())
            else:
                _refuse_unverified("the connector of session", tls_of(self.session))
        origin, given = "proxy", self._proxy_url
        if given is None and self._trust_env:
            origin, given = environment_proxy(self.base_url)
        proxy, headers = (None, {}) if given is None else split_proxy(given)
        if given is not None and proxy is None:
            raise ConfigurationError(f"{origin} must be an http or https URL with a host")
        if (
            proxy is not None
            and self.base_url.startswith("http:")
            and not self._allow_insecure_http
            and not is_loopback(proxy.host or "")
        ):
            raise ConfigurationError(
                "plain http through a proxy on another host would expose your keys to the network: "
                "use https, or pass allow_insecure_http=True"
            )
        object.__setattr__(self, "proxy", proxy)
        object.__setattr__(self, "proxy_headers", headers)


def _refuse_unverified(argument: str, tls: object) -> None:
    """Raise `ConfigurationError` if certificates or host names are not verified.

    None and True stand for aiohttp's default, and a fingerprint is a verification of its own.
    """
    if isinstance(tls, ssl_module.SSLContext):
        verifies = tls.verify_mode is ssl_module.CERT_REQUIRED and tls.check_hostname
    else:
        verifies = tls is not False
    if not verifies:
        raise ConfigurationError(
            f"{argument} does not verify who the server is, so that another one could receive your "
            "keys: use ssl.create_default_context(cafile=...) to trust your certificate"
        )


@cache
def _default_tls() -> ssl_module.SSLContext:
    """Return the verifying TLS context, created once a process: it takes some 30 ms."""
    return ssl_module.create_default_context()
