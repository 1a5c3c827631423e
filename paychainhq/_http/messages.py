"""Messages of the middleware chain: a request with its attempts, and a response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from paychainhq._attempts import Attempt, Sent, sent_by
from paychainhq._frozen import maker
from paychainhq._version import __version__
from paychainhq.errors import Facts

if TYPE_CHECKING:
    from paychainhq._core.operation import Operation
    from paychainhq._core.policies import RetryPolicy
    from paychainhq._http.observation import CallObservation

COMMON_HEADERS = MappingProxyType(
    {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"paychainhq-python/{__version__}",
    }
)
"""Headers of every request."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Request:
    """Request of a call, the same for each attempt: immutable, but see `attrs.evolve`.

    Attributes:
        operation: The operation.
        path: The path with the query.
        headers: All headers but the credential and the idempotency key.
        body: The JSON body as bytes, or None.
        idempotency_key: The key of this call, or None.
        deadline: The loop time at which the call ends.
        retry: The policy for transient failures, or None.
        attempts: The attempts of the call, shared by all copies of this request.
        origin: The server: scheme, host, and port unless it is the scheme's own.
        waits: The seconds of waits since the last attempt by reason (see `Attempt.waited`), shared
            by all copies, too.
    """

    operation: Operation[Any]
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    idempotency_key: str | None
    deadline: float
    retry: RetryPolicy | None
    attempts: list[Attempt] = attrs.field(factory=list, eq=False)
    origin: str = ""
    waits: dict[str, float] = attrs.field(factory=dict, eq=False)
    _observation: CallObservation | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def repeatable(self) -> bool:
        """Return whether a retry has no second effect: a read, or a mutation with a key."""
        return self.operation.method == "GET" or self.idempotency_key is not None

    @property
    def sent(self) -> Sent:
        """Return whether any attempt was sent."""
        return sent_by(self.attempts)

    def with_headers(self, headers: Mapping[str, str]) -> Request:
        """Return a copy with further headers, faster than `attrs.evolve`.

        The names of the credential, and of the headers that frame a message, are refused when the
        request is sent.
        """
        return make_request(
            self.operation,
            self.path,
            {**self.headers, **headers},
            self.body,
            self.idempotency_key,
            self.deadline,
            self.retry,
            self.attempts,
            self.origin,
            self.waits,
            self._observation,
        )

    def facts(self) -> Facts:
        """Return the facts that every error of the call carries."""
        return {
            "operation": self.operation.name,
            "idempotency_key": self.idempotency_key,
            "attempts": tuple(self.attempts),
            "sent": self.sent,
        }


@attrs.frozen(weakref_slot=False)
class Response:
    """Complete response of the server, with any status.

    Attributes:
        status: The HTTP status.
        headers: The headers; their names are case-insensitive.
        body: The decompressed body.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


def log_facts(request: Request, **facts: object) -> dict[str, dict[str, object]]:
    """Return the `extra` of a log record about the last attempt of a call, with further facts."""
    about = {"operation": request.operation.name, "attempt": len(request.attempts)}
    for last in request.attempts[-1:]:  # a middleware may respond without an attempt
        facts |= {"status": last.status, "elapsed": last.elapsed, "sent": last.sent}
    return {"paychainhq": about | facts}


make_request = maker(Request)
make_response = maker(Response)

Next = Callable[[Request], Awaitable[Response]]
Middleware = Callable[[Request, Next], Awaitable[Response]]
