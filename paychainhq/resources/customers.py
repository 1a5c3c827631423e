"""Customers: `pay.customers`."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from typing import Literal

from paychainhq import operations
from paychainhq._jobs import bulk
from paychainhq._jobs.requests import CustomerRequest, CustomerRequestDict, Outcome, Progress
from paychainhq._jobs.streams import Stream
from paychainhq.ledger.base import Ledger
from paychainhq.models.customers import Customer
from paychainhq.paging import Pages
from paychainhq.resources.base import Resource


class Customers(Resource):
    """Reusable customer identities with permanent deposit addresses."""

    __slots__ = ()

    async def create(
        self,
        external_ref: str,
        email: str | None = None,
        *,
        business_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Customer:
        """Create a customer with permanent deposit addresses.

        For a one-off payer, create an invoice without a customer instead. The addresses can be
        missing while the business wallet is not ready.

        Args:
            external_ref: Your own name for the customer.
            email: The customer's e-mail address.
            business_id: The business; by default the client's.
            idempotency_key: The idempotency key; by default a new one.

        Raises:
            InvalidArgumentError: An argument is invalid; nothing was sent.
            BadRequestError: The server does not accept the fields, or the state of the business
                does not allow the creation.

        Source: seed 002, "Create customer".
        """
        given = {"external_ref": external_ref, "email": email, "business_id": business_id}
        return await self._caller.call(operations.CUSTOMERS_CREATE, given, idempotency_key)

    def create_many(
        self,
        requests: Iterable[CustomerRequest | CustomerRequestDict]
        | AsyncIterable[CustomerRequest | CustomerRequestDict],
        *,
        ledger: Ledger | None = None,
        concurrency: int | Literal["auto"] = "auto",
        give_up_after: float = 600.0,
        progress: Callable[[Progress], None] | None = None,
        business_id: str | None = None,
    ) -> Stream[Outcome[CustomerRequest, Customer]]:
        """Create one customer for each request, and yield each outcome as soon as it is known.

        Keys, retries and outages are handled as in `invoices.create_many`.

        Args:
            requests: `CustomerRequest`s, or mappings with the same names; any iterable or async
                iterable, read on demand.
            ledger: The ledger that records each request before it is sent, so that an interrupted
                job can continue; by default the client's own (`idempotency`), or none. The job does
                not close it.
            concurrency: The number of concurrent requests; `"auto"` adapts it to the throughput, up
                to `max_connections`.
            give_up_after: Seconds without any success after which the remaining requests end with
                their last errors.
            progress: Called about once a second, and at the end.
            business_id: The business; by default the client's.

        Returns:
            A stream of `Outcome`s, which is an async iterator and an async context manager: closing
            it, or leaving its block, cancels the requests in progress.

        Raises:
            LedgerError: The ledger is not writable, and the job ends. Recorded entries are not
                lost: run the job again.
            AuthenticationError, PermissionDeniedError, MissingCredentialError: The key is invalid
                or missing, and the job ends with the first such error, after the outcomes of the
                requests in progress.

        Source: seed 002, "Create customer".
        """
        return bulk.create_many(
            self._caller,
            operations.CUSTOMERS_CREATE,
            CustomerRequest,
            requests,
            ledger=ledger,
            concurrency=concurrency,
            give_up_after=give_up_after,
            progress=progress,
            business_id=business_id,
        )

    def list(
        self, page: int | None = None, limit: int | None = None, *, business_id: str | None = None
    ) -> Pages[Customer]:
        """List the customers of the business: `await` one page, or iterate over all.

        Args:
            page: The first page, from 1.
            limit: Customers a page; 20 by default.
            business_id: The business; by default the client's.

        Source: seed 002, "List customers".
        """
        return Pages(
            self._caller,
            operations.CUSTOMERS_LIST,
            {"page": page, "limit": limit, "business_id": business_id},
        )

    async def get(self, customer_id: str, *, business_id: str | None = None) -> Customer:
        """Return a customer with the deposit addresses.

        Args:
            customer_id: The customer's id at PayChainHQ, not your own name for it.
            business_id: The business; by default the client's.

        Raises:
            NotFoundError: There is no such customer, or another business owns it.

        Source: seed 002, "Get customer".
        """
        return await self._caller.call(
            operations.CUSTOMERS_GET, {"customer_id": customer_id, "business_id": business_id}
        )
