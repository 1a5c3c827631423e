"""Invoices: `pay.invoices`."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, Literal

from paychainhq import operations
from paychainhq._core.validators import Money
from paychainhq._jobs import bulk, watch
from paychainhq._jobs.requests import InvoiceRequest, InvoiceRequestDict, Outcome, Progress
from paychainhq._jobs.streams import Stream
from paychainhq._jobs.watch_state import Change, WatchState
from paychainhq.ledger.base import Ledger
from paychainhq.models.chains import AnyChain
from paychainhq.models.invoices import AnyStatus, Cancellation, Invoice, PublicInvoice
from paychainhq.paging import Pages
from paychainhq.resources.base import Resource


class Invoices(Resource):
    """Payable invoices with deposit addresses and a lifecycle."""

    __slots__ = ()

    async def create(
        self,
        amount: Money,
        token: str,
        chain: AnyChain,
        network_id: str | None = None,
        customer_id: str | None = None,
        expires_in: int | None = None,
        description: str | None = None,
        underpayment_tolerance_bps: int | None = None,
        underpayment_tolerance_max_usd: Money | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        business_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Invoice:
        """Create a payable invoice and allocate its deposit address.

        Only a payment in the invoice's own token settles it. Do not show the address to a payer
        before `invoice.is_shareable`.

        Args:
            amount: The requested amount in the token's display unit: a `str`, an `int` or a
                `Decimal`.
            token: The token's symbol, such as `"USDC"`.
            chain: The chain family: `"eth"`, `"btc"` or `"sol"`.
            network_id: The network, such as `"base-mainnet"`.
            customer_id: The customer whose permanent address receives the payment; omit it for a
                one-off payer.
            expires_in: The invoice's lifetime in seconds.
            description: A text for the payer: it is public.
            underpayment_tolerance_bps: The accepted shortfall in hundredths of a percent of the
                amount; by default the setting of the business, or 0. The smaller of the two
                tolerances applies.
            underpayment_tolerance_max_usd: The largest accepted shortfall in US dollars; likewise.
            metadata: Data of your own, as JSON (documented on one public page only, without
                limits).
            business_id: The business; by default the client's.
            idempotency_key: The idempotency key; by default a new one.

        Raises:
            InvalidArgumentError: An argument is invalid; nothing was sent.
            BadRequestError: The server does not accept the fields, or the state of the business
                does not allow the creation.

        Source: seed 002, "Create invoice"; `metadata`: the public page on workflows.
        """
        given = {
            "amount": amount,
            "token": token,
            "chain": chain,
            "network_id": network_id,
            "customer_id": customer_id,
            "expires_in": expires_in,
            "description": description,
            "underpayment_tolerance_bps": underpayment_tolerance_bps,
            "underpayment_tolerance_max_usd": underpayment_tolerance_max_usd,
            "metadata": metadata,
            "business_id": business_id,
        }
        return await self._caller.call(operations.INVOICES_CREATE, given, idempotency_key)

    def create_many(
        self,
        requests: Iterable[InvoiceRequest | InvoiceRequestDict]
        | AsyncIterable[InvoiceRequest | InvoiceRequestDict],
        *,
        ledger: Ledger | None = None,
        concurrency: int | Literal["auto"] = "auto",
        give_up_after: float = 600.0,
        progress: Callable[[Progress], None] | None = None,
        business_id: str | None = None,
    ) -> Stream[Outcome[InvoiceRequest, Invoice]]:
        """Create one invoice for each request, and yield each outcome as soon as it is known.

        The idempotency key of a request is derived from its `reference`, so that a repeated job
        returns the same invoices. An error is an outcome, and does not stop the job. A request with
        a transient failure is sent again under the same key. A request that fails repeatedly while
        others succeed is set aside until the end. If no request succeeds, the intake pauses until
        one does. With a ledger, finished requests are not sent again, and an unfinished one that is
        too old to be sent again ends with `OutcomeUnknownError`.

        Args:
            requests: `InvoiceRequest`s, or mappings with the same names; any iterable or async
                iterable, read on demand.
            ledger: The ledger that records each request before it is sent, so that an interrupted
                job can continue; by default the client's own (`idempotency`), or none. The job does
                not close it.
            concurrency: The number of concurrent requests; `"auto"` adapts it to the throughput, up
                to `max_connections`.
            give_up_after: Seconds without any success after which the remaining requests end with
                their last errors.
            progress: Called about once a second, and at the end. If it raises, no further request
                starts, and its exception is raised after the outcomes of those in progress.
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

        Source: seed 002, "Create invoice".
        """
        return bulk.create_many(
            self._caller,
            operations.INVOICES_CREATE,
            InvoiceRequest,
            requests,
            ledger=ledger,
            concurrency=concurrency,
            give_up_after=give_up_after,
            progress=progress,
            business_id=business_id,
        )

    def list(
        self,
        status: AnyStatus | None = None,
        customer_id: str | None = None,
        page: int | None = None,
        limit: int | None = None,
        *,
        business_id: str | None = None,
    ) -> Pages[Invoice]:
        """List the invoices of the business: `await` one page, or iterate over all.

        An expired invoice can stay raw `pending` for a while: `invoice.effective_status()` takes
        `expires_at` into account.

        Args:
            status: Only those with this raw status.
            customer_id: Only those of this customer.
            page: The first page, from 1.
            limit: Invoices a page; 20 by default.
            business_id: The business; by default the client's.

        Source: seed 002, "List invoices".
        """
        given = {
            "status": status,
            "customer_id": customer_id,
            "page": page,
            "limit": limit,
            "business_id": business_id,
        }
        return Pages(self._caller, operations.INVOICES_LIST, given)

    async def get(self, invoice_id: str) -> Invoice:
        """Return an invoice of the business with its payment and tolerance.

        `paid_amount` is always the amount really deposited: a settlement by tolerance does not add
        the shortfall to it.

        Raises:
            NotFoundError: There is no such invoice, or another business owns it.

        Source: seed 002, "Get business invoice".
        """
        return await self._caller.call(operations.INVOICES_GET, {"invoice_id": invoice_id})

    async def get_public(self, invoice_id: str) -> PublicInvoice:
        """Return the payer's view of an invoice; sends no key.

        It is for payment pages, not the sole source of a reconciliation.

        Raises:
            NotFoundError: There is no such invoice.

        Source: seed 002, "Get public invoice payload".
        """
        return await self._caller.call(operations.INVOICES_GET_PUBLIC, {"invoice_id": invoice_id})

    async def cancel(
        self, invoice_id: str, *, business_id: str | None = None, idempotency_key: str | None = None
    ) -> Cancellation:
        """Cancel an invoice that has not reached an irreversible state.

        Once deposits have begun, cancelling may do nothing: check `count`, and read the invoice.

        Args:
            invoice_id: The invoice.
            business_id: The business; by default the client's.
            idempotency_key: The idempotency key; by default a new one.

        Raises:
            NotFoundError: There is no such invoice, or another business owns it.
            BadRequestError: Its state does not allow the cancellation.

        Source: seed 002, "Cancel invoice".
        """
        given = {"invoice_id": invoice_id, "business_id": business_id}
        return await self._caller.call(operations.INVOICES_CANCEL, given, idempotency_key)

    async def update_status(
        self, invoice_id: str, status: AnyStatus, *, idempotency_key: str | None = None
    ) -> Invoice:
        """Override an invoice's status, or trigger its reconciliation: for manual recovery only.

        Payments are not confirmed this way: rely on webhooks and reads.

        Args:
            invoice_id: The invoice.
            status: The target status, or a reconciliation directive.
            idempotency_key: The idempotency key; by default a new one.

        Source: seed 002, "Patch invoice status for reconciliation".
        """
        given = {"invoice_id": invoice_id, "status": status}
        return await self._caller.call(operations.INVOICES_UPDATE_STATUS, given, idempotency_key)

    async def wait(
        self, invoice_id: str | Invoice, *, timeout: float = 3600.0, interval: float = 5.0
    ) -> Invoice:
        """Return an invoice once its status is terminal.

        Args:
            invoice_id: The invoice's id, or the invoice itself, which has an `expires_at`, unlike a
                single read.
            timeout: Seconds to wait.
            interval: Seconds between two reads.

        Returns:
            The invoice. Its status is terminal, or it has expired by the server's clock.

        Raises:
            WaitTimeoutError: The status is not terminal in time; `.invoice` is the last result.

        Source: seed 002, "Get business invoice", "List invoices".
        """
        return await watch.wait(self._caller, invoice_id, timeout, interval)

    def watch(
        self,
        invoice_ids: Iterable[str | Invoice],
        *,
        interval: float = 5.0,
        concurrency: int = 16,
        seen: AsyncIterable[str | Invoice] | None = None,
        state: WatchState | None = None,
    ) -> Stream[Change]:
        """Yield the first status of each invoice and its changes, until all statuses are terminal.

        A round reads the lists of the open statuses, or single invoices, whichever takes fewer
        requests. The interval of a pending invoice without changes grows up to twelve-fold; it is
        read once more right after its `expires_at`. Without a business id, only single reads are
        possible.

        Args:
            invoice_ids: Ids, or invoices, which have an `expires_at`.
            interval: Seconds between two reads of an invoice that is new or has changed.
            concurrency: The number of concurrent requests.
            seen: Ids of invoices that may have changed, from another source such as webhooks:
                these are read at once.
            state: The state of an earlier watch, to continue it (with further ids or none), or a
                new `WatchState`, whose tokens can be stored while the watch runs.

        Returns:
            A stream of `Change`s, which is an async iterator and an async context manager; closing
            it ends all requests in progress. An unknown id, or an invoice that cannot be decoded,
            is a change with an `error`. A change of an open invoice may have only the fields of the
            list.

        Source: seed 002, "Get business invoice", "List invoices".
        """
        return watch.watch(self._caller, invoice_ids, interval, concurrency, seen, state)
