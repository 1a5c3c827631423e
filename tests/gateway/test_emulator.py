"""Gateway of the emulator: documented tokens, errors, lifecycle and webhooks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from paychainhq import BadRequestError, NotFoundError, PermissionDeniedError
from paychainhq.emulator import (
    GATEWAY_CLIENT_ID,
    GATEWAY_CLIENT_TOKEN,
    GATEWAY_OAUTH_TOKEN,
    GATEWAY_READ_TOKEN,
    Emulator,
)
from paychainhq.emulator.deliveries import Delivery
from paychainhq.gateway import Event, Gateway, Payment, webhooks
from tests.gateway.samples import BY_NAME

SECRET = "of the shop"
ORDER = {
    "amount": 10000,
    "currencyCode": "USD",
    "reference": "r",
    "referenceLabel": "l",
    "clientId": GATEWAY_CLIENT_ID,
}
MINUTE, HOUR = 60, 3600


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
async def gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    async with Gateway(
        base_url=emulator.gateway_url,
        client_token=GATEWAY_CLIENT_TOKEN,
        oauth_token=GATEWAY_OAUTH_TOKEN,
        client_id=GATEWAY_CLIENT_ID,
        retry=None,
    ) as client:
        yield client


async def new(gateway: Gateway, **more: Any) -> str:
    """Create a payment of 100.00 USD, and return its id."""
    return (
        await gateway.payments.create(10000, "USD", "ORDER-123", "Order #123", **more)
    ).payment_id


async def send(
    emulator: Emulator,
    method: str,
    path: str,
    body: Any = None,
    token: str | None = GATEWAY_OAUTH_TOKEN,
) -> tuple[int, Any]:
    """Send a plain request; a body of bytes is sent unchanged."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body)
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with (
        ClientSession() as session,
        session.request(
            method, emulator.gateway_url + path, data=data, headers=headers
        ) as response,
    ):
        return response.status, json.loads(await response.read())


# --- tokens ---


@pytest.mark.parametrize(
    "sample",
    [sample for sample in BY_NAME.values() if sample.name != "payments.methods"],
    ids=lambda s: s.name,
)
@pytest.mark.parametrize("token", [None, "", "unknown"])
async def test_a_missing_or_wrong_token(emulator: Emulator, sample: Any, token: str | None) -> None:
    """The response is 401, before any other check."""
    method, path = sample.line.split(" ")
    assert await send(emulator, method, path, b"{", token) == (401, {"message": "Unauthenticated"})


async def test_tokens_go_as_bearers(emulator: Emulator) -> None:
    """No other scheme is accepted, and the scheme's name may be in any case."""
    url = f"{emulator.gateway_url}/api/payment-applications"
    async with ClientSession() as session:
        for scheme, status in (("bearer", 200), ("Basic", 401), ("", 401)):
            async with session.get(
                url, headers={"Authorization": f"{scheme} {GATEWAY_OAUTH_TOKEN}"}
            ) as response:
                assert response.status == status


@pytest.mark.parametrize("name", [name for name in BY_NAME if not name.startswith("payments.")])
async def test_a_client_token_on_dashboard_operations(emulator: Emulator, name: str) -> None:
    """The response is 403, even with all scopes."""
    method, path = BY_NAME[name].line.split(" ")
    assert await send(emulator, method, path, {}, GATEWAY_CLIENT_TOKEN) == (
        403,
        {"message": "Insufficient permissions"},
    )


async def test_scopes(emulator: Emulator, gateway: Gateway) -> None:
    """A client token permits the operations of its scopes, and the OAuth2 token all.

    The payment methods need no token.
    """
    payment_id = await new(gateway)
    async with Gateway(
        base_url=emulator.gateway_url,
        client_token=GATEWAY_READ_TOKEN,
        client_id=GATEWAY_CLIENT_ID,
        retry=None,
    ) as reader:
        assert (await reader.payments.get(payment_id)).status == "OPEN"
        assert (await reader.payments.methods(payment_id))["data"]
        for forbidden in (reader.payments.instructions(payment_id, "x", "BTC"), new(reader)):
            with pytest.raises(PermissionDeniedError):
                await forbidden
    assert (await send(emulator, "POST", "/api/payment/checkout", ORDER))[0] == 201
    assert (await send(emulator, "GET", f"/api/checkout/{payment_id}/payment-methods", token=None))[
        0
    ] == 200


