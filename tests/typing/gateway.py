"""Types of the gateway for the type checkers, in both faces: checked by them, never run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, assert_type

import paychainhq_sync.gateway
from paychainhq import APIError, RateLimit, RetryPolicy, WaitTimeoutError
from paychainhq._core.operation import Operation
from paychainhq.gateway import (
    Application,
    Checkout,
    Event,
    EventName,
    Gateway,
    Money,
    Payment,
    PaymentStatus,
    Refund,
    RefundStatus,
    Site,
    webhooks,
)
from paychainhq.gateway.operations import OPERATIONS, PAYMENTS_CREATE
from paychainhq.ledger import SQLiteLedger
from paychainhq.models import Listing


async def clients() -> None:
    assert_type(Gateway.from_env(base_url="https://x", scopes=["payments.get"]), Gateway)
    async with Gateway(
        base_url="https://x", client_token="t", rate_limit=RateLimit(5), scopes={"*"}
    ) as gateway:
        assert_type(gateway, Gateway)
        assert_type(gateway.with_options(timeout=5, retry=RetryPolicy(attempts=2)), Gateway)
    assert_type(await gateway.close(), None)
    Gateway.from_env(base_url="https://x", colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Gateway()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Gateway(base_url="https://x", business_id="b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    gateway.with_options(business_id="b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def payments(gateway: Gateway) -> None:
    checkout = await gateway.payments.create(10000, "USD", "r", "l", expires_at=datetime.now(UTC))
    assert_type(checkout, Checkout)
    assert_type(checkout.payment_id, str)
    payment = await gateway.payments.get(checkout.payment_id)
    assert_type(payment, Payment)
    assert_type(payment.status, PaymentStatus | str)
    assert_type(payment.amount, Money | None)
    assert_type(payment.is_paid, bool)
    assert_type(await gateway.payments.wait("p", timeout=5), Payment)
    assert_type(await gateway.payments.methods("p"), Any)
    assert_type(await gateway.payments.instructions("p", "a", "b"), Any)
    await gateway.payments.create("100", "USD", "r", "l")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await gateway.payments.create(1.5, "USD", "r", "l")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await gateway.payments.create(1, "USD", "r", "l", idempotency_key="k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def money(amount: Money) -> None:
    assert_type(amount.amount, int)
    assert_type(amount.value, Decimal | None)


async def others(gateway: Gateway) -> None:
    applications = await gateway.applications.list()
    assert_type(applications, Listing[Application])
    assert_type(applications[0].site, Site | None)
    assert_type(await gateway.applications.get("a"), Application)
    assert_type(
        await gateway.applications.create("abc", "s", currency_whitelist=("BTC",)), Application
    )
    refund = await gateway.refunds.create("p", blockchain_address="a")
    assert_type(refund, Refund)
    assert_type(refund.status, RefundStatus | str)


async def events(gateway: Gateway, blocking: paychainhq_sync.gateway.Gateway, body: bytes) -> None:
    event = gateway.parse_webhook(body, {"X-PaymentService-Signature": ""})
    assert_type(event, Event)
    assert_type(event.event, EventName | str)
    assert_type(await event.fetch(gateway), Payment)
    assert_type(event.fetch(blocking), Payment)
    assert_type(webhooks.parse(body, {}, secrets=["a", "b"]), Event)
    assert_type(webhooks.sign(body, secret="s"), dict[str, str])
    assert_type(event.to_json(), str)
    receiver = webhooks.Receiver(secrets="s", ledger=SQLiteLedger("l.db"))

    @receiver.on("RECEIVED")
    async def paid(event: Event) -> None: ...

    assert_type(await paid(event), None)
    receiver.on(PaymentStatus.REFUND)(lambda event: None)
    receiver.on("DISPUTED")(wrong_handler)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    assert_type(await receiver.receive(body, {}), int)
    waiting = paychainhq_sync.gateway.webhooks.Receiver(secrets="s", ledger=SQLiteLedger("l.db"))
    waiting.on("RECEIVED")(lambda event: None)
    assert_type(waiting.receive(body, {}), int)


def wrong_handler(event: str) -> None: ...


async def requests(gateway: Gateway, blocking: paychainhq_sync.gateway.Gateway) -> None:
    assert_type(await gateway.request("GET", "/api/x", query={"a": 1}, auth="oauth_token"), Any)
    assert_type(blocking.request("POST", "/api/x", body={}, auth=None), Any)
    await gateway.request("GET", "/api/x", auth="api_key")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await gateway.request("POST", "/api/x", idempotency_key="k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def errors(error: APIError, late: WaitTimeoutError) -> None:
    assert_type(error.fields, Mapping[str, Sequence[str]])
    assert_type(late.payment, Payment | None)


def sync(gateway: paychainhq_sync.gateway.Gateway) -> None:
    with gateway as entered:
        assert_type(entered, paychainhq_sync.gateway.Gateway)
    assert_type(gateway.payments.create(10000, "USD", "r", "l"), Checkout)
    assert_type(gateway.payments.wait("p"), Payment)
    assert_type(gateway.applications.list(), Listing[Application])
    assert_type(gateway.refunds.create("p", blockchain_address="a"), Refund)
    assert_type(gateway.with_options(timeout=5), paychainhq_sync.gateway.Gateway)
    assert_type(
        paychainhq_sync.gateway.Gateway.from_env(base_url="https://x"),
        paychainhq_sync.gateway.Gateway,
    )


def operations() -> None:
    assert_type(PAYMENTS_CREATE, Operation[Checkout])
    assert_type(OPERATIONS["payments.create"], Operation[Any])
