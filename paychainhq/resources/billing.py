"""Billing: `pay.billing`."""

from __future__ import annotations

from paychainhq import operations
from paychainhq.models.billing import (
    BillingInvoice,
    BillingPayment,
    BillingProfile,
    BillingUsage,
    Plan,
    SubscriptionChange,
)
from paychainhq.models.chains import AnyChain
from paychainhq.models.lists import Listing
from paychainhq.paging import Pages
from paychainhq.resources.base import Resource


class Billing(Resource):
    """Charges of PayChainHQ to the business: plan, usage, invoices."""

    __slots__ = ()

    async def profile(self) -> BillingProfile:
        """Return the current plan, its prices and its subscription.

        Source: seed 003, "Get billing profile".
        """
        return await self._caller.call(operations.BILLING_PROFILE)

    async def plans(self) -> Listing[Plan]:
        """List the plans available for subscription, with their monthly and annual prices.

        Source: seed 003, "List billing plans".
        """
        return await self._caller.call(operations.BILLING_PLANS)

    async def change_subscription(
        self,
        plan_code: str,
        billing_mode: str | None = None,
        network_id: str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> SubscriptionChange:
        """Request another plan or billing interval; requires a dashboard session.

        The response to an upgrade holds an invoice to pay. A downgrade or a change from annual to
        monthly takes effect at the end of the current cycle: then `invoice` and
        `payment_instructions` are None.

        Args:
            plan_code: The plan, such as `"GROWTH"`.
            billing_mode: `"prepaid_monthly"` or `"prepaid_annual"`. According to the document,
                annual only for `"GROWTH"`; its own list of plans marks that plan as not eligible.
            network_id: The network for the payment of an upgrade's invoice.
            idempotency_key: The idempotency key; by default a new one.

        Raises:
            BadRequestError: The server does not accept the fields, or the state of the business
                does not allow the change.

        Source: seed 003, "Request billing subscription change".
        """
        given = {"plan_code": plan_code, "billing_mode": billing_mode, "network_id": network_id}
        return await self._caller.call(
            operations.BILLING_CHANGE_SUBSCRIPTION, given, idempotency_key
        )

    def invoices(
        self, status: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> Pages[BillingInvoice]:
        """List the billing invoices of the business: `await` one page, or iterate over all.

        These are not the invoices that the business sends to its customers. The response holds no
        total: an empty page is the end.

        Args:
            status: Only those with this status.
            limit: Invoices a page; 20 by default.
            offset: The number of invoices to skip; none by default.

        Source: seed 003, "List billing invoices".
        """
        return Pages(
            self._caller,
            operations.BILLING_INVOICES,
            {"status": status, "limit": limit, "offset": offset},
        )

    async def usage(self) -> BillingUsage:
        """Return the quota usage of the current cycle.

        Source: seed 003, "Get billing usage".
        """
        return await self._caller.call(operations.BILLING_USAGE)

    async def pay_invoice(
        self,
        invoice_id: str,
        chain: AnyChain,
        network_id: str,
        tx_hash: str,
        *,
        idempotency_key: str | None = None,
    ) -> BillingPayment:
        """Attach a payment that was made on chain to a billing invoice; this moves no funds.

        The server identifies a payment by chain, network and transaction. The same payment for the
        same invoice returns the result again, with `replayed`; for another invoice it is an error
        with the code `BILLING_PAYMENT_REPLAY_CONFLICT`. A payment that is too small has the code
        `BILLING_UNDERPAYMENT`. No document gives the HTTP status of either: check `error.code`.

        Args:
            invoice_id: The billing invoice.
            chain: The chain family of the payment.
            network_id: The network of the payment.
            tx_hash: The transaction, sent unchanged: its format is not checked.
            idempotency_key: The idempotency key (required by the document); by default a new one.

        Raises:
            APIError: The payment was refused; `code` has the reason.

        Source: seed 003, "Attach billing payment".
        """
        given = {
            "invoice_id": invoice_id,
            "chain": chain,
            "network_id": network_id,
            "tx_hash": tx_hash,
        }
        return await self._caller.call(operations.BILLING_PAY_INVOICE, given, idempotency_key)
