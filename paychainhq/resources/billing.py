"""Billing: `pay.billing`."""

from __future__ import annotations

from paychainhq import operations
from paychainhq.models.billing import BillingInvoice, BillingPayment, BillingProfile, BillingUsage, Plan, SubscriptionChange
from paychainhq.models.lists import Listing
from paychainhq.paging import Pages
from paychainhq.resources.base import Resource


class Billing(Resource):
    """What PayChainHQ itself charges the business: plan, usage, invoices."""

    __slots__ = ()

    async def profile(self) -> BillingProfile:
        """Return the current plan, its prices and the subscription to it.

        Source: seed 003, "Get billing profile".
        """
        return await self._caller.call(operations.BILLING_PROFILE)

    async def plans(self) -> Listing[Plan]:
        """List the plans that can be subscribed to, with their monthly and annual prices.

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
        """Ask for another plan or another way of paying for it; this takes a dashboard session.

        An upgrade is answered with an invoice to pay. A downgrade, and a change from annual to monthly, waits for the end of the
        current cycle: then `invoice` and `payment_instructions` are None.

        Args:

            plan_code: The plan, such as `"GROWTH"`.
            billing_mode: `"prepaid_monthly"` or `"prepaid_annual"`; annual only for `"GROWTH"`, says the document, while its own
                list of plans calls that plan not eligible.
            network_id: The network on which the invoice of an upgrade is to be paid.
            idempotency_key: The key under which this is done once; by default a new one.

        Raises:

            BadRequestError: The server does not accept the fields, or the state of the business does not allow it.

        Source: seed 003, "Request billing subscription change".
        """
        given = {"plan_code": plan_code, "billing_mode": billing_mode, "network_id": network_id}
        return await self._caller.call(operations.BILLING_CHANGE_SUBSCRIPTION, given, idempotency_key)

    def invoices(self, status: str | None = None, limit: int | None = None, offset: int | None = None) -> Pages[BillingInvoice]:
        """List what the business owes and owed to PayChainHQ: `await` one page, or iterate over all.

        These are not the invoices that the business sends to its customers. The answer tells no total: an empty page is the end.

        Args:

            status: Only those with this status.
            limit: Invoices a page; 20 by default.
            offset: How many to leave out from the beginning; none by default.

        Source: seed 003, "List billing invoices".
        """
        return Pages(self._caller, operations.BILLING_INVOICES, {"status": status, "limit": limit, "offset": offset})

    async def usage(self) -> BillingUsage:
        """Return what the current cycle has used up of its quota.

        Source: seed 003, "Get billing usage".
        """
        return await self._caller.call(operations.BILLING_USAGE)

    async def pay_invoice(
        self, invoice_id: str, chain: str, network_id: str, tx_hash: str, *, idempotency_key: str | None = None
    ) -> BillingPayment:
        """Attach a payment that was made on chain to a billing invoice; this moves no funds.

        The server tells payments apart by chain, network and transaction: the same one for the same invoice is answered once more,
        with `replayed`; for another invoice it is an error with the code `BILLING_PAYMENT_REPLAY_CONFLICT`. A payment that is too
        small has the code `BILLING_UNDERPAYMENT`. No document gives the HTTP status of either: go by `error.code`.

        Args:

            invoice_id: The billing invoice.
            chain: The chain family of the payment.
            network_id: The network of the payment.
            tx_hash: The transaction, sent as it is given: its form is not checked.
            idempotency_key: The key under which this is done once (the document requires one); by default a new one.

        Raises:

            APIError: The payment was refused; `code` says why.

        Source: seed 003, "Attach billing payment".
        """
        given = {"invoice_id": invoice_id, "chain": chain, "network_id": network_id, "tx_hash": tx_hash}
        return await self._caller.call(operations.BILLING_PAY_INVOICE, given, idempotency_key)
