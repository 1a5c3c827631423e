"""Customers and their deposit addresses."""

from __future__ import annotations

import attrs

from paychainhq.models.base import Model
from paychainhq.models.chains import Chain


@attrs.frozen(kw_only=True)
class CustomerAddress(Model):
    """Permanent deposit address of a customer on one chain family."""

    chain_family: Chain | str
    address: str


@attrs.frozen(kw_only=True)
class Customer(Model):
    """Customer of the business.

    Attributes:
        id: The customer's id.
        external_ref: The business's own name for the customer.
        email: The customer's e-mail address, if one was given.
        addresses: The customer's deposit addresses; empty while the business wallet is not ready.

    Source: seed 002, "Create customer", "List customers" and "Get customer".
    """

    id: str
    external_ref: str
    addresses: tuple[CustomerAddress, ...]
    email: str | None = None
