"""What travels through the middleware: a request, its response, and the record of the attempts in
between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from paychainhq._attempts import Attempt, Sent
from paychainhq._frozen import maker
from paychainhq._version import __version__
from paychainhq.errors import Facts

if TYPE_CHECKING:
    from paychainhq._core.operation import Operation
    from paychainhq._core.policies import RetryPolicy

COMMON_HEADERS = MappingProxyType(
    {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"paychainhq-python/{__version__}",
    }
)
"""The headers of every request."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class Request:
    """One call on its way: immutable, so that every attempt sends the same thing (change it with
    `attrs.evolve`).

    Attributes:
        operation: What is asked for.
        path: The path, with the query.
        headers: All headers but the credential and the idempotency key.
        body: The JSON body as bytes, or None.
        idempotency_key: The key of this call, or None.
        deadline: The loop time at which the call ends.
        retry: How failures are met, or None.
        attempts: The record of the attempts, shared by all copies of this request.
    """

    operation: Operation[Any]
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    idempotency_key: str | None
    deadline: float
    retry: RetryPolicy | None
    attempts: list[Attempt] = attrs.field(factory=list, eq=False)

    @property
    def repeatable(self) -> bool:
        """Whether sending it again, after it may have been taken, can do no harm: a read, or a
        mutation with a key.
        """
        return self.operation.method == "GET" or self.idempotency_key is not None

    @property
    def sent(self) -> Sent:
        """Whether any attempt left."""
        states = {attempt.sent for attempt in self.attempts}
        return "yes" if "yes" in states else "unknown" if "unknown" in states else "no"

    def facts(self) -> Facts:
        """What every error of this call carries."""
        return {
            "operation": self.operation.name,
            "idempotency_key": self.idempotency_key,
            "attempts": tuple(self.attempts),
            "sent": self.sent,
        }


@attrs.frozen(weakref_slot=False)
class Response:
    """An answer of the server, of whatever status, read to its end.

    Attributes:
        status: The HTTP status.
        headers: Its headers, names in any case.
        body: Its body, decompressed.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


make_request = maker(Request)
make_response = maker(Response)

Next = Callable[[Request], Awaitable[Response]]
Middleware = Callable[[Request, Next], Awaitable[Response]]
