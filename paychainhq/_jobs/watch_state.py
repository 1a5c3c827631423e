"""State of a watch, and the changes that it reports."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from paychainhq._core.validators import invalid, path_segment
from paychainhq._data import Data
from paychainhq.errors import PayChainError

if TYPE_CHECKING:
    from paychainhq.models.invoices import Invoice, InvoiceStatus


@attrs.define
class Watched:
    """State of a watched invoice, small enough for a hundred thousand of them.

    Attributes:
        due: The loop time of the next read; 0 for now.
        read: The loop time of the last read; 0 before the first.
    """

    last_reported: InvoiceStatus | str | None = None
    expires_at: datetime | None = None
    interval: float = 0.0
    due: float = 0.0
    read: float = 0.0
    last_round: int = 0


@attrs.frozen(kw_only=True)
class StatusChange(Data):
    """First status of an invoice, or a change of its status.

    Attributes:
        invoice_id: The invoice's id.
        invoice: The current invoice.
        previous: The previous status, or None for the first one.
        current: The current status, with expiry taken into account.
    """

    invoice_id: str
    invoice: Invoice
    previous: InvoiceStatus | str | None = None
    current: InvoiceStatus | str
    error: ClassVar[None] = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in plain JSON types, under names in the style of the API."""
        return {
            "invoiceId": self.invoice_id,
            "invoice": self.invoice.to_dict(),
            "previous": None if self.previous is None else str(self.previous),
            "current": str(self.current),
        }


@attrs.frozen(kw_only=True)
class ReadFailure(Data):
    """Invoice that cannot be read: it does not exist, or cannot be decoded.

    Attributes:
        invoice_id: The invoice's id.
        previous: The last reported status, or None.
        error: The error of the read.
    """

    invoice_id: str
    previous: InvoiceStatus | str | None = None
    error: PayChainError
    invoice: ClassVar[None] = None
    current: ClassVar[None] = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in plain JSON types, under names in the style of the API."""
        return {
            "invoiceId": self.invoice_id,
            "previous": None if self.previous is None else str(self.previous),
            "error": self.error.to_dict(),
        }


Change = StatusChange | ReadFailure
"""Change of a watched invoice. `if change.error is None` narrows its type for type checkers."""


class WatchState:
    """State of a watch: pass one to `invoices.watch`, and continue later from its token.

    It holds the invoices without a terminal status, each with its last reported status. A change
    counts as reported once the stream has yielded it.
    """

    def __init__(self) -> None:
        self._watched: dict[str, Watched] = {}

    def token(self) -> str:
        """Return the state as text, to store in a file or a database."""
        kept = [
            [id_, watched.last_reported, watched.expires_at and watched.expires_at.isoformat()]
            for id_, watched in self._watched.items()
        ]
        return json.dumps({"watching": kept}, separators=(",", ":"))

    @classmethod
    def from_token(cls, token: str) -> WatchState:
        """Return the state of a token.

        Raises:
            InvalidArgumentError: The token is invalid.
        """
        state = cls()
        try:
            for id_, reported, expires_at in json.loads(token)["watching"]:
                moment = None if expires_at is None else datetime.fromisoformat(expires_at)
                if not isinstance(reported, str | None) or (
                    moment is not None and moment.tzinfo is None
                ):
                    raise ValueError
                state._watched[path_segment("token", id_)] = Watched(reported, moment)
        except (ValueError, TypeError, KeyError):
            sound = False
        else:
            sound = True
        return state if sound else invalid("token", "is not a result of WatchState.token()")
