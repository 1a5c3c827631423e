"""Calls over a ledger: nothing is done twice, and unknown outcomes are left to a person."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import attrs
import pytest

from paychainhq import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConnectionFailedError,
    DashboardSession,
    DecodeError,
    IdempotencyKeyMismatchError,
    InvoiceRequest,
    LedgerError,
    OutcomeUnknownError,
    RateLimitError,
)
from paychainhq._core.idempotency import key_for_reference
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq.ledger import Answer, Entry, Intent, MemoryLedger, SQLiteLedger
from tests.support.client import (
    CREATED_KEY,
    INVOICE,
    QUICK,
    client,
    error_body,
    info,
    invoice,
)
from tests.support.faces import PayChainHQ
from tests.support.raw_server import RawServer, http_response, reference, reset

pytestmark = pytest.mark.usefixtures("face")

AnyLedger = MemoryLedger | SQLiteLedger


def only(ledger: AnyLedger) -> Entry:
    (entry,) = ledger.entries()
    return entry


class Clock:
    """A clock whose time can be set ahead, for the ledger and the package."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.ahead)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


# --- one call ---


async def test_a_finished_call_is_returned_from_the_ledger(ledger: AnyLedger) -> None:
    """The same key with the same arguments returns the first result, without a second request."""
    async with (
        RawServer(http_response(INVOICE, headers={"x-request-id": "req_1"})) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        first = await invoice(pay, idempotency_key="order-7")
        second = await invoice(pay, idempotency_key="order-7")
    assert len(server.requests) == 1
    assert second == first
    assert (info(second).request_id, info(second).idempotency_key, info(second).attempts) == (
        "req_1",
        "order-7",
        (),
    )
    assert only(ledger).state == "finished"
    assert only(ledger).answer == Answer(200, "req_1", server_body(server))


def server_body(server: RawServer) -> bytes:
    script = server.script[0]
    assert isinstance(script, bytes)
    return script.partition(b"\r\n\r\n")[2]


async def test_a_key_with_other_arguments_is_refused(ledger: AnyLedger) -> None:
    """A key with another body is refused before anything is sent, whatever the first outcome."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        await invoice(pay, idempotency_key="order-7")
        with pytest.raises(IdempotencyKeyMismatchError, match="other arguments") as caught:
            await invoice(pay, idempotency_key="order-7", description="another")
        with pytest.raises(IdempotencyKeyMismatchError):
            await invoice(pay, idempotency_key="order-7", business_id="biz_other")
    assert (caught.value.sent, caught.value.idempotency_key, caught.value.attempts) == (
        "no",
        "order-7",
        (),
    )
    assert len(server.requests) == 1


async def test_two_operations_may_use_one_key(ledger: AnyLedger) -> None:
    """A key belongs to its operation: the documents use one key for six of them."""
    async with (
        RawServer(http_response(INVOICE), http_response({"count": 1})) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        await invoice(pay, idempotency_key="example-request-001")
        assert (
            await pay.invoices.cancel("inv_1", idempotency_key="example-request-001")
        ).count == 1
    assert [entry.operation for entry in ledger.entries()] == ["invoices.create", "invoices.cancel"]


async def test_an_unfinished_call_is_sent_again_under_its_key(ledger: AnyLedger) -> None:
    """A request whose response was lost is sent again with the same key, and is then finished."""
    async with (
        RawServer(reset, http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger, retry=None) as pay,
    ):
        with pytest.raises(ConnectionFailedError):
            await invoice(pay, idempotency_key="order-7")
        assert only(ledger).state == "unfinished"
        await invoice(pay, idempotency_key="order-7")
    assert [request.headers["idempotency-key"] for request in server.requests] == ["order-7"] * 2
    assert only(ledger).state == "finished"


async def test_an_old_unfinished_call_is_left_to_a_person(ledger: AnyLedger, clock: Clock) -> None:
    """After `resend_within` the server may have dropped the key: nothing is sent again."""
    async with (
        RawServer(reset, http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger, retry=None) as pay,
    ):
        with pytest.raises(ConnectionFailedError):
            await invoice(pay, idempotency_key="order-7")
        clock.ahead = 86_400 + 60
        with pytest.raises(OutcomeUnknownError, match="first sent on") as caught:
            await invoice(pay, idempotency_key="order-7")
        assert (caught.value.sent, caught.value.idempotency_key) == ("unknown", "order-7")
        assert len(server.requests) == 1
        ledger.forget("invoices.create", "order-7")
        await invoice(pay, idempotency_key="order-7")
    assert len(server.requests) == 2


async def test_sending_again_does_not_reset_the_age(ledger: AnyLedger, clock: Clock) -> None:
    """The age counts from the first time."""
    async with (
        RawServer(reset) as server,
        client(server.url, idempotency=ledger, retry=None) as pay,
    ):
        for clock.ahead in (0, 80_000):
            with pytest.raises(ConnectionFailedError):
                await invoice(pay, idempotency_key="order-7")
        clock.ahead = 90_000
        with pytest.raises(OutcomeUnknownError):
            await invoice(pay, idempotency_key="order-7")


async def test_resend_within_can_be_set(clock: Clock) -> None:
    """`resend_within` is in seconds; with 0 an unfinished call is never sent again."""
    ledger = MemoryLedger(resend_within=0)
    async with (
        RawServer(reset) as server,
        client(server.url, idempotency=ledger, retry=None) as pay,
    ):
        with pytest.raises(ConnectionFailedError):
            await invoice(pay, idempotency_key="order-7")
        clock.ahead = 0.1
        with pytest.raises(OutcomeUnknownError):
            await invoice(pay, idempotency_key="order-7")


@pytest.mark.parametrize("changes", [{}, {"description": "mended"}])
async def test_a_refused_call_begins_anew(ledger: AnyLedger, changes: dict[str, Any]) -> None:
    """A clean refusal did nothing: the key may be used again, also with other arguments."""
    refusal = http_response(error_body("VALIDATION_ERROR"), status=400)
    async with (
        RawServer(refusal, http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        with pytest.raises(BadRequestError):
            await invoice(pay, idempotency_key="order-7")
        assert only(ledger).state == "refused"
        await invoice(pay, idempotency_key="order-7", **changes)
    assert only(ledger).state == "finished"
    assert len(server.requests) == 2


async def test_a_refusal_after_a_lost_attempt_leaves_the_entry_unfinished(
    ledger: AnyLedger,
) -> None:
    """An earlier attempt may have been received, so a later refusal does not settle the request."""
    refused = http_response(error_body("UNAUTHORIZED"), status=401)
    async with RawServer(reset, refused) as server, client(server.url, idempotency=ledger) as pay:
        for _ in range(2):  # the second time with the entry in the ledger
            with pytest.raises(AuthenticationError):
                await invoice(pay, idempotency_key="order-7")
            assert only(ledger).state == "unfinished"
            with pytest.raises(IdempotencyKeyMismatchError):
                await invoice(pay, idempotency_key="order-7", description="another")


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 503])
async def test_a_transient_failure_leaves_the_entry_unfinished(
    ledger: AnyLedger, status: int
) -> None:
    """Failures of the server, and conflicts with an earlier request, settle nothing."""
    async with (
        RawServer(http_response(error_body("SOME_CODE"), status=status)) as server,
        client(server.url, idempotency=ledger, retry=None) as pay,
    ):
        with pytest.raises(Exception, match=str(status)):
            await invoice(pay, idempotency_key="order-7")
    assert only(ledger).state == "unfinished"


async def test_an_error_in_a_200_settles_nothing(ledger: AnyLedger) -> None:
    """A response of status 200 that holds an error is not recorded as a result."""
    async with (
        RawServer(http_response(error_body("INTERNAL"))) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        with pytest.raises(Exception, match="INTERNAL"):
            await invoice(pay, idempotency_key="order-7")
    assert only(ledger).state == "unfinished"


async def test_a_success_that_cannot_be_decoded_is_finished(ledger: AnyLedger) -> None:
    """The raw response is kept, nothing is sent again, and a repeat raises the same error."""
    strange = {**INVOICE, "amount": {**INVOICE["amount"], "raw": 1.5}}
    async with (
        RawServer(http_response(strange)) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        errors = []
        for _ in range(2):
            with pytest.raises(DecodeError) as caught:
                await invoice(pay, idempotency_key="order-7")
            errors.append((caught.value.path, caught.value.data, caught.value.sent))
    assert errors[0] == errors[1] == ("$.amount.raw", strange, "yes")
    assert len(server.requests) == 1
    assert only(ledger).state == "finished"


async def test_operations_that_create_keys_are_never_recorded(ledger: AnyLedger) -> None:
    """Responses of API-key operations hold secrets: no ledger has them, also through `request`."""
    async with (
        RawServer(http_response(CREATED_KEY)) as server,
        client(
            server.url, dashboard=DashboardSession({"X-Session": "s"}), idempotency=ledger
        ) as pay,
    ):
        await pay.api_keys.create("server")
        for path in ("api-keys", "payout-api-keys", "api%2Dkeys"):
            await pay.request(
                "POST",
                f"/api/v1/businesses/biz_123/{path}",
                body={},
                auth="dashboard",
                idempotency_key=f"key-of-{path}",
            )
    assert len(server.requests) == 4
    assert list(ledger.entries()) == []


async def test_reads_are_not_recorded(ledger: AnyLedger) -> None:
    """A ledger has mutations only."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        await pay.invoices.get("inv_1")
        await pay.invoices.get("inv_1")
    assert len(server.requests) == 2
    assert list(ledger.entries()) == []


async def test_a_plain_request_with_a_key_is_recorded(ledger: AnyLedger) -> None:
    """A withdrawal through `request` is done once as well."""
    async with (
        RawServer(http_response({"id": "wd_1"})) as server,
        client(server.url, payout_key="pk_out", idempotency=ledger) as pay,
    ):
        for _ in range(2):
            done = await pay.request(
                "POST",
                "/api/v1/withdrawals",
                body={"amount": "1"},
                auth="payout_key",
                idempotency_key="payout-1",
            )
            assert done == {"id": "wd_1"}
    assert len(server.requests) == 1


async def test_a_generated_key_is_recorded_too(ledger: AnyLedger) -> None:
    """Each call without a key of the caller's is a new one, with an entry of its own."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        results = [await invoice(pay) for _ in range(2)]
    assert {entry.key for entry in ledger.entries()} == {
        info(result).idempotency_key for result in results
    }
    assert len(server.requests) == 2


@pytest.mark.async_only("cancels a task")
async def test_a_call_that_is_cancelled_stays_unfinished(ledger: AnyLedger) -> None:
    """The outcome of a cancelled call is unknown to its caller and to the ledger."""
    received = asyncio.Event()

    async def never(*_: Any) -> None:
        received.set()
        await asyncio.Event().wait()

    async with RawServer(never) as server, client(server.url, idempotency=ledger) as pay:
        call: asyncio.Task[Any] = asyncio.create_task(invoice(pay, idempotency_key="order-7"))
        await received.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert only(ledger).state == "unfinished"


# --- ledgers that fail ---


class Failing(MemoryLedger):
    """A ledger that fails on demand."""

    def __init__(self, *, begin: bool = False, finish: bool = False) -> None:
        super().__init__()
        self.fails = {"begin": begin, "finish": finish}

    async def begin(self, intent: Intent) -> Entry | None:
        if self.fails["begin"]:
            raise LedgerError("the disk is full")
        return await super().begin(intent)

    async def finish(self, intent: Intent, answer: Answer) -> None:
        if self.fails["finish"]:
            raise LedgerError("the disk is full")
        await super().finish(intent, answer)


async def test_an_intent_that_cannot_be_recorded_is_not_sent() -> None:
    """`LedgerError` is raised before anything is sent, with the key and the operation."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, idempotency=Failing(begin=True)) as pay,
    ):
        with pytest.raises(LedgerError, match="disk is full") as caught:
            await invoice(pay, idempotency_key="order-7")
    assert (caught.value.sent, caught.value.idempotency_key, caught.value.operation) == (
        "no",
        "order-7",
        "invoices.create",
    )
    assert not server.requests


