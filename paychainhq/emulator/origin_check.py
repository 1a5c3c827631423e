"""Access check of the emulator: refuses requests that a web page in a browser may have sent."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from paychainhq.emulator.errors import RefusedError

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_DEFAULT_PORT = 80  # clients omit it from `Host`


class OriginCheck:
    """Hosts that the requests of one emulator may name.

    Args:
        host: The address that the emulator listens on.
        port: The port that it listens on.
        allowed: Further hosts, as `"name"` (with any port) or `"name:port"`.
    """

    def __init__(self, host: str, port: int, allowed: Iterable[str] = ()) -> None:
        self._port = port
        self._hosts = {f"{name}:{port}" for name in (*_LOOPBACK, _bracketed(host).lower())}
        self._allowed = {name.lower() for name in allowed}

    def check(self, request: web.BaseRequest, *, control: bool) -> None:
        """Raise `RefusedError` for a request that a web page may have sent.

        A page can send to any address, and give its own host name the emulator's address (DNS
        rebinding). The browser then sends the page's name as `Host`, and its origin as `Origin`. It
        sends a JSON body to another origin only after a preflight, which the emulator refuses.
        """
        host = request.headers.get("Host", "").lower()
        if not self._is_known(host, request):
            _refuse(
                f"the host {host[:100]!r} is not allowed; --allow-host (allowed_hosts=) allows a "
                "host"
            )
        if any(
            origin.lower() != f"http://{host}" for origin in request.headers.getall("Origin", ())
        ):
            _refuse("the emulator accepts no requests from pages of another origin")
        if control and request.method != "GET" and request.content_type != "application/json":
            _refuse("a control request must have the Content-Type application/json")

    def _is_known(self, host: str, request: web.BaseRequest) -> bool:
        name, port = _split(host)
        if (
            f"{name}:{port}" in self._hosts
            or name in self._allowed
            or f"{name}:{port}" in self._allowed
        ):
            return True
        # An emulator bound to all addresses accepts each of them: an address cannot be rebound as a
        # name can.
        address = (
            None if request.transport is None else request.transport.get_extra_info("sockname")
        )
        return (
            address is not None and name == _bracketed(str(address[0])) and port == str(self._port)
        )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _split(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and not port.endswith("]") else (host, str(_DEFAULT_PORT))


def _refuse(message: str) -> None:
    raise RefusedError(403, "FORBIDDEN", message)
