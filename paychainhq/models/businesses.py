"""Business, and its settings for invoices."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import attrs

from paychainhq.models.base import Model


@attrs.frozen(kw_only=True)
class Business(Model):
    """Business; a lookup returns only its id, alias, name and status.

    Attributes:
        id: The business's id.
        name: The display name.
        status: The status; the documents show `active`.
        billing_alias: The alias, which `businesses.lookup` accepts too.
        treasury_address: The address that collects its funds; not in a lookup.
        created_at: The time of its creation; not in a lookup.
        updated_at: The time of its last change; not in a lookup.

    Source: seed 001, "Get business details" and "Look up business by ID or billing alias".
    """

    id: str
    name: str
    status: str
    billing_alias: str | None = None
    treasury_address: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@attrs.frozen(kw_only=True)
class InvoiceSettings(Model):
    """Default tolerance for underpaid invoices: the smaller of the two bounds applies.

    Attributes:
        business_id: The business.
        invoice_underpayment_tolerance_bps: The share of the amount that may be missing, in
            hundredths of a percent.
        invoice_underpayment_tolerance_max_usd: The largest amount that may be missing, in US
            dollars.

    Source: reference/settings-compliance. Assumption: an update returns the same fields as a read;
    no page shows its response.
    """

    business_id: str | None = None
    invoice_underpayment_tolerance_bps: int | None = None
    invoice_underpayment_tolerance_max_usd: Decimal | None = None