async def test_an_outcome_that_cannot_be_recorded_is_returned_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The result is returned, the log has a warning, and the entry stays unfinished."""
    ledger = Failing(finish=True)
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        with caplog.at_level(logging.WARNING, "paychainhq"):
            assert (await invoice(pay, idempotency_key="order-7")).id == INVOICE["id"]
        assert only(ledger).state == "unfinished"
        assert "order-7" in caplog.text
        assert "disk is full" in caplog.text
        ledger.fails["finish"] = False
        await invoice(pay, idempotency_key="order-7")
    assert only(ledger).state == "finished"
    assert len(server.requests) == 2


@pytest.mark.parametrize("thing", ["jobs.db", 5, object()])
async def test_an_object_that_is_no_ledger_is_refused(thing: Any) -> None:
    """A path is no ledger; the error names the class that takes one."""
    with pytest.raises(ConfigurationError, match="SQLiteLedger"):
        client("http://127.0.0.1:1", idempotency=thing)


async def test_a_key_belongs_to_its_server(ledger: AnyLedger) -> None:
    """A ledger of the sandbox has no results for the live server."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        await invoice(pay, idempotency_key="order-7")
        async with client("https://sandbox.example", idempotency=ledger, retry=None) as elsewhere:
            with pytest.raises(IdempotencyKeyMismatchError):
                await invoice(elsewhere, idempotency_key="order-7")
    async with (
        RawServer(http_response(INVOICE)) as restarted,
        client(restarted.url, idempotency=ledger) as pay,
    ):
        await invoice(pay, idempotency_key="order-7")  # local ports identify no server
    assert not restarted.requests


