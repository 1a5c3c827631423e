"""Payments: `gateway.payments`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from paychainhq._caller import Caller
from paychainhq._jobs.polling import poll
from paychainhq.errors import WaitTimeoutError
from paychainhq.gateway import operations
from paychainhq.gateway.models import Checkout, Payment
from paychainhq.resources.base import Resource


class Payments(Resource):
    """Payments on a hosted page, or on a page of your own."""

    __slots__ = ()

    async def create(
        self,
        amount: int,
        currency_code: str,
        reference: str,
        reference_label: str,
        client_id: str | None = None,
        site_id: str | None = None,
        redirect_url: str | None = None,
        expires_at: datetime | str | None = None,
        blockchain_slug: str | None = None,
        product_id: str | None = None,
        settlement_currency_code: str | None = None,
    ) -> Checkout:
        """Create a payment, and return the link to its checkout page.

        The gateway documents no idempotency key, so none is sent, and a failure with
        `error.sent == "unknown"` is not retried: check in your dashboard whether the payment was
        created. A payer's return to `redirect_url` proves nothing, since the link can be altered.

        Args:
            amount: The requested amount in minor units: 10000 is 100.00. Only an `int`.
            currency_code: The fiat currency, such as `"USD"`.
            reference: Your own name for the payment.
            reference_label: The reference text for display.
            client_id: The application's client id; by default the client's.
            site_id: The site's id, instead of a client id.
            redirect_url: The page for the payer afterwards.
            expires_at: The link's expiry: an aware `datetime`, or ISO 8601; by default a year from
                now.
            blockchain_slug: The one blockchain to pay on.
            product_id: The product of the payment.
            settlement_currency_code: The currency of the settlement.

        Raises:
            InvalidArgumentError: An argument is invalid; nothing was sent.
            MissingCredentialError: No token permits this; nothing was sent.
            BadRequestError: The gateway refuses the fields; `error.fields` names them.

        Source: the gateway's pages on payment endpoints, creating payments and the checkout.
        """
        given = {
            "amount": amount,
            "currency_code": currency_code,
            "reference": reference,
            "reference_label": reference_label,
            "client_id": client_id,
            "site_id": site_id,
            "redirect_url": redirect_url,
            "expires_at": expires_at,
            "blockchain_slug": blockchain_slug,
            "product_id": product_id,
            "settlement_currency_code": settlement_currency_code,
        }
        return await self._caller.call(operations.PAYMENTS_CREATE, given)

    async def get(self, payment_id: str) -> Payment:
        """Return the current state of a payment.

        Raises:
            NotFoundError: There is no such payment.

        Source: the gateway's pages on payment endpoints and the status of payments.
        """
        return await self._caller.call(operations.PAYMENTS_GET, {"payment_id": payment_id})

    async def instructions(self, payment_id: str, provider: str, method: str) -> Any:
        """Return the address and the amount of one payment method, for your own payment page.

        Args:
            payment_id: The payment.
            provider: The provider; no page lists them.
            method: The method; no page lists them.

        Returns:
            The response as plain JSON: no page shows its fields.

        Source: the gateway's page on payment instructions.
        """
        given = {"payment_id": payment_id, "provider": provider, "method": method}
        return await self._caller.call(operations.PAYMENTS_INSTRUCTIONS, given)

    async def methods(self, payment_id: str) -> Any:
        """Return the payment methods that the payment's application accepts.

        Returns:
            The response as plain JSON: no page shows its fields.

        Source: the gateway's page on payment instructions.
        """
        return await self._caller.call(operations.PAYMENTS_METHODS, {"payment_id": payment_id})

    async def wait(
        self, payment_id: str, *, timeout: float = 3600.0, interval: float = 5.0
    ) -> Payment:
        """Wait until a payment has a terminal status, and return it.

        Args:
            payment_id: The payment's id.
            timeout: Seconds to wait.
            interval: Seconds between two reads.

        Returns:
            The payment, once it is `RECEIVED` or `CONFIRMED` (`payment.is_paid`), or else
            `CANCELLED`, `ERROR` or `REFUND`.

        Raises:
            WaitTimeoutError: The payment has no terminal status after the timeout; `.payment` is
                the last one that was read.

        Source: the gateway's page on the status of payments.
        """

        async def read(caller: Caller) -> tuple[Payment, bool]:
            payment = await caller.call(operations.PAYMENTS_GET, {"payment_id": payment_id})
            return payment, payment.is_decided

        payment, ended = await poll(self._caller, read, timeout, interval)
        if payment is not None and ended:
            return payment
        seen = f"last seen {payment.status}" if payment is not None else "no read succeeded"
        raise WaitTimeoutError(
            f"payment {payment_id} did not reach a terminal status within {timeout:g} s: {seen}",
            payment=payment,
        )
