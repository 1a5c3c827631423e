"""Proxies: their addresses and credentials, and those of the environment with their exceptions."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from yarl import URL

from paychainhq._core.credentials import conceal
from paychainhq._core.secrets import Secret
from paychainhq._core.settings import is_loopback

_PORTS = {"http": 80, "https": 443}


def split_proxy(proxy: str) -> tuple[URL | None, Mapping[str, str]]:
    """Return a proxy's address, or None if it is invalid, and the headers with its credentials.

    The function raises nothing, since its locals show a password.
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


def environment_proxy(base_url: str) -> tuple[str, str | None]:
    """Return the origin and the address of a server's proxy from the environment, read once.

    The origin is the name of the variable. The address is None for a server without a proxy: this
    machine, and the exceptions of `NO_PROXY`.
    """
    from urllib.request import getproxies, proxy_bypass

    url = urlsplit(base_url)
    host, proxies = url.hostname or "", getproxies()
    proxy = proxies.get(url.scheme)
    if (
        not proxy
        or is_loopback(host)
        or proxy_bypass(url.netloc)  # on macOS and Windows also by the settings of the system
        or is_excepted(host, url.port or _PORTS[url.scheme], proxies.get("no", ""))
    ):
        return "", None
    variables = (name for name in os.environ if name.lower() == f"{url.scheme}_proxy")
    origin = next((name for name in variables if os.environ[name] == proxy), "the system's proxy")
    return origin, conceal(proxy)


def is_excepted(host: str, port: int, exceptions: str) -> bool:
    """Return whether a value of `NO_PROXY` names a server.

    Args:
        host: The host name or IP address, without brackets.
        port: The port.
        exceptions: Host names, which include their subdomains, `*.name`, IP addresses and networks,
            each perhaps with a port, separated by commas or spaces; `*` stands for every server.
    """
    host = host.lower().rstrip(".")
    address = _network(host)
    for entry in re.split(r"[,\s]+", exceptions.lower()):
        name, only = entry, None
        if _network(entry) is None:
            try:
                split = urlsplit(f"//{entry}")
                name, only = split.hostname or "", split.port
            except ValueError:
                continue
        if only not in (None, port) or not name:
            continue
        network = _network(name)
        if network is not None:
            # Networks of two versions of IP are not comparable.
            matches = address is not None and (
                address.version == network.version and address.network_address in network
            )
        elif name.startswith("*"):
            matches = host.endswith(name[1:])
        else:
            name = name.strip(".")
            matches = host == name or host.endswith(f".{name}")
        if matches:
            return True
    return False


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return an IP address or network, or None for other text."""
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None