# --- requests ---


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/api/payment/checkout", {}, {"amount", "currencyCode", "reference", "referenceLabel"}),
        ("/api/payment/checkout", {**ORDER, "amount": "100"}, {"amount"}),
        ("/api/payment/checkout", {**ORDER, "amount": 0}, {"amount"}),
        ("/api/payment/checkout", {**ORDER, "currencyCode": "XXX"}, {"currencyCode"}),
        ("/api/payment/checkout", {**ORDER, "clientId": None}, {"clientId"}),
        ("/api/payment/checkout", {**ORDER, "clientId": "unknown"}, {"clientId"}),
        ("/api/payment/checkout", {**ORDER, "clientId": None, "siteId": "unknown"}, {"siteId"}),
        ("/api/payment/checkout", {**ORDER, "expiresAt": "soon"}, {"expiresAt"}),
        ("/api/payment/checkout", [], {"body"}),
        ("/api/payment-applications", {"name": "ab"}, {"name", "secret"}),
        ("/api/refund-request", {"paymentId": "x"}, {"blockchainAddress"}),
        (
            "/api/refund-request",
            {"paymentId": "x", "blockchainAddress": "a", "bankName": "b"},
            {"blockchainAddress"},
        ),
        (
            "/api/refund-request",
            {"paymentId": "x", "bankName": "b", "bankCode": "c"},
            {"blockchainAddress"},
        ),
    ],
)
async def test_invalid_fields(emulator: Emulator, path: str, body: Any, fields: set[str]) -> None:
    """The response is 422 in Laravel's format: for each field a list of problems."""
    status, response = await send(emulator, "POST", path, body)
    assert (status, response["message"], set(response["errors"])) == (
        422,
        "The given data was invalid.",
        fields,
    )
    assert all(isinstance(text, str) for texts in response["errors"].values() for text in texts)


async def test_unknown_paths_and_bodies_that_are_not_json(emulator: Emulator) -> None:
    """The responses are 404 and 400, with a message."""
    for method, path in (
        ("GET", "/api/payment/unknown"),
        ("GET", "/api/payment/unknown/provider/x/method/y"),
        ("GET", "/api/checkout/unknown/payment-methods"),
        ("GET", "/api/payment-applications/unknown"),
        ("GET", "/api/payments"),
        ("DELETE", "/api/payment-applications"),
        ("GET", ""),
    ):
        assert await send(emulator, method, path) == (404, {"message": "Not found."}), path
    assert await send(emulator, "POST", "/api/payment/checkout", b"{") == (
        400,
        {"message": "The body is not JSON."},
    )


async def test_the_two_apis_are_separate(emulator: Emulator) -> None:
    """The gateway's paths exist below its own prefix only, with its own error format."""
    async with (
        ClientSession() as session,
        session.get(f"{emulator.url}/api/payment-applications") as response,
    ):
        assert (response.status, (await response.json())["error"]["code"]) == (404, "NOT_FOUND")
    assert (await send(emulator, "GET", "/api/v1/prices"))[1] == {"message": "Not found."}


async def test_applications(gateway: Gateway) -> None:
    """A new application has its own client id and site, and a payment may name either.

    One application exists from the start.
    """
    (first,) = await gateway.applications.list()
    assert first.client_id == GATEWAY_CLIENT_ID
    made = await gateway.applications.create(
        "abc", SECRET, url="https://x", currency_whitelist=["BTC"], allow_underpay=True
    )
    assert await gateway.applications.get(made.id) == made
    assert [each.id for each in await gateway.applications.list()] == [first.id, made.id]
    assert made.site is not None
    assert made.site.setting is not None
    assert (made.site.url, made.site.callback_url, made.site.setting.allow_underpay) == (
        "https://x",
        None,
        True,
    )
    assert SECRET not in repr(made)
    for whose in ({"client_id": made.client_id}, {"site_id": made.site.id}):
        methods = await gateway.payments.methods(await new(gateway, **whose))
        assert [method["method"] for method in methods["data"]] == ["BTC"]


