"""Webhook events: notifications of changes."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Literal, Protocol, TypeVar

import attrs

from paychainhq._core.model import Digits
from paychainhq.errors import InvalidArgumentError
from paychainhq.models.base import Model
from paychainhq.models.invoices import Amount

T_co = TypeVar("T_co", covariant=True)


class _Invoices(Protocol[T_co]):
    def get(self, invoice_id: str, /) -> T_co: ...


class _Client(Protocol[T_co]):
    """Client of either face: its `invoices.get` returns an invoice, or a coroutine of one."""

    @cached_property
    def invoices(self) -> _Invoices[T_co]: ...


class EventName(StrEnum):
    """Name of an event: no page lists all names, so any text is valid."""

    INVOICE_PAID = "invoice.paid"


_KnownEvent = Literal["invoice.paid"]
AnyEvent = _KnownEvent | str
"""Name of an event as an argument: a known one, which editors complete, or any other text."""


@attrs.frozen(kw_only=True)
class EventData(Model):
    """Data of an event: its object as of the creation of the event, which may be long ago.

    Attributes:
        invoice_id: The invoice, or None.
        withdrawal_id: The withdrawal, or None.
        business_id: The business.
        status: The object's raw status at that time.
        amount: The requested amount.
        paid_amount: The amount deposited by then.
        settled_by_tolerance: Whether a small shortfall was accepted.
        tolerance_raw: The largest accepted shortfall in the token's smallest unit.
        shortfall_raw: The missing amount in the token's smallest unit.
        tx_hash: The transaction.
    """

    invoice_id: str | None = None
    withdrawal_id: str | None = None
    business_id: str | None = None
    status: str | None = None
    amount: Amount | None = None
    paid_amount: Amount | None = None
    settled_by_tolerance: bool | None = None
    tolerance_raw: Digits | None = None
    shortfall_raw: Digits | None = None
    tx_hash: str | None = None


@attrs.frozen(kw_only=True)
class Event(Model):
    """Event of the API.

    Events may arrive twice, late, and in any order: read the object before acting on it.

    Attributes:
        id: The event's id, the same for each delivery.
        event: Its name, such as `invoice.paid`.
        data: The state of its object.
        timestamp: The time of its creation.

    Source: reference/webhooks-events.
    """

    id: str
    event: EventName | str
    data: EventData
    timestamp: datetime | None = None

    @property
    def invoice_id(self) -> str | None:
        """Invoice of the event, or None."""
        return self.data.invoice_id

    @property
    def withdrawal_id(self) -> str | None:
        """Withdrawal of the event, or None."""
        return self.data.withdrawal_id

    def fetch(self, pay: _Client[T_co]) -> T_co:
        """Return the current state of the event's invoice, as the basis of decisions.

        Args:
            pay: A client. With an async client, await the result.

        Raises:
            InvalidArgumentError: The event has no invoice.
        """
        if self.invoice_id is None:
            raise InvalidArgumentError(
                f"the event {self.id} ({self.event}) is about no invoice", argument="invoice_id"
            )
        return pay.invoices.get(self.invoice_id)