# --- jobs ---

PATIENT = attrs.evolve(QUICK, attempt_timeout=20)  # a slow machine must not cause a second request


def orders(count: int, **more: Any) -> list[InvoiceRequest]:
    return [
        InvoiceRequest(
            amount="5",
            token="USDC",
            chain="eth",
            network_id="base-mainnet",
            reference=f"order-{n}",
            **more,
        )
        for n in range(count)
    ]


def shop(emulator: Emulator, **settings: Any) -> PayChainHQ:
    return PayChainHQ(
        api_key=API_KEY, business_id=BUSINESS_ID, base_url=emulator.url, retry=PATIENT, **settings
    )


async def test_a_job_that_runs_again_sends_nothing_again(
    paychain_emulator: Emulator, ledger: AnyLedger
) -> None:
    """The second run yields the same outcomes from the ledger, without one request."""
    async with shop(paychain_emulator) as pay:
        first = {
            reference(o): o.result
            async for o in pay.invoices.create_many(orders(50), ledger=ledger)
        }
        sent = len(paychain_emulator.requests)
        second = {
            reference(o): o.result
            async for o in pay.invoices.create_many(orders(50), ledger=ledger)
        }
    assert second == first
    assert (len(first), sent, len(paychain_emulator.requests)) == (50, 50, 50)
    key = key_for_reference("invoices.create", BUSINESS_ID, "order-0")
    assert key in {entry.key for entry in ledger.entries("finished")}


