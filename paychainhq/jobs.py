"""What goes into a job and comes out of it: requests and outcomes, and the changes of what is
watched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NoReturn, TypeVar, cast

import attrs

from paychainhq.arguments import Money, path_segment, refuse
from paychainhq.errors import PayChainError

if TYPE_CHECKING:
    from paychainhq.models.invoices import Invoice, InvoiceStatus

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


@attrs.frozen(kw_only=True)
class Change:
    """An invoice as it was first seen, or a change of its status.

    Attributes:

        invoice_id: Which invoice.
        invoice: The invoice as it is now, or None if it cannot be read.
        previous: Its status before, or None at the first sighting.
        current: Its status now, with expiry taken into account.
        error: Why it cannot be read, or None.
    """

    invoice_id: str
    invoice: Invoice | None = None
    previous: InvoiceStatus | str | None = None
    current: InvoiceStatus | str | None = None
    error: PayChainError | None = None


@attrs.define
class Watched:
    """What is kept of an invoice between two looks: a hundred thousand of them are to be cheap."""

    told: InvoiceStatus | str | None = None
    expires_at: datetime | None = None
    interval: float = 0.0
    due: float = 0.0
    look: int = 0


class WatchState:
    """What a watch knows: give one to `invoices.watch`, and its token lets another watch go on from
    there.

    It holds the invoices that have not come to their end, each with the status that was told last.
    A change counts as told once it has been handed out.
    """

    def __init__(self) -> None:
        self._watched: dict[str, Watched] = {}

    def token(self) -> str:
        """Return all of it as text, to be kept in a file or a database."""
        kept = [
            [id_, watched.told, watched.expires_at and watched.expires_at.isoformat()]
            for id_, watched in self._watched.items()
        ]
        return json.dumps({"watching": kept}, separators=(",", ":"))

    @classmethod
    def from_token(cls, token: str) -> WatchState:
        """Make the state that a token was taken of.

        Raises:

            InvalidArgumentError: It is not such a token.
        """
        state = cls()
        try:
            for id_, told, expires_at in json.loads(token)["watching"]:
                moment = None if expires_at is None else datetime.fromisoformat(expires_at)
                if not isinstance(told, str | None) or (
                    moment is not None and moment.tzinfo is None
                ):
                    raise ValueError
                state._watched[path_segment("token", id_)] = Watched(told, moment)
        except (ValueError, TypeError, KeyError):
            sound = False
        else:
            sound = True
        return state if sound else refuse("token", "is not what WatchState.token() returned")
