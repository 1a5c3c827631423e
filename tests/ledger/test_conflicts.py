"""Conflicts of calls over a ledger: concurrent clients, another credential, deadlines."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paychainhq import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    DashboardSession,
    IdempotencyKeyMismatchError,
    LedgerError,
    Next,
    OutcomeUnknownError,
    Request,
    RequestTimeoutError,
    Response,
)
from paychainhq.ledger import Entry, MemoryLedger, SQLiteLedger
from paychainhq.ledger.send_slots import SendSlots
from paychainhq.models import Invoice
from paychainhq.typing import InvoiceRequestDict
from tests.support.client import CREATED_KEY, INVOICE, KEY, client, error_body, invoice
from tests.support.raw_server import (
    Behaviour,
    RawServer,
    Recorded,
    http_response,
    reset,
    silence,
)

pytestmark = pytest.mark.usefixtures("face")

AnyLedger = MemoryLedger | SQLiteLedger
REVOKED = http_response(error_body("UNAUTHORIZED"), status=401)
INVALID = http_response(error_body("VALIDATION_ERROR"), status=400)
LONG_AGO = 365 * 86_400.0


def only(ledger: AnyLedger) -> Entry:
    (entry,) = ledger.entries()
    return entry


class Held:
    """Server behaviour that delays a response until the test releases it."""

    def __init__(self, reply: bytes) -> None:
        self.came = asyncio.Event()
        self.go_on = asyncio.Event()
        self._reply = reply

    async def __call__(self, _: Recorded, writer: asyncio.StreamWriter) -> None:
        self.came.set()
        await self.go_on.wait()
        writer.write(self._reply)


# --- concurrent clients ---


@pytest.mark.parametrize(
    ("refusal", "error"), [(REVOKED, AuthenticationError), (INVALID, BadRequestError)]
)
async def test_a_late_refusal_leaves_a_finished_entry(
    ledger: AnyLedger, refusal: bytes, error: type[APIError]
) -> None:
    """Another client got a response meanwhile: its result stays, and the key is not sent again."""
    held = Held(refusal)
    async with (
        RawServer(held, http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger) as late,
        client(server.url, idempotency=ledger) as other,
    ):
        waiting: asyncio.Task[Any] = asyncio.create_task(invoice(late, idempotency_key="order-7"))
        await held.came.wait()
        made = await invoice(other, idempotency_key="order-7")
        held.go_on.set()
        with pytest.raises(error):
            await waiting
        assert only(ledger).state == "finished"
        assert await invoice(late, idempotency_key="order-7") == made
        with pytest.raises(IdempotencyKeyMismatchError):
            await invoice(late, idempotency_key="order-7", description="another")
    assert len(server.requests) == 2


async def test_a_late_refusal_settles_nothing_for_another_attempt(ledger: AnyLedger) -> None:
    """The entry stays unfinished: the lost attempt of another client may have been received."""
    held = Held(REVOKED)
    async with (
        RawServer(held, reset) as server,
        client(server.url, idempotency=ledger) as late,
        client(server.url, idempotency=ledger, retry=None) as other,
    ):
        waiting: asyncio.Task[Any] = asyncio.create_task(invoice(late, idempotency_key="order-7"))
        await held.came.wait()
        with pytest.raises(ConnectionFailedError):
            await invoice(other, idempotency_key="order-7")
        held.go_on.set()
        with pytest.raises(AuthenticationError):
            await waiting
        assert only(ledger).state == "unfinished"
        with pytest.raises(IdempotencyKeyMismatchError):
            await invoice(late, idempotency_key="order-7", description="another")
    assert len(server.requests) == 2


async def test_a_late_result_is_not_stored_under_another_body(ledger: AnyLedger) -> None:
    """After `forget` the key is used for another request: each request keeps its own response."""
    first, second = (
        Held(http_response(INVOICE)),
        Held(http_response({**INVOICE, "id": "inv_of_the_second"})),
    )
    async with (
        RawServer(first, second) as server,
        client(server.url, idempotency=ledger) as one,
        client(server.url, idempotency=ledger) as other,
    ):
        early: asyncio.Task[Any] = asyncio.create_task(invoice(one, idempotency_key="order-7"))
        await first.came.wait()
        ledger.forget("invoices.create", "order-7")
        later: asyncio.Task[Any] = asyncio.create_task(
            invoice(other, idempotency_key="order-7", description="another")
        )
        await second.came.wait()
        first.go_on.set()
        assert (await early).id == INVOICE["id"]
        assert only(ledger).state == "unfinished"
        second.go_on.set()
        assert (await later).id == "inv_of_the_second"
        again = await invoice(one, idempotency_key="order-7", description="another")
    assert again.id == "inv_of_the_second"


async def test_a_mismatch_has_the_known_result(ledger: AnyLedger) -> None:
    """The error has the invoice of the key, or None as long as there is no result."""
    async with (
        RawServer(reset, http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger, retry=None) as pay,
    ):
        with pytest.raises(ConnectionFailedError):
            await invoice(pay, idempotency_key="order-7")
        for known in (None, INVOICE["id"]):
            with pytest.raises(IdempotencyKeyMismatchError) as caught:
                await invoice(pay, idempotency_key="order-7", description="another")
            assert (caught.value.known and caught.value.known.id) == known
            await invoice(pay, idempotency_key="order-7")
        assert isinstance(caught.value.known, Invoice)


async def test_a_mismatch_of_a_plain_request_has_plain_json(ledger: AnyLedger) -> None:
    """The known result has the form that `request` returned."""

    async def withdraw(amount: str) -> Any:
        return await pay.request(
            "POST", "/api/v1/withdrawals", body={"amount": amount}, idempotency_key="payout-1"
        )

    async with (
        RawServer(http_response({"id": "wd_1", "fee": "0.1"})) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        done = await withdraw("1")
        with pytest.raises(IdempotencyKeyMismatchError) as caught:
            await withdraw("2")
    assert caught.value.known == done == {"id": "wd_1", "fee": "0.1"}


# --- another credential ---


async def test_an_unfinished_entry_is_not_sent_with_another_credential(ledger: AnyLedger) -> None:
    """The server would see a new request: nothing is sent, until the earlier key is back."""
    async with (
        RawServer(reset, http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger, retry=None) as earlier,
        client(server.url, idempotency=ledger, api_key="pk_rotated") as rotated,
    ):
        with pytest.raises(ConnectionFailedError):
            await invoice(earlier, idempotency_key="order-7")
        with pytest.raises(
            OutcomeUnknownError, match="does not recognise its key under another credential"
        ) as caught:
            await invoice(rotated, idempotency_key="order-7")
        assert (caught.value.sent, caught.value.idempotency_key) == ("unknown", "order-7")
        assert len(server.requests) == 1
        made = await invoice(earlier, idempotency_key="order-7")
        assert (
            await invoice(rotated, idempotency_key="order-7") == made
        )  # a finished entry is returned with any credential
    assert len(server.requests) == 2


async def test_a_refused_entry_begins_anew_with_another_credential(ledger: AnyLedger) -> None:
    """A revoked key did nothing: it is replaced, and the job runs again."""
    async with RawServer(REVOKED, http_response(INVOICE)) as server:
        async with client(server.url, idempotency=ledger) as pay:
            with pytest.raises(AuthenticationError):
                await invoice(pay, idempotency_key="order-7")
        async with client(server.url, idempotency=ledger, api_key="pk_rotated") as pay:
            await invoice(pay, idempotency_key="order-7")
    assert only(ledger).state == "finished"


async def test_the_credential_is_that_of_the_operation(ledger: AnyLedger) -> None:
    """Unfinished payouts depend on the payout key only, and not on the standard key."""

    async def withdraw(**keys: str) -> Any:
        async with client(server.url, idempotency=ledger, retry=None, **keys) as pay:
            return await pay.request(
                "POST",
                "/api/v1/withdrawals",
                body={"amount": "1"},
                auth="payout_key",
                idempotency_key="payout-1",
            )

    async with RawServer(reset, reset, http_response({"id": "wd_1"})) as server:
        with pytest.raises(ConnectionFailedError):
            await withdraw(payout_key="pk_out")
        with pytest.raises(OutcomeUnknownError):
            await withdraw(payout_key="pk_out_rotated")
        with pytest.raises(ConnectionFailedError):
            await withdraw(payout_key="pk_out", api_key="pk_rotated")
        assert await withdraw(payout_key="pk_out", api_key="pk_rotated") == {"id": "wd_1"}
    assert len(server.requests) == 3


async def test_a_ledger_keeps_a_salted_digest_of_the_credential(
    ledger: AnyLedger, tmp_path: Path
) -> None:
    """Two entries of one key have different digests, and the key itself is not stored."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        for number in range(2):
            await invoice(pay, idempotency_key=f"order-{number}")
    digests = {entry.credential for entry in ledger.entries()}
    assert len(digests) == 2
    assert KEY not in repr(list(ledger.entries()))
    assert all(KEY.encode() not in file.read_bytes() for file in tmp_path.iterdir())


