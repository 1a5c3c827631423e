"""Types of the package for the type checkers: checked by them, never run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, assert_type

import cattrs

from paychainhq import (
    APIError,
    Change,
    CustomerRequest,
    Failure,
    InvalidArgumentError,
    InvoiceRequest,
    Outcome,
    PayChainError,
    PayChainHQ,
    Progress,
    RateLimit,
    RateLimitError,
    ReadFailure,
    ResponseInfo,
    RetryPolicy,
    StatusChange,
    Success,
    WaitTimeoutError,
    WatchState,
    codec,
    webhooks,
)
from paychainhq._core.operation import Operation
from paychainhq._jobs.streams import Stream
from paychainhq.ledger import Claims, Entry, MemoryLedger, PostgresLedger, SQLiteLedger
from paychainhq.models import (
    Amount,
    ApiKey,
    Balance,
    BalanceTotal,
    BillingInvoice,
    BillingPayment,
    BillingProfile,
    BillingUsage,
    Business,
    Cancellation,
    ContractIntegration,
    CreatedApiKey,
    Customer,
    Destination,
    Event,
    EventName,
    Invoice,
    InvoiceSettings,
    InvoiceStatus,
    Listing,
    Network,
    Page,
    Pagination,
    PaymentMethod,
    PayoutLimit,
    Plan,
    Price,
    PublicInvoice,
    Revocation,
    SubscriptionChange,
    Token,
    WithdrawalQuote,
)
from paychainhq.operations import INVOICES_CREATE, OPERATIONS
from paychainhq.paging import Pages


async def invoices(pay: PayChainHQ) -> None:
    invoice = await pay.invoices.create("150", "USDC", "eth", idempotency_key="k", business_id="b")
    assert_type(invoice, Invoice)
    await pay.invoices.create(amount=150, token="USDC", chain="eth", metadata={"order": 1})
    await pay.invoices.create(Decimal(150), "USDC", "eth", underpayment_tolerance_max_usd="0.50")
    await pay.invoices.create(150.0, "USDC", "eth")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(invoice.id, str)
    assert_type(invoice.amount, Amount)
    assert_type(invoice.amount + invoice.amount, Amount)
    assert_type(sum([invoice.amount]), Amount | Literal[0])
    assert_type(max([invoice.amount]), Amount)
    assert_type(invoice.amount < invoice.amount, bool)
    assert_type(invoice.status, InvoiceStatus | str)
    assert_type(invoice.expires_at, datetime | None)
    assert_type(invoice.response, ResponseInfo | None)
    assert_type(invoice.extra, Mapping[str, Any])
    assert_type(invoice.to_dict(), Any)
    assert_type(invoice.to_json(), str)
    invoice.id = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert_type(await pay.invoices.get("inv_1"), Invoice)
    assert_type(await pay.invoices.get_public("inv_1"), PublicInvoice)
    assert_type(await pay.invoices.cancel("inv_1"), Cancellation)
    assert_type(await pay.invoices.update_status("inv_1", "paid"), Invoice)
    assert_type(await pay.invoices.wait(invoice, timeout=60), Invoice)
    async for change in pay.invoices.watch([], state=WatchState.from_token("...")):
        assert_type(change, Change)
    async with pay.invoices.watch([invoice]) as changes:
        assert_type(changes, Stream[Change])
    async for change in pay.invoices.watch([invoice, "inv_2"]):
        assert_type(change, Change)
        assert_type(change.invoice, Invoice | None)
        assert_type(change.current, InvoiceStatus | str | None)
        if change.error is None:
            assert_type(change, StatusChange)
            assert_type(change.invoice, Invoice)
            assert_type(change.current, InvoiceStatus | str)
        else:
            assert_type(change, ReadFailure)
            assert_type(change.error, PayChainError)
            assert_type(change.invoice, None)
        assert_type(change.to_json(), str)


async def pages(pay: PayChainHQ) -> None:
    assert_type(pay.invoices.list(status="pending"), Pages[Invoice])
    page = await pay.invoices.list()
    assert_type(page, Page[Invoice])
    assert_type(page.items, tuple[Invoice, ...])
    assert_type(page.pagination, Pagination | None)
    async for invoice in pay.invoices.list():
        assert_type(invoice, Invoice)
    assert_type((page[0], page[1:], len(page)), tuple[Invoice, tuple[Invoice, ...], int])
    for _ in page:  # type: ignore[misc]  # pyright: ignore[reportOptionalCall]
        pass
    async for customer in await pay.customers.list(1, 20):
        assert_type(customer, Customer)
    async for billing_page in pay.billing.invoices().pages():
        assert_type(billing_page, Page[BillingInvoice])


async def listings(pay: PayChainHQ) -> None:
    prices = await pay.prices.list()
    assert_type(prices, Listing[Price])
    assert_type(prices[0], Price)
    assert_type(prices[:2], tuple[Price, ...])
    assert_type([price.usd for price in prices], list[Decimal])
    assert_type(await pay.networks.list(), Listing[Network])
    assert_type(await pay.tokens.list(), Listing[Token])
    assert_type(await pay.tokens.list_by_network("base-mainnet"), Listing[Token])
    assert_type(await pay.supported_assets.list(include_inactive=True), Listing[PaymentMethod])
    assert_type(await pay.businesses.payment_methods(), Listing[PaymentMethod])
    assert_type(await pay.balances.list(), Listing[Balance])
    assert_type(await pay.billing.plans(), Listing[Plan])
    assert_type(await pay.api_keys.list(), Listing[ApiKey])
    assert_type(await pay.contract_integrations.list(), Listing[ContractIntegration])


async def single(pay: PayChainHQ) -> None:
    assert_type(await pay.businesses.get("biz_1"), Business)
    assert_type(await pay.businesses.lookup("bill_1"), Business)
    assert_type(await pay.businesses.invoice_settings(), InvoiceSettings)
    assert_type(await pay.businesses.update_invoice_settings(50, "0.50"), InvoiceSettings)
    assert_type(await pay.customers.create("c", email=None), Customer)
    assert_type(await pay.customers.get("cus_1"), Customer)
    assert_type(await pay.prices.get("USDC"), Price)
    assert_type(await pay.tokens.get("USDC"), Token)
    assert_type(await pay.balances.total(), BalanceTotal)
    assert_type(await pay.billing.profile(), BillingProfile)
    assert_type(await pay.billing.usage(), BillingUsage)
    assert_type(await pay.billing.change_subscription("GROWTH"), SubscriptionChange)
    assert_type(
        await pay.billing.pay_invoice("inv_1", "eth", "base-mainnet", "0x1"), BillingPayment
    )
    assert_type(await pay.withdrawals.quote("500", "USDC", "eth"), WithdrawalQuote)


async def keys(pay: PayChainHQ) -> None:
    limit = PayoutLimit(
        chain="eth",
        network_id="base-mainnet",
        token="USDC",
        max_amount=Decimal(1),
        daily_amount=Decimal(2),
    )
    destination = Destination(chain="eth", address="0x1")
    created = await pay.api_keys.create_payout(
        "n", [limit], destinations=[destination, {"chain": "sol", "address": "8g"}]
    )
    assert_type(created, CreatedApiKey)
    api_key: str = created.api_key
    assert_type(await pay.api_keys.create("n", ["invoices:*"], 90), CreatedApiKey)
    assert_type(await pay.api_keys.create_contract("n", (api_key,)), CreatedApiKey)
    assert_type(await pay.api_keys.revoke(created.id), Revocation)
    await pay.api_keys.revoke(created.id, idempotency_key="k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def jobs(pay: PayChainHQ) -> None:
    async for outcome in pay.invoices.create_many(
        [
            InvoiceRequest(amount="1", token="USDC", chain="eth", reference="a"),
            {"amount": "1", "token": "USDC", "chain": "new", "reference": "b"},
        ]
    ):
        assert_type(outcome, Success[InvoiceRequest, Invoice] | Failure[InvoiceRequest])
        assert_type(outcome.result, Invoice | None)
        assert_type(outcome.error, PayChainError | None)
        assert_type(outcome.reference, str | None)
        assert_type(outcome.unwrap(), Invoice)
        assert_type(outcome.to_dict(), dict[str, Any])
        assert_type(outcome.to_json(), str)
        if outcome.ok is True:  # pyright narrows by comparison only
            assert_type(outcome, Success[InvoiceRequest, Invoice])
            assert_type(outcome.result, Invoice)
            assert_type(outcome.reference, str)
        else:
            assert_type(outcome, Failure[InvoiceRequest])
            assert_type(outcome.error, PayChainError)
    pay.invoices.create_many([{"amount": "1"}])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    InvoiceRequest("1", "USDC", "eth", reference="r")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    InvoiceRequest(amount="1", token="USDC", chain="eth")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    CustomerRequest(external_ref="c")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ledger = SQLiteLedger("jobs.db", durable=True)
    assert_type(list(ledger.entries("unfinished")), list[Entry])
    reports: list[Progress] = []
    job = pay.invoices.create_many([], ledger=ledger, concurrency="auto", progress=reports.append)
    assert_type(job, Stream[Outcome[InvoiceRequest, Invoice]])
    async with job as outcomes:
        assert_type(await anext(outcomes), Outcome[InvoiceRequest, Invoice])
    pay.invoices.create_many([], concurrency="many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pay.invoices.create_many([], ledger="jobs.db")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PayChainHQ(idempotency=MemoryLedger())
    PayChainHQ(idempotency=PostgresLedger("", schema="s", durable=False, prepare_threshold=None))
    claims: list[Claims] = [MemoryLedger().claims, ledger.claims, PostgresLedger("").claims]
    assert_type(claims[0].claim("e", "a", 60), Literal["claimed", "done", "held"])
    assert_type(Entry("o", "k", "f", 0.0).age, float)
    async for made in pay.customers.create_many(
        [CustomerRequest(external_ref="c", reference="a")], concurrency=4
    ):
        assert_type(made, Outcome[CustomerRequest, Customer])
        assert_type(made.request, CustomerRequest | Mapping[str, Any])


async def client() -> None:
    limits = [RateLimit(10), RateLimit(100, per=60, burst=5)]
    async with PayChainHQ(api_key="k", business_id="b", retry=None, rate_limit=limits) as pay:
        assert_type(pay, PayChainHQ)
        assert_type(
            pay.with_options(timeout=5, retry=RetryPolicy(attempts=2), business_id="c"), PayChainHQ
        )
        assert_type(await pay.request("GET", "/api/v1/x", query={"a": 1}, auth="payout_key"), Any)
        await pay.request("GET", "/api/v1/x", auth="x-api-key")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(PayChainHQ.from_env(), PayChainHQ)
    PayChainHQ.from_env(timeout=5, retry=None, middleware=[], attempt_middleware=[], telemetry=None)
    PayChainHQ.from_env(colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    PayChainHQ.from_env(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(await pay.close(), None)


def errors(error: PayChainError) -> None:
    assert_type(error.to_dict(), dict[str, Any])
    assert_type(error.to_json(), str)
    assert_type(error.sent, Literal["no", "yes", "unknown"])
    assert_type(error.request_id, str | None)
    assert_type(error.idempotency_key, str | None)
    assert_type(error.operation, str | None)
    assert_type([attempt.status for attempt in error.attempts], list[int | None])
    if isinstance(error, APIError):
        assert_type(error.status, int | None)
        assert_type(error.code, str | None)
    if isinstance(error, RateLimitError):
        assert_type(error.retry_after, float | None)
    if isinstance(error, WaitTimeoutError):
        assert_type(error.invoice, Invoice | None)
    if isinstance(error, InvalidArgumentError):
        assert_type(error.argument, str | None)
        value_error: ValueError = error
        raise value_error


async def events(pay: PayChainHQ, body: bytes) -> None:
    event = webhooks.parse(
        body, {"X-Webhook-Signature": ""}, secrets=["a", "b"], bearer=None, max_age=300
    )
    assert_type(event, Event)
    assert_type(event.event, EventName | str)
    assert_type(event.invoice_id, str | None)
    assert_type(event.data.paid_amount, Amount | None)
    assert_type(await event.fetch(pay), Invoice)
    assert_type(webhooks.sign(body, secret="s"), dict[str, str])
    receiver = webhooks.Receiver.from_env(ledger=MemoryLedger(), name="shop")
    assert_type(receiver, webhooks.Receiver)
    webhooks.Receiver.from_env(secrets="s")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    receiver = webhooks.Receiver(secrets="s", ledger=SQLiteLedger("l.db"))
    webhooks.Receiver(secrets="s", ledger=PostgresLedger(""))
    assert_type(receiver.claim_name(event), str)

    @receiver.on("invoice.paid")
    async def handler(event: Event) -> None: ...

    assert_type(await receiver.receive(body, {}), int)
    pay.invoices.watch(["i"], seen=receiver.invoice_ids())


def converters(invoice: Invoice) -> None:
    converter = codec.make_converter()
    codec.register(cattrs.Converter())
    assert_type(converter, cattrs.Converter)
    assert_type(converter.structure({}, Invoice), Invoice)
    assert_type(codec.from_json(Invoice, {}), Invoice)
    assert_type(invoice.amount.raw, int | None)


def operations() -> None:
    assert_type(INVOICES_CREATE, Operation[Invoice])
    assert_type(OPERATIONS["invoices.create"], Operation[Any])
    assert_type(INVOICES_CREATE.idempotency, Literal["required", "recommended", "unsupported"])
