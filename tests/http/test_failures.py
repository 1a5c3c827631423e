"""Failures below the call: cancelled waits, early or stray responses, large heads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
import pytest

from paychainhq import (
    ConfigurationError,
    ConnectionFailedError,
    DecodeError,
    PayChainError,
    PayChainHQ,
    RetryPolicy,
)
from paychainhq._http import fast_path, sender
from paychainhq._http.messages import COMMON_HEADERS, Next, Request, Response
from paychainhq.ledger import MemoryLedger
from paychainhq.operations import OPERATIONS
from tests.http.test_connection import server_tls, trusting
from tests.support.client import INVOICE, PRICES, client, invoice, states
from tests.support.raw_server import RawServer, Recorded, http_response, silence

FAST, SESSION, OWN = "the fast path", "the session path", "the caller's session"
PATIENT = RetryPolicy(first=0.001, cap=0.002)


async def add_header(request: Request, send: Next) -> Response:
    return await send(attrs.evolve(request, headers={**request.headers, "X-Trace": "1"}))


@asynccontextmanager
async def client_of(way: str, url: str, **settings: Any) -> AsyncIterator[PayChainHQ]:
    settings = {"retry": PATIENT, "timeout": 60, **settings}
    if way == SESSION:
        settings["middleware"] = [add_header]
    if way != OWN:
        async with client(url, **settings) as pay:
            yield pay
        return
    async with aiohttp.ClientSession() as session, client(url, session=session, **settings) as pay:
        yield pay


every_way = pytest.mark.parametrize("way", [FAST, SESSION, OWN])
own_pool = pytest.mark.parametrize("way", [FAST, SESSION])


def pool_of(pay: PayChainHQ) -> Any:
    return pay._caller.transport._wiring.sender  # type: ignore[union-attr]


def idle(pay: PayChainHQ) -> list[Any]:
    """Return the protocols of the idle connections in aiohttp's pool."""
    return [
        protocol
        for queue in pool_of(pay)._session.connector._conns.values()
        for protocol, _ in queue
    ]


# --- stray cancellations ---


@own_pool
async def test_a_call_in_progress_when_the_client_is_closed(way: str) -> None:
    """A call in progress fails as a connection does; a later one is refused as a misuse."""
    async with RawServer(silence) as server, client_of(way, server.url) as pay:
        call = asyncio.create_task(invoice(pay))
        while not server.requests:
            await asyncio.sleep(0.01)
        await pay.close()
        with pytest.raises(ConnectionFailedError) as caught:
            await call
        assert caught.value.sent == "unknown"
        assert len(server.requests) == 1
        with pytest.raises(ConfigurationError, match="closed") as refused:
            await invoice(pay)
        assert refused.value.sent == "no"