async def test_a_job_reports_entries_of_another_credential(ledger: AnyLedger) -> None:
    """An order left unfinished before a key rotation is an error; the other orders are created."""
    orders: list[InvoiceRequestDict] = [
        {"amount": "5", "token": "USDC", "chain": "eth", "reference": f"order-{number}"}
        for number in range(3)
    ]
    async with RawServer(reset, http_response(INVOICE)) as server:
        async with client(server.url, retry=None, timeout=3) as pay:
            job = pay.invoices.create_many(
                orders[:1], ledger=ledger, concurrency=1, give_up_after=0
            )
            assert [outcome.ok async for outcome in job] == [False]
        async with client(server.url, api_key="pk_rotated") as pay:
            outcomes = [
                outcome
                async for outcome in pay.invoices.create_many(orders, ledger=ledger, concurrency=1)
            ]
    errors = {outcome.request["reference"]: type(outcome.error) for outcome in outcomes}  # type: ignore[index]
    assert errors == {"order-0": OutcomeUnknownError, "order-1": type(None), "order-2": type(None)}


# --- clocks ---


@pytest.mark.parametrize(
    ("set_back", "is_sent"), [(60.0, True), (LONG_AGO, False), (2 * 86_400.0, False)]
)
async def test_a_clock_that_was_set_back(
    ledger: AnyLedger, monkeypatch: pytest.MonkeyPatch, set_back: float, is_sent: bool
) -> None:
    """An entry from the future has no valid age; a small correction of the clock is tolerated."""
    now, shift = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: now() + shift)
    async with (
        RawServer(reset, http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger, retry=None) as pay,
    ):
        with pytest.raises(ConnectionFailedError):
            await invoice(pay, idempotency_key="order-7")
        shift = -set_back
        if is_sent:
            await invoice(pay, idempotency_key="order-7")
        else:
            with pytest.raises(OutcomeUnknownError, match="set back"):
                await invoice(pay, idempotency_key="order-7")
    assert len(server.requests) == 1 + is_sent


