"""What goes into a job and comes out of it: requests and outcomes, and the changes of what is
watched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NoReturn, TypeVar, cast

import attrs

from paychainhq._core.validators import Money
from paychainhq.errors import PayChainError

if TYPE_CHECKING:
    pass

R = TypeVar("R")
T = TypeVar("T")


@attrs.frozen
class InvoiceRequest:
    """What `invoices.create` takes, and `reference`: the caller's own name for it, from which its
    idempotency key is derived.
    """

    amount: Money
    token: str
    chain: str
    network_id: str | None = None
    customer_id: str | None = None
    expires_in: int | None = None
    description: str | None = None
    underpayment_tolerance_bps: int | None = None
    underpayment_tolerance_max_usd: Money | None = None
    metadata: Mapping[str, Any] | None = None
    reference: str = attrs.field(kw_only=True)


@attrs.frozen
class CustomerRequest:
    """What `customers.create` takes, and `reference`, as in `InvoiceRequest`."""

    external_ref: str
    email: str | None = None
    reference: str = attrs.field(kw_only=True)


@attrs.frozen
class Success(Generic[R, T]):
    """Outcome of a request that was done.

    Attributes:
        request: The request, as it was given.
        result: The object that was created.
    """

    request: R | Mapping[str, Any]
    result: T
    ok: ClassVar[Literal[True]] = True
    error: ClassVar[None] = None

    @property
    def reference(self) -> str:
        """Return the reference of the request."""
        return cast(str, _reference(self.request))

    def unwrap(self) -> T:
        """Return the result."""
        return self.result


@attrs.frozen
class Failure(Generic[R]):
    """Outcome of a request that was not done, or of which that is not known: `error.sent` says so.

    Attributes:
        request: The request, as it was given.
        error: The reason. Where the request failed again and again, or the job was given up, it is
            the last transient failure.
    """

    request: R | Mapping[str, Any]
    error: PayChainError
    ok: ClassVar[Literal[False]] = False
    result: ClassVar[None] = None

    @property
    def reference(self) -> str | None:
        """Return the reference of the request, or None if it has none."""
        return _reference(self.request)

    def unwrap(self) -> NoReturn:
        """Raise the error."""
        raise self.error


def _reference(request: object) -> str | None:
    found = (
        request.get("reference")
        if isinstance(request, Mapping)
        else getattr(request, "reference", None)
    )
    return found if isinstance(found, str) else None


Outcome = Success[R, T] | Failure[R]
"""The final result of one request: `if outcome.ok` tells type checkers which of the two it is."""


@attrs.frozen
class Progress:
    """How far a job has come.

    Attributes:
        ok: How many outcomes are results.
        failed: How many are errors.
        concurrency: How many requests may be under way at once at the moment.
        elapsed: Seconds since the job began.
    """

    ok: int
    failed: int
    concurrency: int
    elapsed: float