async def test_checkout_links(gateway: Gateway) -> None:
    """A link holds id, expiry, signature and, if requested, the redirect URL."""
    checkout = await gateway.payments.create(
        1,
        "EUR",
        "r",
        "l",
        redirect_url="https://shop/?a=1&b=2",
        expires_at="2027-01-15T10:00:00+00:00",
    )
    assert checkout.checkout_url.startswith(
        f"https://yourdomain.com/checkout/{checkout.payment_id}?expires=1800007200&signature="
    )
    assert checkout.checkout_url.endswith("&redirectUrl=https%3A%2F%2Fshop%2F%3Fa%3D1%26b%3D2")
    payment = await gateway.payments.get(checkout.payment_id)
    assert payment.amount is not None
    assert payment.amount.formatted == "€0.01"


async def test_instructions(gateway: Gateway) -> None:
    """Each method of a payment has one permanent address."""
    payment_id = await new(gateway)
    first, again, other = [
        await gateway.payments.instructions(payment_id, "x", method)
        for method in ("BTC", "BTC", "ETH")
    ]
    assert first == again
    assert first["data"]["address"] != other["data"]["address"]


# --- lifecycle of a payment ---


async def test_a_paid_payment(emulator: Emulator, gateway: Gateway) -> None:
    """The statuses are OPEN, FOUND and RECEIVED; without a webhook endpoint, RECEIVED stays."""
    payment_id = await new(gateway)
    open_payment = await gateway.payments.get(payment_id)
    assert (
        open_payment.status,
        open_payment.received_amount,
        open_payment.found_at,
        open_payment.refund,
    ) == (
        "OPEN",
        None,
        None,
        False,
    )
    assert emulator.pay_gateway(payment_id) == "FOUND"
    assert (await gateway.payments.get(payment_id)).found_at is not None
    assert emulator.confirm_gateway(payment_id) == "RECEIVED"
    payment = await gateway.payments.wait(payment_id, timeout=60)
    assert (payment.status, payment.is_paid, payment.refund) == ("RECEIVED", True, True)
    assert payment.settled_amount == payment.received_amount == payment.amount
    assert payment.confirmed_at is not None
    assert emulator.confirm_gateway(payment_id) == "RECEIVED"
    assert emulator.pay_gateway(payment_id, 1) == "RECEIVED"
    assert (await gateway.payments.get(payment_id)).received_amount == payment.amount


async def test_an_underpaid_payment_that_is_topped_up(emulator: Emulator, gateway: Gateway) -> None:
    """An underpayment is UNDERPAID until the rest is paid."""
    payment_id = await new(gateway)
    emulator.pay_gateway(payment_id, 9000)
    assert emulator.confirm_gateway(payment_id) == "UNDERPAID"
    assert emulator.pay_gateway(payment_id) == "UNDERPAID"
    assert emulator.confirm_gateway(payment_id) == "RECEIVED"
    assert emulator.confirm_gateway(payment_id) == "RECEIVED"


async def test_an_application_that_allows_underpayment(
    emulator: Emulator, gateway: Gateway
) -> None:
    """An underpayment counts as the full amount."""
    made = await gateway.applications.create("abc", SECRET, allow_underpay=True)
    payment_id = await new(gateway, client_id=made.client_id)
    emulator.pay_gateway(payment_id, 1)
    assert emulator.confirm_gateway(payment_id) == "RECEIVED"


async def test_invalid_controls(emulator: Emulator, gateway: Gateway) -> None:
    """An unknown payment is a LookupError, and an invalid amount a ValueError."""
    payment_id = await new(gateway)
    for control in (emulator.pay_gateway, emulator.confirm_gateway, emulator.refund_gateway):
        with pytest.raises(LookupError, match="no payment unknown"):
            control("unknown")
    with pytest.raises(LookupError, match="no refund"):
        emulator.refund_gateway(payment_id)
    for amount in (0, -1, True):
        with pytest.raises(ValueError, match="amount"):
            emulator.pay_gateway(payment_id, amount)
    assert emulator.confirm_gateway(payment_id) == "OPEN"
    emulator.pay_gateway(payment_id)
    with pytest.raises(ValueError, match="no remaining amount"):
        emulator.pay_gateway(payment_id)