async def test_an_entry_with_an_impossible_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error for a time beyond the calendar names the cause."""
    ledger = MemoryLedger()
    async with (
        RawServer(reset) as server,
        client(server.url, idempotency=ledger, retry=None) as pay,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: 1e15)
            with pytest.raises(ConnectionFailedError):
                await invoice(pay, idempotency_key="order-7")
        with pytest.raises(OutcomeUnknownError, match="outside the calendar"):
            await invoice(pay, idempotency_key="order-7")


# --- one definition of an error ---

SUCCESSES: list[dict[str, Any]] = [
    {"error": None, "message": "created"},
    {"error": None},
    {"error": False, "message": "created"},
    {"error": "", "message": "created"},
    {"error": {}, "message": "created"},
    {"error": []},
    {"error": {"code": None, "message": None}},
    {"error": "the last webhook was not delivered"},
    {"message": "created", "errors": {}},
]


@pytest.mark.parametrize("more", SUCCESSES, ids=repr)
@pytest.mark.parametrize("modelled", [True, False])
async def test_a_success_with_error_fields_is_finished(
    ledger: AnyLedger, more: dict[str, Any], modelled: bool
) -> None:
    """Call and ledger share one definition of an error: a result is returned, and finished."""

    async def create(pay: Any) -> Any:
        if modelled:
            return (await invoice(pay, idempotency_key="order-7")).id
        return (await pay.request("POST", "/api/v1/new", body={}, idempotency_key="order-7"))["id"]

    async with (
        RawServer(http_response({**INVOICE, **more})) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        assert await create(pay) == await create(pay) == INVOICE["id"]
    assert len(server.requests) == 1
    assert only(ledger).state == "finished"


ERRORS: list[dict[str, Any]] = [
    {"error": {"code": "INTERNAL", "message": "no"}},
    {**INVOICE, "error": {"message": "no"}},
    {"error": {"code": "INTERNAL"}, "data": {}},
    {"error": "no"},
    {"error": "no", "message": "Not possible", "statusCode": 400},
    {"success": False, "error": "no"},
    {"error": True, "message": "no"},
]


@pytest.mark.parametrize("body", ERRORS, ids=lambda body: repr(body)[:60])
@pytest.mark.parametrize("modelled", [True, False])
async def test_an_error_in_a_200_is_not_finished(
    ledger: AnyLedger, body: dict[str, Any], modelled: bool
) -> None:
    """The call raises `APIError`, and the ledger leaves the entry unfinished."""
    async with (
        RawServer(http_response(body)) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        with pytest.raises(APIError) as caught:
            if modelled:
                await invoice(pay, idempotency_key="order-7")
            else:
                await pay.request("POST", "/api/v1/new", body={}, idempotency_key="order-7")
    assert (caught.value.status, caught.value.sent) == (200, "yes")
    assert only(ledger).state == "unfinished"


# --- deadlines ---

TIMEOUT = 3.0


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Lock the ledger's file by another connection."""
    SQLiteLedger(tmp_path / "ledger.db").close()
    connection = sqlite3.connect(
        tmp_path / "ledger.db", isolation_level=None, check_same_thread=False
    )
    yield connection
    connection.close()


