"""Refund requests: `gateway.refunds`."""

from __future__ import annotations

from paychainhq.errors import InvalidArgumentError
from paychainhq.gateway import operations
from paychainhq.gateway.models import Refund
from paychainhq.resources.base import Resource


class Refunds(Resource):
    """Refund requests; they require an OAuth2 token."""

    __slots__ = ()

    async def create(
        self,
        payment_id: str,
        blockchain_address: str | None = None,
        bank_name: str | None = None,
        bank_code: str | None = None,
        bank_account_number: str | None = None,
        bank_account_holder: str | None = None,
    ) -> Refund:
        """Request the refund of a payment to an address or a bank account.

        An administrator has to approve the request. A refund has no amount: it covers the whole
        payment. An attempt that may have reached the server is not retried; the gateway refuses a
        second request.

        Args:
            payment_id: The payment, which must be refundable.
            blockchain_address: The receiving address, for a refund in crypto.
            bank_name: The receiving bank otherwise; the bank fields go together.
            bank_code: The bank's SWIFT or BIC code.
            bank_account_number: The IBAN.
            bank_account_holder: The account's holder.

        Raises:
            InvalidArgumentError: Neither an address nor all of the bank fields are given, or parts
                of both; nothing was sent.
            NotFoundError: There is no such payment.

        Source: the gateway's page on refunds.
        """
        bank = {
            "bank_name": bank_name,
            "bank_code": bank_code,
            "bank_account_number": bank_account_number,
            "bank_account_holder": bank_account_holder,
        }
        missing = [name for name, value in bank.items() if value is None]
        if blockchain_address is None and len(missing) == len(bank):
            _refuse(
                "blockchain_address",
                f"is missing: pass it, or all of {', '.join(bank)}",
            )
        if blockchain_address is not None and len(missing) < len(bank):
            _refuse(
                "blockchain_address",
                "must not be given together with bank fields: pass one destination",
            )
        if blockchain_address is None and missing:
            _refuse(
                missing[0], f"is missing: a refund to a bank account needs all of {', '.join(bank)}"
            )
        given = {"payment_id": payment_id, "blockchain_address": blockchain_address, **bank}
        return await self._caller.call(operations.REFUNDS_CREATE, given)


def _refuse(argument: str, problem: str) -> None:
    raise InvalidArgumentError(
        f"{argument} {problem}", argument=argument, operation=operations.REFUNDS_CREATE.name
    )
