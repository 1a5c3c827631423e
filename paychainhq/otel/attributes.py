"""Attributes of spans and metrics, computed once for each operation and server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from paychainhq.telemetry import Endpoint

_PORTS = {"http": 80, "https": 443}


def server(origin: str) -> dict[str, Any]:
    """Return the attributes of a server."""
    url = urlsplit(origin)
    return {"server.address": url.hostname, "server.port": url.port or _PORTS[url.scheme]}


class Attributes:
    """Names and attributes of the spans and metrics of one endpoint.

    They are mappings that nothing changes: the SDK copies them.

    Attributes:
        operation: The name of a call's span.
        origin: The scheme, host and port of the server.
        call: The attributes of a call.
        attempt_name: The name of an attempt's span. A path without a template is no part of it, for
            the number of names must stay small.
        attempt: The attributes of an attempt's span.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.operation = endpoint.operation
        self.origin = endpoint.origin
        self.call = {"paychainhq.operation": endpoint.operation}
        template = {} if endpoint.template is None else {"url.template": endpoint.template}
        self.attempt = {
            "http.request.method": endpoint.method,
            **server(endpoint.origin),
            **template,
        }
        self.attempt_name = " ".join([endpoint.method, *template.values()])
        self._calls: dict[str | None, dict[str, Any]] = {None: self.call}
        self._requests: dict[tuple[int | None, str | None], dict[str, Any]] = {}
        self._waits: dict[str, dict[str, Any]] = {}

    def of_call(self, error: str | None) -> dict[str, Any]:
        """Return the attributes of a call's duration."""
        found = self._calls.get(error)
        if found is None:
            found = self._calls[error] = {**self.call, "error.type": error}
        return found

    def of_wait(self, reason: str) -> dict[str, Any]:
        """Return the attributes of a wait."""
        found = self._waits.get(reason)
        if found is None:
            found = self._waits[reason] = {**self.call, "paychainhq.wait.reason": reason}
        return found

    def of_request(self, status: int | None, error: str | None) -> dict[str, Any]:
        """Return the attributes of an attempt's duration."""
        found = self._requests.get((status, error))
        if found is None:
            found = dict(self.attempt)
            if status is not None:
                found["http.response.status_code"] = status
            if error is not None:
                found["error.type"] = error
            self._requests[status, error] = found
        return found