async def test_controls_over_http(emulator: Emulator, gateway: Gateway) -> None:
    """Other processes have the same controls over HTTP."""
    payment_id = await new(gateway)
    found = []
    async with ClientSession() as session:
        await gateway.refunds.create(await _paid(emulator, gateway), blockchain_address="bc1q")
        for name, more in (
            ("pay_gateway", {"amount": 1}),
            ("pay_gateway", {}),
            ("confirm_gateway", {}),
            ("refund_gateway", {}),
        ):
            body = {"paymentId": payment_id, **more}
            async with session.post(f"{emulator.url}/_emulator/{name}", json=body) as response:
                found.append((response.status, (await response.json()).get("status")))
    assert found == [(200, "FOUND"), (200, "FOUND"), (200, "RECEIVED"), (404, None)]


async def _paid(emulator: Emulator, gateway: Gateway, **more: Any) -> str:
    payment_id = await new(gateway, **more)
    emulator.pay_gateway(payment_id)
    emulator.confirm_gateway(payment_id)
    return payment_id


async def test_refunds(emulator: Emulator, gateway: Gateway) -> None:
    """A paid payment can be refunded once, and becomes REFUND with the approval."""
    unpaid, paid = await new(gateway), await _paid(emulator, gateway)
    for payment_id, error in (("unknown", NotFoundError), (unpaid, BadRequestError)):
        with pytest.raises(error):
            await gateway.refunds.create(payment_id, blockchain_address="bc1q")
    refund = await gateway.refunds.create(
        paid, bank_name="b", bank_code="c", bank_account_number="n", bank_account_holder="h"
    )
    assert (refund.payment_id, refund.status, refund.blockchain_address) == (paid, "PENDING", None)
    assert refund.refund_amount is not None
    assert refund.refund_amount.amount == 10000
    with pytest.raises(BadRequestError) as caught:
        await gateway.refunds.create(paid, blockchain_address="bc1q")
    assert caught.value.fields == {"paymentId": ("A refund request exists already.",)}
    assert (await gateway.payments.get(paid)).is_paid
    assert emulator.refund_gateway(paid) == "REFUND"
    assert (await gateway.payments.get(paid)).status == "REFUND"


async def test_state_in_a_file(tmp_path: Path) -> None:
    """The state outlives the emulator, with tokens stored as digests only."""
    file = tmp_path / "state.db"
    with Emulator(file) as emulator:
        async with Gateway(
            base_url=emulator.gateway_url,
            client_token=GATEWAY_CLIENT_TOKEN,
            client_id=GATEWAY_CLIENT_ID,
            retry=None,
        ) as gateway:
            payment_id = await new(gateway)
        emulator.pay_gateway(payment_id)
    with Emulator(file) as emulator:
        assert emulator.confirm_gateway(payment_id) == "RECEIVED"
    assert GATEWAY_CLIENT_TOKEN.encode() not in file.read_bytes()


async def test_faults_and_recording(emulator: Emulator, gateway: Gateway) -> None:
    """Faults apply to the gateway's operations in its own format; tokens in the log are masked."""
    emulator.fault("payments.get", 503)
    payment_id = await new(gateway)
    assert await send(emulator, "GET", f"/api/payment/{payment_id}") == (
        503,
        {"message": "the emulator injected the status 503"},
    )
    assert [request.operation for request in emulator.requests] == [
        "payments.create",
        "payments.get",
    ]
    first = emulator.requests[0]
    assert (first.path, first.status, first.headers["Accept"]) == (
        "/gateway/api/payment/checkout",
        201,
        "application/json",
    )
    assert GATEWAY_CLIENT_TOKEN not in repr(emulator.requests)


# --- webhooks ---


