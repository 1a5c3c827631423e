"""The business itself, and its settings for invoices."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import attrs

from paychainhq.models.base import Model


@attrs.frozen(kw_only=True)
class Business(Model):
    """A business; a lookup gives only its id, alias, name and status.

    Attributes:

        id: The business's id.
        name: Its name for people.
        status: Where it stands; the documents show `active`.
        billing_alias: The alias by which `businesses.lookup` finds it too.
        treasury_address: Where its funds are gathered; not in a lookup.
        created_at: When it was created; not in a lookup.
        updated_at: When it was last changed; not in a lookup.

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
    """How small a shortfall invoices forgive unless they say otherwise: the smaller of the two bounds counts.

    Attributes:

        business_id: Whose settings these are.
        invoice_underpayment_tolerance_bps: The share of the amount that may be missing, in hundredths of a percent.
        invoice_underpayment_tolerance_max_usd: The most that may be missing, in US dollars.

    Source: reference/settings-compliance. Assumption: an update answers with the same fields as a read; no page shows its answer.
    """

    business_id: str | None = None
    invoice_underpayment_tolerance_bps: int | None = None
    invoice_underpayment_tolerance_max_usd: Decimal | None = None
