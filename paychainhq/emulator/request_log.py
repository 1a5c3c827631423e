"""Log of the requests that the emulator received, for assertions in tests."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

from paychainhq._core.secrets import Secret
from paychainhq.emulator.auth import DASHBOARD_HEADER

_CREDENTIAL_HEADERS = frozenset({"x-api-key", "authorization", "cookie", DASHBOARD_HEADER.lower()})
_KEPT = 20_000


@attrs.frozen(kw_only=True)
class ReceivedRequest:
    """Received request.

    Attributes:
        request_id: The `x-request-id` of the response.
        method: The HTTP method.
        path: The path as sent, without the query.
        query: The fields of the query.
        headers: The headers, names in any case. Credentials compare as usual and are masked in a
            repr.
        body: The parsed JSON body, or None.
        operation: The operation's name, or None for an unknown path.
        status: The status of the response, or None if there is none (yet).
    """

    request_id: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: object
    operation: str | None
    status: int | None = None


def mask(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Copy headers, with masked credentials."""
    return CIMultiDictProxy(
        CIMultiDict(
            (name, Secret(value) if name.lower() in _CREDENTIAL_HEADERS else value)
            for name, value in headers.items()
        )
    )


class RequestLog:
    """Latest requests, oldest first."""

    def __init__(self) -> None:
        self._requests: dict[str, ReceivedRequest] = {}

    def add(self, request: ReceivedRequest) -> None:
        self._requests[request.request_id] = request
        if len(self._requests) > _KEPT:
            del self._requests[next(iter(self._requests))]

    def set_status(self, request_id: str, status: int) -> None:
        if request_id in self._requests:
            self._requests[request_id] = attrs.evolve(self._requests[request_id], status=status)

    def all(self) -> tuple[ReceivedRequest, ...]:
        return tuple(self._requests.values())
