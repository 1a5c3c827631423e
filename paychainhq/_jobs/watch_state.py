"""State of a watch, and the changes that it reports."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from paychainhq._core.validators import invalid, path_segment
from paychainhq.errors import PayChainError

if TYPE_CHECKING:
    from paychainhq.models.invoices import Invoice, InvoiceStatus


@attrs.define
class Watched:
    """What is kept of an invoice between two looks: a hundred thousand of them are to be cheap."""

    told: InvoiceStatus | str | None = None
    expires_at: datetime | None = None
    interval: float = 0.0
    due: float = 0.0
    look: int = 0


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
        return state if sound else invalid("token", "is not what WatchState.token() returned")
