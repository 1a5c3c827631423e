"""Requests, outcomes and progress of a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import (
    Any,
    ClassVar,
    Generic,
    Literal,
    NoReturn,
    TypedDict,
    TypeVar,
    cast,
)

import attrs

from paychainhq._core.validators import Money
from paychainhq._data import Data
from paychainhq._frozen import maker
from paychainhq.errors import PayChainError
from paychainhq.models.chains import AnyChain

R = TypeVar("R")
T = TypeVar("T")


@attrs.frozen(kw_only=True)
class InvoiceRequest:
    """Arguments of `invoices.create`, and a `reference`.

    The reference is the caller's own name for the request; its idempotency key is derived from it.
    """

    amount: Money
    token: str
    chain: AnyChain
    network_id: str | None = None
    customer_id: str | None = None
    expires_in: int | None = None
    description: str | None = None
    underpayment_tolerance_bps: int | None = None
    underpayment_tolerance_max_usd: Money | None = None
    metadata: Mapping[str, Any] | None = None
    reference: str


class _RequiredOfInvoice(TypedDict):
    amount: Money
    token: str
    chain: AnyChain
    reference: str


class InvoiceRequestDict(_RequiredOfInvoice, total=False):
    """Mapping with the names of `InvoiceRequest`, as a type for annotations."""

    network_id: str | None
    customer_id: str | None
    expires_in: int | None
    description: str | None
    underpayment_tolerance_bps: int | None
    underpayment_tolerance_max_usd: Money | None
    metadata: Mapping[str, Any] | None


@attrs.frozen(kw_only=True)
class CustomerRequest:
    """Arguments of `customers.create`, and a `reference` as in `InvoiceRequest`."""

    external_ref: str
    email: str | None = None
    reference: str


class _RequiredOfCustomer(TypedDict):
    external_ref: str
    reference: str


class CustomerRequestDict(_RequiredOfCustomer, total=False):
    """Mapping with the names of `CustomerRequest`, as a type for annotations."""

    email: str | None


@attrs.frozen(weakref_slot=False)
class Success(Data, Generic[R, T]):
    """Outcome of a request that succeeded.

    Attributes:
        request: The request, as it was given.
        result: The created object.
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

    def to_dict(self) -> dict[str, Any]:
        """Return `reference`, `ok` and `result` in plain JSON types."""
        from paychainhq.codec import to_plain

        return {"reference": self.reference, "ok": True, "result": to_plain(self.result)}


make_success = maker(Success)


@attrs.frozen
class Failure(Data, Generic[R]):
    """Outcome of a request that failed.

    Attributes:
        request: The request, as it was given.
        error: The error; the last transient failure if the request was set aside or the job gave
            up. `error.sent` is `"unknown"` if the request may have been executed.
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

    def to_dict(self) -> dict[str, Any]:
        """Return `reference`, `ok` and `error` in plain JSON types."""
        return {"reference": self.reference, "ok": False, "error": self.error.to_dict()}


def _reference(request: object) -> str | None:
    found = (
        request.get("reference")
        if isinstance(request, Mapping)
        else getattr(request, "reference", None)
    )
    return found if isinstance(found, str) else None


Outcome = Success[R, T] | Failure[R]
"""Outcome of one request. `if outcome.ok` narrows its type for type checkers."""


@attrs.frozen
class Progress:
    """Progress of a job.

    Attributes:
        ok: The number of results.
        failed: The number of errors.
        concurrency: The current limit of concurrent requests.
        elapsed: Seconds since the start of the job.
        total: The number of requests, or None if their iterable has no length.
    """

    ok: int
    failed: int
    concurrency: int
    elapsed: float
    total: int | None = None

    @property
    def rate(self) -> float:
        """Return the outcomes per second since the start of the job."""
        return (self.ok + self.failed) / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Return the expected seconds to the end at this rate, or None if they are not known."""
        if self.total is None or not self.rate:
            return None
        return max(0, self.total - self.ok - self.failed) / self.rate