async def test_a_job_uses_the_clients_ledger(
    paychain_emulator: Emulator, ledger: AnyLedger
) -> None:
    """A job without a ledger of its own uses the client's, also for customers."""
    async with shop(paychain_emulator, idempotency=ledger) as pay:
        async for outcome in pay.invoices.create_many(orders(3)):
            assert outcome.ok
        async for made in pay.customers.create_many([{"external_ref": "c-1", "reference": "c-1"}]):
            assert made.ok
    assert len(list(ledger.entries("finished"))) == 4


async def test_the_same_reference_with_other_arguments_is_an_outcome(
    paychain_emulator: Emulator, ledger: AnyLedger
) -> None:
    """The same body has the same invoice; another body is an error, and nothing is sent for it."""
    twice = [*orders(1), *orders(1), *orders(1, description="another")]
    async with shop(paychain_emulator) as pay:
        outcomes = [
            outcome
            async for outcome in pay.invoices.create_many(twice, ledger=ledger, concurrency=1)
        ]
    assert outcomes[0].result == outcomes[1].result
    assert isinstance(outcomes[2].error, IdempotencyKeyMismatchError)
    assert len(paychain_emulator.requests) == 1


async def test_an_unknown_outcome_is_an_error_of_its_request(
    paychain_emulator: Emulator, ledger: AnyLedger, clock: Clock
) -> None:
    """A job goes on past a request whose outcome is unknown."""
    key = key_for_reference("invoices.create", BUSINESS_ID, "order-1")
    async with shop(paychain_emulator) as pay:
        async with shop(paychain_emulator, idempotency=ledger) as recording:
            paychain_emulator.fault("invoices.create", "drop")
            with pytest.raises(ConnectionFailedError):
                await recording.with_options(retry=None).invoices.create(
                    "5", "USDC", "eth", "base-mainnet", idempotency_key=key
                )
        clock.ahead = 2 * 86_400
        outcomes = {
            reference(o): o async for o in pay.invoices.create_many(orders(3), ledger=ledger)
        }
    assert [type(outcomes[f"order-{n}"].error) for n in range(3)] == [
        type(None),
        OutcomeUnknownError,
        type(None),
    ]


async def test_a_ledger_that_cannot_be_written_ends_the_job(paychain_emulator: Emulator) -> None:
    """Requests in progress are finished, no other one starts, and the error is raised."""
    ledger = Failing()
    done = 0
    async with shop(paychain_emulator) as pay:
        with pytest.raises(LedgerError):
            async for outcome in pay.invoices.create_many(
                orders(200), ledger=ledger, concurrency=4
            ):
                assert outcome.ok
                done += 1
                ledger.fails["begin"] = done >= 10
    assert 10 <= done < 200
    assert len(list(ledger.entries("finished"))) == len(paychain_emulator.requests)


async def test_a_job_that_gives_up_leaves_its_requests_unfinished(ledger: AnyLedger) -> None:
    """Requests without a definite response are sent again by the next run."""
    async with (
        RawServer(
            http_response(error_body("RATE_LIMITED"), status=429, headers={"Retry-After": "0"})
        ) as server,
        client(server.url, retry=None) as pay,
    ):
        requests = orders(3)
        outcomes = [
            o async for o in pay.invoices.create_many(requests, ledger=ledger, give_up_after=0)
        ]
    assert all(isinstance(outcome.error, RateLimitError) for outcome in outcomes)
    assert {entry.state for entry in ledger.entries()} == {"unfinished"}
