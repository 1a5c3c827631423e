"""aioresponses: users' tests mock aiohttp's sessions with it, and the client supports that."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses
from yarl import URL

from paychainhq import (
    APIError,
    ConnectionFailedError,
    DashboardSession,
    DecodeError,
    InvoiceRequest,
    NotFoundError,
    PayChainError,
    PayChainHQ,
    RequestTimeoutError,
)
from tests.support.client import (
    CREATED_KEY,
    INVOICE,
    KEY,
    QUICK,
    client,
    error_body,
    info,
    states,
)
from tests.support.samples import BY_NAME

HOST = "https://api.example.com"
INVOICES = f"{HOST}/api/v1/businesses/biz_123/invoices"


class MockedResponse(aiohttp.ClientResponse):
    """A response of aioresponses 0.7.9 with the argument that aiohttp 3.14 requires."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"stream_writer": Mock(output_size=0), **kwargs})


@pytest.fixture
def mocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    monkeypatch.setattr("aioresponses.core.ClientResponse", MockedResponse)
    with aioresponses() as mock:
        yield mock


@pytest.fixture(params=["its own session", "the user's session"])
async def pay(request: pytest.FixtureRequest, mocked: aioresponses) -> Any:
    async with aiohttp.ClientSession() as session:
        given = session if request.param == "the user's session" else None
        async with client(HOST, session=given) as made:
            yield made


async def test_a_mocked_success(pay: PayChainHQ, mocked: aioresponses) -> None:
    """A mocked response is decoded like a real one, and the mock records the request."""
    mocked.post(INVOICES, payload=INVOICE, headers={"x-request-id": "req_1"})
    invoice = await pay.invoices.create("150", "USDC", "eth", idempotency_key="order-7")
    assert invoice.amount.display == Decimal(150)
    assert (info(invoice).status, info(invoice).request_id, len(info(invoice).attempts)) == (
        200,
        "req_1",
        1,
    )
    (sent,) = mocked.requests["POST", URL(INVOICES)]
    assert sent.kwargs["data"] == b'{"amount":"150","token":"USDC","chain":"eth"}'
    assert sent.kwargs["headers"]["Idempotency-Key"] == "order-7"
    assert sent.kwargs["headers"]["x-api-key"] == KEY


async def test_a_mocked_query(pay: PayChainHQ, mocked: aioresponses) -> None:
    """A list is mocked by its address with the query, page after page."""
    rows = BY_NAME["invoices.list"].response["data"]
    for page, more in ((1, True), (2, False)):
        pagination = {"page": page, "limit": 1, "total": 2, "totalPages": 2, "hasMore": more}
        query = "status=paid&limit=1" + (f"&page={page}" if page > 1 else "")
        mocked.get(
            f"{INVOICES}?{query}",
            payload={"data": [{**rows[0], "id": f"inv_{page}"}], "pagination": pagination},
        )
    assert [invoice.id async for invoice in pay.invoices.list(status="paid", limit=1)] == [
        "inv_1",
        "inv_2",
    ]


async def test_a_mocked_error(pay: PayChainHQ, mocked: aioresponses) -> None:
    """A mocked status and envelope raise the error of that code."""
    mocked.get(
        f"{HOST}/api/v1/businesses/invoices/inv_9",
        status=404,
        payload=error_body("NOT_FOUND", "no such invoice"),
    )
    with pytest.raises(NotFoundError, match="no such invoice") as caught:
        await pay.invoices.get("inv_9")
    assert (caught.value.sent, states(caught.value)) == ("yes", [404])


async def test_mocked_failures_are_retried(pay: PayChainHQ, mocked: aioresponses) -> None:
    """A mocked outage, exception or timeout is retried like a real one, under one key."""
    mocked.post(INVOICES, status=503)
    mocked.post(INVOICES, exception=aiohttp.ServerDisconnectedError())
    mocked.post(INVOICES, timeout=True)
    mocked.post(INVOICES, payload=INVOICE)
    invoice = await pay.invoices.create("150", "USDC", "eth")
    assert [attempt.status for attempt in info(invoice).attempts] == [503, None, None, 200]
    assert (
        len(
            {
                call.kwargs["headers"]["Idempotency-Key"]
                for call in mocked.requests["POST", URL(INVOICES)]
            }
        )
        == 1
    )


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ({}, ConnectionFailedError),
        ({"timeout": True}, RequestTimeoutError),
        ({"body": "<html>"}, DecodeError),
    ],
    ids=["not mocked", "timeout", "no JSON"],
)
async def test_mocked_and_missing_connections_fail(
    pay: PayChainHQ, mocked: aioresponses, failure: dict[str, Any], kind: type[PayChainError]
) -> None:
    """Unmocked requests and mocked exceptions are failed connections, as the package's errors."""
    if failure:
        mocked.get(f"{HOST}/api/v1/prices", repeat=True, **failure)
    with pytest.raises(kind) as caught:
        await pay.prices.list()
    assert len(caught.value.attempts) == (1 if kind is DecodeError else QUICK.attempts)


async def test_a_mocked_redirect_is_not_followed(pay: PayChainHQ, mocked: aioresponses) -> None:
    """A mocked redirect is not followed, like one of the server."""
    mocked.get(
        f"{HOST}/api/v1/prices", status=307, headers={"Location": "https://elsewhere.example/"}
    )
    mocked.get("https://elsewhere.example/", payload=BY_NAME["prices.list"].response)
    with pytest.raises(APIError, match="redirect"):
        await pay.prices.list()
    assert ("GET", URL("https://elsewhere.example/")) not in mocked.requests


async def test_a_mocked_job(pay: PayChainHQ, mocked: aioresponses) -> None:
    """`create_many` goes on through a mocked failure."""
    mocked.post(INVOICES, status=500)
    mocked.post(INVOICES, payload=INVOICE, repeat=True)
    requests = [
        InvoiceRequest(amount="150", token="USDC", chain="eth", reference=f"r{n}") for n in range(5)
    ]
    outcomes = [outcome async for outcome in pay.invoices.create_many(requests)]
    assert [outcome.ok for outcome in outcomes] == [True] * 5


async def test_a_mocked_response_with_a_secret(mocked: aioresponses) -> None:
    """A created key is returned, and stays concealed, under mocks as well."""
    mocked.post(f"{HOST}/api/v1/businesses/biz_123/api-keys", payload=CREATED_KEY)
    async with client(HOST, dashboard=DashboardSession({"X-Session": "s"})) as pay:
        created = await pay.api_keys.create("server")
    assert created.api_key == CREATED_KEY["apiKey"]
    assert str(CREATED_KEY["apiKey"]) not in repr(created)
