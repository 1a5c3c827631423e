"""Types of the blocking face for the type checkers: checked by them, never run."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, assert_type

from paychainhq import PayChainError as AsyncPayChainError
from paychainhq.models import Invoice as AsyncInvoice
from paychainhq_sync import (
    APIError,
    Change,
    CustomerRequest,
    InvoiceRequest,
    Outcome,
    PayChainError,
    PayChainHQ,
    RetryPolicy,
    webhooks,
)
from paychainhq_sync._iteration import Stream
from paychainhq_sync.ledger import MemoryLedger
from paychainhq_sync.models import (
    Balance,
    Cancellation,
    CreatedApiKey,
    Customer,
    Invoice,
    Listing,
    Page,
    PublicInvoice,
    Token,
)


def clients() -> None:
    assert_type(PayChainHQ.from_env(timeout=5), PayChainHQ)
    PayChainHQ.from_env(colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(webhooks.Receiver.from_env(ledger=MemoryLedger()), webhooks.Receiver)
    with PayChainHQ(api_key="k", retry=RetryPolicy(attempts=2), timeout=5) as pay:
        assert_type(pay, PayChainHQ)
        assert_type(pay.with_options(timeout=1), PayChainHQ)
        assert_type(pay.request("GET", "/api/v1/x"), Any)
    PayChainHQ("k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    PayChainHQ(colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def calls(pay: PayChainHQ) -> None:
    invoice = pay.invoices.create(Decimal("1.5"), "USDC", "eth", expires_in=60, idempotency_key="k")
    assert_type(invoice, Invoice)
    assert_type(invoice, AsyncInvoice)
    assert_type(pay.invoices.get_public("inv_1"), PublicInvoice)
    assert_type(pay.invoices.cancel("inv_1"), Cancellation)
    assert_type(pay.invoices.wait(invoice, timeout=5), Invoice)
    assert_type(pay.customers.get("cus_1"), Customer)
    assert_type(pay.tokens.list(), Listing[Token])
    assert_type(pay.balances.list()[0], Balance)
    assert_type(pay.api_keys.create("name", permissions=["invoices:*"]), CreatedApiKey)
    pay.invoices.create(1.5, "USDC", "eth")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pay.api_keys.revoke("key", idempotency_key="k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def iterations(pay: PayChainHQ) -> None:
    page = pay.invoices.list(status="pending")
    assert_type(page, Page[Invoice])
    assert_type(page.items, tuple[Invoice, ...])
    for invoice in page:
        assert_type(invoice, Invoice)
    assert_type((page[0], page[1:], len(page)), tuple[Invoice, tuple[Invoice, ...], int])
    for later in page.pages():
        assert_type(later, Page[Invoice])
    job = pay.invoices.create_many(
        [
            InvoiceRequest(amount="1", token="USDC", chain="eth", reference="a"),
            {"amount": "1", "token": "USDC", "chain": "new", "reference": "b"},
        ]
    )
    assert_type(job, Stream[Outcome[InvoiceRequest, Invoice]])
    with job as outcomes:
        for outcome in outcomes:
            assert_type(outcome.request, InvoiceRequest | Mapping[str, Any])
            assert_type(outcome.result, Invoice | None)
            if outcome.ok is True:  # pyright narrows by comparison only
                assert_type(outcome.result, Invoice)
            else:
                assert_type(outcome.error, AsyncPayChainError)
    for made in pay.customers.create_many([CustomerRequest(external_ref="c", reference="c")]):
        assert_type(made.result, Customer | None)
    for change in pay.invoices.watch(["inv_1"]):
        assert_type(change, Change)
        if change.error is None:
            assert_type(change.invoice, Invoice)


def errors(pay: PayChainHQ) -> None:
    try:
        pay.prices.list()
    except APIError as error:
        assert_type(error.status, int | None)
    except PayChainError as error:
        assert_type(error.idempotency_key, str | None)
        caught: AsyncPayChainError = error
        assert_type(caught, PayChainError)
