"""Webhook events: notices that something has changed."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, overload

import attrs

from paychainhq.errors import InvalidArgumentError
from paychainhq.models.base import Model, digits
from paychainhq.models.invoices import Amount

if TYPE_CHECKING:
    import paychainhq_sync
    from paychainhq.client import PayChainHQ
    from paychainhq.models.invoices import Invoice


class EventName(StrEnum):
    """What an event is called: no page lists them all, so any text may come."""

    INVOICE_PAID = "invoice.paid"


@attrs.frozen(kw_only=True)
class EventData(Model):
    """What an event says of its object: as it was when the event was made, which may be long ago.

    Attributes:

        invoice_id: The invoice that it is about, or None.
        withdrawal_id: The withdrawal that it is about, or None.
        business_id: The business.
        status: The object's raw status at that time.
        amount: What was asked for.
        paid_amount: What had been deposited.
        settled_by_tolerance: Whether a small shortfall was accepted.
        tolerance_raw: The largest accepted shortfall in the token's smallest unit.
        shortfall_raw: How much was missing, in the token's smallest unit.
        tx_hash: The transaction.
    """

    invoice_id: str | None = None
    withdrawal_id: str | None = None
    business_id: str | None = None
    status: str | None = None
    amount: Amount | None = None
    paid_amount: Amount | None = None
    settled_by_tolerance: bool | None = None
    tolerance_raw: int | None = digits()
    shortfall_raw: int | None = digits()
    tx_hash: str | None = None


@attrs.frozen(kw_only=True)
class Event(Model):
    """A notice of the API. Events may come twice, late, and in any order: read the object before you act on it.

    Attributes:

        id: The event's id, the same each time it is delivered.
        event: Its name, such as `invoice.paid`.
        data: What it says of its object.
        timestamp: When it was made.

    Source: reference/webhooks-events.
    """

    id: str
    event: EventName | str
    data: EventData
    timestamp: datetime | None = None

    @property
    def invoice_id(self) -> str | None:
        """The invoice that this is about, or None."""
        return self.data.invoice_id

    @property
    def withdrawal_id(self) -> str | None:
        """The withdrawal that this is about, or None."""
        return self.data.withdrawal_id

    @overload
    def fetch(self, pay: PayChainHQ) -> Coroutine[Any, Any, Invoice]: ...
    @overload
    def fetch(self, pay: paychainhq_sync.PayChainHQ) -> Invoice: ...
    def fetch(self, pay: PayChainHQ | paychainhq_sync.PayChainHQ) -> Coroutine[Any, Any, Invoice] | Invoice:
        """Read the invoice that this is about as it is now, which is what counts.

        Args:

            pay: A client; of an async one the result is to be awaited.

        Raises:

            InvalidArgumentError: The event is about no invoice.
        """
        if self.invoice_id is None:
            raise InvalidArgumentError(f"the event {self.id} ({self.event}) is about no invoice", argument="invoice_id")
        return pay.invoices.get(self.invoice_id)