@own_pool
async def test_a_call_that_waits_for_a_connection_when_the_client_is_closed(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiting call reports that nothing was sent: aiohttp cancels its wait, not the call."""
    if way == SESSION:
        monkeypatch.setattr(fast_path, "is_genuine", lambda: False)
    async with RawServer(silence) as server, client(server.url, max_connections=1) as pay:
        first = asyncio.create_task(invoice(pay))
        while not server.requests:
            await asyncio.sleep(0.01)
        # The client's own limit would stop the second call before aiohttp's pool.
        waiting = asyncio.create_task(pool_of(pay).send(a_read()))
        while not pool_of(pay)._session.connector._waiters:
            await asyncio.sleep(0.01)
        await pay.close()
        with pytest.raises(ConnectionFailedError, match="session was closed") as caught:
            await waiting
        assert caught.value.sent == "no"
        with pytest.raises(ConnectionFailedError):
            await first


def a_read() -> Request:
    return Request(
        operation=OPERATIONS["prices.list"],
        path="/api/v1/prices",
        headers=COMMON_HEADERS,
        body=None,
        idempotency_key=None,
        deadline=asyncio.get_running_loop().time() + 60,
        retry=None,
    )


async def test_a_callers_session_that_is_closed_under_a_call() -> None:
    """Active and waiting calls fail as connections do, and never with a bare cancellation."""
    async with RawServer(silence) as server:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
        async with client(server.url, session=session, retry=None, timeout=60) as pay:
            calls = [asyncio.create_task(pay.prices.list()) for _ in range(3)]
            while not server.requests or not session.connector._waiters:  # type: ignore[union-attr]
                await asyncio.sleep(0.01)
            await session.close()
            for call in calls:
                with pytest.raises(ConnectionFailedError) as caught:
                    await call
                assert caught.value.sent == "unknown"


@pytest.mark.parametrize("inner", [True, False], ids=["before the attempt", "during the attempt"])
@own_pool
async def test_a_cancellation_that_was_requested_stays_one(way: str, inner: bool) -> None:
    """A cancelled task ends as cancelled, also if it cancelled itself before its call."""
    async with RawServer(silence) as server, client_of(way, server.url) as pay:

        async def call() -> None:
            task = asyncio.current_task()
            assert task is not None
            if inner:
                task.cancel()
            await pool_of(pay).send(
                a_read()
            ) if pay._caller.transport._wiring else await pay.prices.list()

        task = asyncio.create_task(call())
        if not inner:
            while not server.requests:
                await asyncio.sleep(0.01)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_call_in_a_task_that_was_cancelled_before() -> None:
    """Cleanup in a cancelled task: a session closed under its call does not cancel it again."""
    async with RawServer(silence) as server, client(server.url) as pay:
        begun = asyncio.Event()

        async def work() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await pay.prices.list()

        task = asyncio.create_task(work())
        await begun.wait()
        task.cancel()
        while not server.requests:
            await asyncio.sleep(0.01)
        await pay.close()
        with pytest.raises(ConnectionFailedError):
            await task


# --- stray responses ---


async def respond_twice(request: Recorded, writer: asyncio.StreamWriter) -> None:
    """Respond to a create with its description as id, and once more with another id."""
    own = {
        **INVOICE,
        "id": request.json["description"],
        "amount": {**INVOICE["amount"], "display": request.json["amount"]},
    }
    writer.write(http_response(own))
    await asyncio.sleep(0.2)  # as a packet of its own
    writer.write(http_response({**own, "id": "inv_of_another"}))


async def two_invoices(pay: PayChainHQ, amounts: tuple[str, str] = ("1", "2")) -> list[str]:
    made = []
    for amount in amounts:
        made.append(
            (await pay.invoices.create(amount, "USDC", "eth", description=f"inv_{amount}")).id
        )
        while idle(pay) and not any(protocol.should_close for protocol in idle(pay)):
            await asyncio.sleep(0.01)
    return made


@pytest.mark.parametrize("way", [FAST, SESSION, "a mock's session path"])
async def test_a_stray_response(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stray response ends its idle connection, and never becomes the next result."""
    if way not in (FAST, SESSION):
        monkeypatch.setattr(fast_path, "is_genuine", lambda: False)
    async with RawServer(respond_twice) as server, client_of(way, server.url) as pay:
        assert await two_invoices(pay) == ["inv_1", "inv_2"]
    assert server.accepted == 2


async def test_a_stray_response_through_a_proxy() -> None:
    """A stray response ends an idle connection to a proxy."""
    async with (
        RawServer(respond_twice) as proxy,
        client("http://api.localhost", proxy=proxy.url) as pay,
    ):
        assert await two_invoices(pay) == ["inv_1", "inv_2"]
    assert proxy.accepted == 2


async def test_a_stray_response_over_the_callers_session() -> None:
    """The connection cannot be checked: an invoice of another amount is an error, not recorded."""
    ledger = MemoryLedger()
    async with (
        RawServer(respond_twice) as server,
        client_of(OWN, server.url, idempotency=ledger) as pay,
    ):
        with pytest.raises(DecodeError, match=r"another invoice.*amount differs") as caught:
            await two_invoices(pay)
        assert (caught.value.sent, caught.value.status, caught.value.data["id"]) == (
            "yes",
            200,
            "inv_of_another",
        )
        assert caught.value.idempotency_key
        entry = ledger._entries[("invoices.create", caught.value.idempotency_key)]
        assert entry.answer is None


ECHOES: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "as requested": ({}, {}, None),
    "more digits": (
        {"amount": "150"},
        {"amount": {"display": "150.000000", "raw": "150000000", "decimals": 6}},
        None,
    ),
    "fewer digits": ({"amount": "150.10"}, {"amount": {"display": "150.1"}}, None),
    "plain text": ({"amount": "150"}, {"amount": "150.0"}, None),
    "raw only agrees": (
        {"amount": "1.234567"},
        {"amount": {"display": "1.23", "raw": "1234567", "decimals": 6}},
        None,
    ),
    "rounded in the last decimal": (
        {"amount": "0.1234567"},
        {"amount": {"display": "0.123457", "decimals": 6}},
        None,
    ),
    "case of the token": ({"token": "usdc"}, {"token": "USDC"}, None),
    "no token": ({}, {"token": None, "amount": {"display": "150"}}, None),
    "other token": ({"token": "USDT"}, {"token": "USDC"}, "$.token"),
    "other token in the amount": ({"token": "USDT"}, {"token": None}, "$.token"),
    "other amount": ({"amount": "150"}, {"amount": {"display": "15"}}, "$.amount"),
    "a digit more": (
        {"amount": "150"},
        {"amount": {"display": "150.000001", "raw": "150000001", "decimals": 6}},
        "$.amount",
    ),
    "other amount, plain": ({"amount": "150"}, {"amount": "151"}, "$.amount"),
    "long amount": ({"amount": "1" * 40}, {"amount": {"display": "1" * 39 + "2"}}, "$.amount"),
    "other customer": ({"customer_id": "cus_1"}, {"customerId": "cus_2"}, "$.customerId"),
}