class Shop:
    """Merchant's endpoint that responds with a list of statuses, repeating the last one."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.events: list[Event] = []
        self.came = asyncio.Condition()

    async def receive(self, request: web.Request) -> web.Response:
        event = webhooks.parse(await request.read(), request.headers, secrets=SECRET, max_age=10**6)
        async with self.came:
            self.events.append(event)
            self.came.notify_all()
        return web.Response(
            status=self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        )

    async def until(self, number: int) -> list[str]:
        """Wait for this number of webhooks, and return their names."""
        async with asyncio.timeout(30), self.came:
            await self.came.wait_for(lambda: len(self.events) >= number)
        return sorted(event.event for event in self.events)

    async def listen(self) -> tuple[web.AppRunner, str]:
        app = web.Application()
        app.router.add_post("/webhooks", self.receive)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, "http://{}:{}/webhooks".format(*runner.addresses[0])


@pytest.fixture
async def shop(gateway: Gateway) -> AsyncIterator[tuple[Shop, str]]:
    """Yield a shop that responds with 200, and the client id of its application."""
    made = Shop(200)
    runner, url = await made.listen()
    application = await gateway.applications.create("The shop", SECRET, callback_url=url)
    yield made, application.client_id
    await runner.cleanup()


def settled(emulator: Emulator) -> tuple[Delivery, ...]:
    """Wait until no delivery is in progress."""
    while any(delivery.status in ("pending", "sending") for delivery in emulator.deliveries):
        pass
    return emulator.deliveries


async def test_a_webhook_response_confirms_the_payment(
    emulator: Emulator, gateway: Gateway, shop: tuple[Shop, str]
) -> None:
    """A 2xx to `payment.received` and `payment.completed` turns RECEIVED into CONFIRMED."""
    endpoint, client_id = shop
    payment_id = await _paid(emulator, gateway, client_id=client_id)
    assert await endpoint.until(2) == ["payment.completed", "payment.received"]
    assert {(event.payment.id, event.payment.status) for event in endpoint.events} == {
        (payment_id, "RECEIVED")
    }
    assert [delivery.status for delivery in await asyncio.to_thread(settled, emulator)] == [
        "delivered",
        "delivered",
    ]
    payment: Payment = await endpoint.events[0].fetch(gateway)
    assert (payment.status, payment.is_paid) == ("CONFIRMED", True)


async def test_other_events(emulator: Emulator, gateway: Gateway, shop: tuple[Shop, str]) -> None:
    """Underpayments and refunds send webhooks only to the endpoint of their application."""
    endpoint, client_id = shop
    emulator.add_webhook("http://127.0.0.1:1/", secret="another")
    await _paid(emulator, gateway)
    payment_id = await new(gateway, client_id=client_id)
    emulator.pay_gateway(payment_id, 1)
    emulator.confirm_gateway(payment_id)
    assert await endpoint.until(1) == ["payment.underpaid"]
    emulator.pay_gateway(payment_id)
    emulator.confirm_gateway(payment_id)
    await endpoint.until(3)
    await gateway.refunds.create(payment_id, blockchain_address="bc1q")
    emulator.refund_gateway(payment_id)
    assert (await endpoint.until(4))[2] == "payment.refund"
    assert endpoint.events[-1].payment.status == "REFUND"
    emulator.pay("inv_123")
    while len(emulator.deliveries) < 5:
        await asyncio.sleep(0)
    elsewhere = [
        delivery.event_type
        for delivery in emulator.deliveries
        if not delivery.url.endswith("/webhooks")
    ]
    assert elsewhere == ["invoice.confirming"]


async def test_failed_webhooks_are_delivered_again(
    emulator: Emulator, gateway: Gateway, shop: tuple[Shop, str]
) -> None:
    """Without a 2xx, attempts follow after 1 and 10 minutes, then 1, 3, 12 and 24 hours.

    The status is RECEIVED meanwhile.
    """
    endpoint, client_id = shop
    endpoint.statuses = [302, 500, 404, 503, 500, 500, 500, 500]
    payment_id = await new(gateway, client_id=client_id)
    emulator.pay_gateway(payment_id, 1)
    emulator.confirm_gateway(payment_id)
    for attempt, seconds in enumerate(
        [MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 12 * HOUR, 24 * HOUR], start=1
    ):
        await endpoint.until(attempt)
        (delivery,) = await asyncio.to_thread(settled, emulator)
        assert (delivery.status, delivery.attempts, delivery.max_attempts) == (
            "retrying",
            attempt,
            7,
        )
        emulator.advance(seconds - 30)
        await asyncio.to_thread(settled, emulator)
        assert len(endpoint.events) == attempt
        emulator.advance(30)
    await endpoint.until(7)
    (delivery,) = await asyncio.to_thread(settled, emulator)
    assert (delivery.status, delivery.attempts, delivery.failure_reason) == (
        "failed",
        7,
        "the endpoint returned 500",
    )
    sent = [event.timestamp for event in endpoint.events]
    assert sent == sorted(set(sent))
    assert SECRET not in repr(emulator.deliveries)
    assert "***" in str(delivery.latest_request_headers)