async def test_a_ledger_that_is_locked_after_the_response(
    tmp_path: Path, lock: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """The result comes at the deadline, with a warning, and is recorded once the file is free."""

    async def locking(_: Recorded, writer: asyncio.StreamWriter) -> None:
        lock.execute("BEGIN IMMEDIATE")
        writer.write(http_response(INVOICE))

    with (
        SQLiteLedger(tmp_path / "ledger.db") as ledger,
        caplog.at_level(logging.WARNING, "paychainhq"),
    ):
        async with (
            RawServer(locking) as server,
            client(server.url, idempotency=ledger, timeout=TIMEOUT) as pay,
        ):
            started = time.monotonic()
            assert (await invoice(pay, idempotency_key="order-7")).id == INVOICE["id"]
            assert (
                TIMEOUT * 0.9 < time.monotonic() - started < TIMEOUT + 4
            )  # SQLite alone waits for ten seconds
            assert "order-7" in caplog.text
            assert "locked or busy" in caplog.text
            assert lock.execute("SELECT state FROM entries").fetchall() == [("unfinished",)]
            lock.execute("ROLLBACK")
            while only(ledger).state == "unfinished":
                await asyncio.sleep(0.01)
            assert (await invoice(pay, idempotency_key="order-7")).id == INVOICE["id"]
    assert len(server.requests) == 1


async def test_a_ledger_that_is_locked_before_the_request(
    tmp_path: Path, lock: sqlite3.Connection
) -> None:
    """Nothing is sent, and the error names the ledger; the call succeeds once the file is free."""
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        async with (
            RawServer(http_response(INVOICE)) as server,
            client(server.url, idempotency=ledger, timeout=TIMEOUT) as pay,
        ):
            lock.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            with pytest.raises(LedgerError, match="locked or busy") as caught:
                await invoice(pay, idempotency_key="order-7")
            assert time.monotonic() - started < TIMEOUT + 4
            assert (caught.value.sent, caught.value.idempotency_key) == ("no", "order-7")
            assert not server.requests
            lock.execute("ROLLBACK")
            await invoice(pay, idempotency_key="order-7")
    assert len(server.requests) == 1


@pytest.mark.async_only("the gate of a job is the async face's")
async def test_a_deadline_that_passes_in_the_queue_is_no_ledger_error() -> None:
    """A call of a job has recorded its intent before it waits for a send slot."""
    gate = SendSlots(MemoryLedger(), lambda: 1)
    async with (
        RawServer(silence) as server,
        client(server.url, idempotency=gate, timeout=TIMEOUT, retry=None) as pay,
    ):
        calls = [invoice(pay, idempotency_key=f"order-{number}") for number in range(2)]
        sent, queued = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(sent, RequestTimeoutError)
    assert isinstance(queued, RequestTimeoutError)
    assert "no response arrived" in str(sent)
    assert "waited for a send slot" in str(queued)
    assert (sent.sent, queued.sent) == ("unknown", "no")


# --- secrets ---


@pytest.mark.parametrize(
    "path",
    [
        "businesses/biz_123/Api-Keys",
        "businesses/biz_123/API%2DKEYS",
        "businesses/biz_123/api%252Dkeys/rotate",
        "businesses/biz_123/payout-api-keys",
        "webhooks",
        "WebHooks/wh_1/secret",
        "businesses/biz_123/%77ebhooks",
        "businesses/biz_123/webhook-endpoints",
    ],
)
async def test_requests_about_keys_and_webhooks_are_never_recorded(
    ledger: AnyLedger, path: str
) -> None:
    """No spelling of the path records them, and no ledger has their bodies."""
    shown: list[str] = []

    async def keep(request: Request, send: Next) -> Response:
        response = await send(request)
        shown.extend((repr(request.body), repr(response.body)))
        return response

    behaviour: Behaviour = http_response({**CREATED_KEY, "secret": "whsec_new"})
    async with (
        RawServer(behaviour) as server,
        client(
            server.url,
            idempotency=ledger,
            dashboard=DashboardSession({"X-Session": "s"}),
            middleware=[keep],
        ) as pay,
    ):
        for _ in range(2):
            data = await pay.request(
                "POST",
                f"/api/v1/{path}",
                body={"secret": "mine"},
                auth="dashboard",
                idempotency_key="key-7",
            )
            assert data["secret"] == "whsec_new"
    assert len(server.requests) == 2
    assert list(ledger.entries()) == []
    assert set(shown) == {"b'***'"}