@pytest.mark.parametrize(("requested", "returned", "path"), ECHOES.values(), ids=ECHOES)
async def test_comparison_of_a_created_invoice(
    requested: dict[str, Any], returned: dict[str, Any], path: str | None
) -> None:
    """Amounts are compared as exact decimals, tokens ignoring case, customers exactly."""
    given = {
        "amount": "150",
        "token": "USDC",
        "chain": "eth",
        "customer_id": "cus_123",
        **requested,
    }
    async with RawServer(http_response({**INVOICE, **returned})) as server:
        async with client_of(OWN, server.url) as pay:
            if path is None:
                assert (await pay.invoices.create(**given)).id == INVOICE["id"]
            else:
                with pytest.raises(DecodeError) as caught:
                    await pay.invoices.create(**given)
                assert caught.value.path == path
        async with client_of(SESSION, server.url) as pay:  # its connections are checked
            assert (await pay.invoices.create(**given)).id == INVOICE["id"]


# --- a response before the request was read ---


class Deaf(RawServer):
    """Server that responds to a large request after its head, and does not read the body."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        if b"GET" not in head:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(http_response({"error": {"code": "TOO_LARGE", "message": "no"}}, 413))
            return
        writer.write(http_response(PRICES))

    open: list[asyncio.StreamWriter]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@own_pool
async def test_an_early_response(way: str, tls: bool) -> None:
    """A connection with unsent request data is closed and freed, and not used again."""
    server = Deaf(tls=server_tls() if tls else None)
    server.open = []
    async with server, client_of(way, server.url, **({"ssl": trusting()} if tls else {})) as pay:
        with pytest.raises(PayChainError) as caught:
            await pay.request("POST", "/api/v1/new", body={"x": "y" * 40_000_000})
        assert getattr(caught.value, "status", None) == 413
        assert idle(pay) == []
        await pay.prices.list()
        for writer in server.open:
            writer.transport.abort()
        await asyncio.sleep(0.05)
    assert server.accepted == 2


# --- heads that are too large ---


@every_way
async def test_a_long_header_is_read(way: str) -> None:
    """Headers of up to 64 KiB are read: the create is handled once."""
    long = http_response(INVOICE, headers={"X-Long": "x" * 60_000, "X-Second": "y" * 20_000})
    async with RawServer(long) as server, client_of(way, server.url) as pay:
        made = await invoice(pay)
        assert made.response is not None
        assert made.response.headers["x-long"] == "x" * 60_000
    assert len(server.requests) == 1


TOO_LARGE = {
    "a header": http_response(INVOICE, headers={"X-Long": "x" * 70_000}),
    "a name": http_response(INVOICE, headers={"x" * 70_000: "1"}),
    "the reason": http_response(INVOICE).replace(b"Something", b"x" * 70_000),
    "many": http_response(INVOICE, headers={f"X-{n}": "1" for n in range(200)}),
}


@pytest.mark.parametrize("large", TOO_LARGE.values(), ids=TOO_LARGE)
@every_way
async def test_a_head_that_is_too_large(way: str, large: bytes) -> None:
    """A `DecodeError` with `sent` "yes": neither a create with a key nor a read is retried."""
    async with RawServer(large) as server, client_of(way, server.url) as pay:
        for make in (invoice, lambda pay: pay.prices.list()):
            with pytest.raises(DecodeError, match="longer than 65536 bytes") as caught:
                await make(pay)
            assert caught.value.sent == "yes"
            assert "`data`" not in str(caught.value)
            assert len(states(caught.value)) == 1
    assert len(server.requests) == 2


# --- mistakes in the package ---


@pytest.mark.parametrize(
    "slip",
    [ValueError("slip"), RuntimeError("slip"), AssertionError("slip")],
    ids=lambda slip: type(slip).__name__,
)
@pytest.mark.parametrize("where", ["fast_path.message", "make_response", "Sender._note"])
async def test_an_internal_error_is_not_taken_for_a_failed_connection(
    where: str, slip: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the package's own code is raised unchanged, and causes no retry."""

    def fail(*_: object) -> Any:
        raise slip

    owner: Any = sender
    *path, name = where.split(".")
    for part in path:
        owner = getattr(owner, part)
    monkeypatch.setattr(owner, name, fail)
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        with pytest.raises(type(slip), match="slip"):
            await invoice(pay)
    assert len(server.requests) <= 1
