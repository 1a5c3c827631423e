"""Log of the requests that the emulator received, for assertions in tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

from paychainhq._core.secrets import Secret
from paychainhq.emulator.auth import DASHBOARD_HEADER

_CREDENTIAL_HEADERS = frozenset({"x-api-key", "authorization", "cookie", DASHBOARD_HEADER.lower()})
_KEPT = 20_000
# The inspector shows headers and bodies of the latest responses only.
_KEPT_RESPONSES = 500
_LONGEST_BODY = 20_000

T = TypeVar("T")


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
        credential: The id of the key that was used, `"dashboard"`, or None.
        replayed: Whether the response is the stored one of an idempotency key.
        received_at: The time of the request by the emulator's clock.
        duration: The seconds until the response, or None if there is none (yet).
    """

    request_id: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: object
    operation: str | None
    status: int | None = None
    credential: str | None = None
    replayed: bool = False
    received_at: datetime
    duration: float | None = None


def mask(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Copy headers, with masked credentials."""
    return CIMultiDictProxy(
        CIMultiDict(
            (name, Secret(value) if name.lower() in _CREDENTIAL_HEADERS else value)
            for name, value in headers.items()
        )
    )


@attrs.frozen
class Response:
    """Headers and body of a response; the body may be cut."""

    headers: Mapping[str, str]
    body: bytes


class RequestLog:
    """Latest requests, oldest first, and the responses to some of them.

    Attributes:
        on_change: The function that is called with the id of each new or changed request.
    """

    def __init__(self) -> None:
        self.on_change: Callable[[str], None] = lambda request_id: None
        self._requests: dict[str, ReceivedRequest] = {}
        self._responses: dict[str, Response] = {}

    def add(self, request: ReceivedRequest) -> None:
        _append(self._requests, _KEPT, request.request_id, request)
        self.on_change(request.request_id)

    def complete(self, request_id: str, response: Response, **changes: Any) -> None:
        """Store the response to a request, with the facts that were unknown before."""
        if request_id in self._requests:  # otherwise cleared, or too old
            self._requests[request_id] = attrs.evolve(self._requests[request_id], **changes)
            cut = attrs.evolve(response, body=response.body[:_LONGEST_BODY])
            _append(self._responses, _KEPT_RESPONSES, request_id, cut)
            self.on_change(request_id)

    def clear(self) -> None:
        self._requests.clear()
        self._responses.clear()

    def get(self, request_id: str) -> ReceivedRequest | None:
        return self._requests.get(request_id)

    def response(self, request_id: str) -> Response | None:
        return self._responses.get(request_id)

    def all(self) -> tuple[ReceivedRequest, ...]:
        return tuple(self._requests.values())

    def page(self, offset: int, limit: int) -> list[ReceivedRequest]:
        """Return some requests, the newest first."""
        return list(islice(reversed(self._requests.values()), offset, offset + limit))

    def __len__(self) -> int:
        return len(self._requests)


def _append(kept: dict[str, T], limit: int, key: str, value: T) -> None:
    kept[key] = value
    if len(kept) > limit:
        del kept[next(iter(kept))]
