"""Businesses: `pay.businesses`."""

from __future__ import annotations

from paychainhq import operations
from paychainhq._core.validators import Money
from paychainhq.models.businesses import Business, InvoiceSettings
from paychainhq.models.lists import Listing
from paychainhq.models.supported_assets import PaymentMethod
from paychainhq.resources.base import Resource


class Businesses(Resource):
    """Business: identity, payment methods, settings."""

    __slots__ = ()

    async def get(self, business_id: str | None = None) -> Business:
        """Return the business that the key belongs to.

        Args:
            business_id: The business; by default the client's.

        Raises:
            NotFoundError: There is no such business, or the key is another's.

        Source: seed 001, "Get business details".
        """
        return await self._caller.call(operations.BUSINESSES_GET, {"business_id": business_id})

    async def lookup(self, id_or_alias: str) -> Business:
        """Return the id, alias, name and status of a business by its id or billing alias.

        Args:
            id_or_alias: The id, or an alias such as `"bill_acme_001"`.

        Raises:
            NotFoundError: There is no such business.

        Source: seed 001, "Look up business by ID or billing alias".
        """
        return await self._caller.call(operations.BUSINESSES_LOOKUP, {"id_or_alias": id_or_alias})

    async def payment_methods(
        self, include_inactive: bool | None = None, *, business_id: str | None = None
    ) -> Listing[PaymentMethod]:
        """List the networks and tokens that this business accepts, in the environment of its key.

        Args:
            include_inactive: Include inactive methods; by default not.
            business_id: The business; by default the client's.

        Raises:
            NotFoundError: There is no such business, or the key is another's.

        Source: seed 003, "List business payment methods".
        """
        given = {"include_inactive": include_inactive, "business_id": business_id}
        return await self._caller.call(operations.BUSINESSES_PAYMENT_METHODS, given)

    async def invoice_settings(self, *, business_id: str | None = None) -> InvoiceSettings:
        """Return the default tolerance for underpaid invoices.

        Args:
            business_id: The business; by default the client's.

        Raises:
            NotFoundError: There is no such business, or the key is another's.

        Source: the public page reference/settings-compliance.
        """
        return await self._caller.call(
            operations.BUSINESSES_INVOICE_SETTINGS, {"business_id": business_id}
        )

    async def update_invoice_settings(
        self,
        invoice_underpayment_tolerance_bps: int | None = None,
        invoice_underpayment_tolerance_max_usd: Money | None = None,
        *,
        business_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> InvoiceSettings:
        """Change the default tolerance for underpaid invoices.

        The smaller of the two bounds applies.

        Args:
            invoice_underpayment_tolerance_bps: The share of the amount that may be missing, in
                basis points (hundredths of a percent), at most 300.
            invoice_underpayment_tolerance_max_usd: The largest amount that may be missing, in US
                dollars: at most 100.00.
            business_id: The business; by default the client's.
            idempotency_key: The idempotency key (required by the page); by default a new one.

        Returns:
            The settings. Assumption: they have the fields of a read, since no page shows this
            response.

        Raises:
            InvalidArgumentError: A bound is invalid, or beyond the documented limit; nothing was
                sent.

        Source: the public page reference/settings-compliance.
        """
        given = {
            "invoice_underpayment_tolerance_bps": invoice_underpayment_tolerance_bps,
            "invoice_underpayment_tolerance_max_usd": invoice_underpayment_tolerance_max_usd,
            "business_id": business_id,
        }
        return await self._caller.call(
            operations.BUSINESSES_UPDATE_INVOICE_SETTINGS, given, idempotency_key
        )
