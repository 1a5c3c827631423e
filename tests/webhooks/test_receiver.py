"""Receivers of both faces: the status of each response, and the number of handler runs."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import paychainhq_sync.webhooks
from paychainhq import ConfigurationError, LedgerError
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq.ledger import MemoryLedger, SQLiteLedger
from paychainhq.webhooks import Event, Receiver, base
from paychainhq.webhooks.api_receiver import APIReceiver
from tests.support import faces
from tests.webhooks.samples import SECRET, signed, webhook

pytestmark = pytest.mark.usefixtures("face")

Received = Callable[..., Awaitable[int]]


class Backend:
    """Receiver of the current face, and the events that its handler has received."""

    def __init__(self, **settings: Any) -> None:
        self.ledger = settings.pop("ledger", None) or MemoryLedger()
        self.seen: list[str] = []
        self.failures: list[BaseException] = []
        self.within: Callable[[], None] = lambda: None
        settings = {"secrets": SECRET, "ledger": self.ledger, **settings}
        self.receiver: Any
        if faces.current == "async":
            self.receiver = Receiver(**settings)
            self.receiver.on("invoice.paid")(self._async_handler)
        else:
            self.receiver = paychainhq_sync.webhooks.Receiver(**settings)
            self.receiver.on("invoice.paid")(self._handler)

    def _handler(self, event: Event) -> None:
        self.seen.append(event.id)
        self.within()
        if self.failures:
            raise self.failures.pop(0)

    async def _async_handler(self, event: Event) -> None:
        self._handler(event)

    async def receive(self, body: bytes, headers: dict[str, str] | None = None) -> int:
        headers = signed(body) if headers is None else headers
        if faces.current == "async":
            return int(await self.receiver.receive(body, headers))
        return int(await asyncio.to_thread(self.receiver.receive, body, headers))


async def test_an_event_is_handled_once() -> None:
    """Each delivery of the event is acknowledged."""
    backend = Backend()
    assert [await backend.receive(webhook("evt_1")) for _ in range(3)] == [200, 200, 200]
    assert [await backend.receive(webhook("evt_2"))] == [200]
    assert backend.seen == ["evt_1", "evt_2"]


async def test_a_forged_webhook_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """No handler runs, and the log gives the reason."""
    backend = Backend(bearer="token-9")
    body = webhook("evt_1")
    right = signed(body, bearer="token-9")
    for headers in (
        {},
        {**right, "X-Webhook-Signature": "0" * 64},
        signed(body),
        {**right, "Authorization": "Bearer x"},
    ):
        assert await backend.receive(body, headers) == 400
    assert await backend.receive(body + b" ", right) == 400
    assert backend.seen == []
    assert caplog.text.count("a webhook was refused") == 5
    assert await backend.receive(body, right) == 200


async def test_an_event_without_a_handler_is_acknowledged() -> None:
    """No claim is made, so that another receiver may handle the event."""
    backend = Backend()
    body = webhook("evt_1", "withdrawal.blocked", withdrawalId="w")
    assert await backend.receive(body) == 200
    assert backend.ledger.claims.claim("evt_1", "somebody", 10) == "claimed"
    assert backend.seen == []


async def test_an_event_that_cannot_be_decoded_is_not_acknowledged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A proven event gets 500 instead of 400, so that the API delivers it again."""
    backend = Backend()
    assert await backend.receive(b'{"event": "invoice.paid"}') == 500
    assert "could not be decoded" in caplog.text


async def test_a_handler_that_fails_is_run_again(caplog: pytest.LogCaptureFixture) -> None:
    """The claim is released at once: the next delivery need not wait for the lease."""
    backend = Backend()
    backend.failures = [ValueError("out of stock"), KeyError("order")]
    assert [await backend.receive(webhook("evt_1")) for _ in range(4)] == [500, 500, 200, 200]
    assert backend.seen == ["evt_1"] * 3
    assert "out of stock" in caplog.text


async def test_an_event_that_another_process_holds_gets_503() -> None:
    """The response is 503 until the event is done or its claim released."""
    backend = Backend()
    claims = backend.ledger.claims
    claims.claim("evt_1", "another process", 100)
    assert await backend.receive(webhook("evt_1")) == 503
    claims.release("evt_1", "another process")
    assert await backend.receive(webhook("evt_1")) == 200
    claims.claim("evt_2", "another process", 100)
    claims.settle("evt_2")
    assert await backend.receive(webhook("evt_2")) == 200
    assert backend.seen == ["evt_1"]


async def test_two_deliveries_at_the_same_time() -> None:
    """The second delivery gets 503 while the first is being handled."""
    backend = Backend()
    statuses: list[int] = []

    def meanwhile() -> None:
        other = paychainhq_sync.webhooks.Receiver(secrets=SECRET, ledger=backend.ledger)
        other.on("invoice.paid")(lambda event: backend.seen.append("twice"))
        thread = threading.Thread(
            target=lambda: statuses.append(
                other.receive(webhook("evt_1"), signed(webhook("evt_1")))
            )
        )
        thread.start()
        thread.join()

    backend.within = meanwhile
    assert await backend.receive(webhook("evt_1")) == 200
    assert statuses == [503]
    assert backend.seen == ["evt_1"]


async def test_the_claim_of_a_process_that_died_expires() -> None:
    """A lease of zero seconds stands for one that has expired."""
    backend = Backend()
    backend.ledger.claims.claim("evt_1", "a process that died", 0.0)
    assert await backend.receive(webhook("evt_1")) == 200
    assert backend.seen == ["evt_1"]


class BrokenClaims:
    """Claims that fail at one step, for ever or a number of times."""

    def __init__(self, step: str, failures: float = math.inf) -> None:
        self.step, self.failures = step, failures
        self.claims = self

    def _do(self, step: str) -> None:
        if step == self.step and self.failures:
            self.failures -= 1
            raise LedgerError("the disk is full")

    def claim(self, name: str, holder: str, lease: float) -> str:
        self._do("claim")
        return "claimed"

    def settle(self, name: str) -> None:
        self._do("settle")

    def release(self, name: str, holder: str) -> None:
        self._do("release")


@pytest.mark.parametrize(("step", "handled"), [("claim", 0), ("settle", 1)])
async def test_a_ledger_that_fails_leaves_the_event_unacknowledged(
    step: str, handled: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that is not recorded as done gets 500; the log says whether its handler ran."""
    backend = Backend(ledger=BrokenClaims(step))
    monkeypatch.setattr(APIReceiver, "_spare", 0.3 - APIReceiver._within)
    assert await backend.receive(webhook("evt_1")) == 500
    assert len(backend.seen) == handled
    assert "the disk is full" in caplog.text
    assert ("has run, which could not be recorded" in caplog.text) == (handled == 1)


@pytest.mark.parametrize("failures", [1, 3])
async def test_a_transient_ledger_failure_is_retried(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is recorded as done by a later attempt of the same delivery."""
    monkeypatch.setattr(base, "_FIRST_PAUSE", 0.01)
    claims = BrokenClaims("settle", failures)
    backend = Backend(ledger=claims)
    assert await backend.receive(webhook("evt_1")) == 200
    assert (backend.seen, claims.failures) == (["evt_1"], 0)


async def test_a_claim_that_cannot_be_released_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The handler's own failure is logged as well."""
    backend = Backend(ledger=BrokenClaims("release"))
    backend.failures = [ValueError("out of stock")]
    assert await backend.receive(webhook("evt_1")) == 500
    assert "stays until its lease ends" in caplog.text
    assert "out of stock" in caplog.text


@pytest.mark.async_only("no thread can be interrupted")
async def test_a_handler_that_takes_too_long_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler is cancelled within the API's limit; the event can be claimed again."""
    monkeypatch.setattr(Receiver, "_within", 2.0)
    ledger = MemoryLedger()
    receiver = Receiver(secrets=SECRET, ledger=ledger)
    ended = []

    @receiver.on("invoice.paid")
    async def handler(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(event.id)

    assert await receiver.receive(webhook("evt_1"), signed(webhook("evt_1"))) == 500
    assert ended == ["evt_1"]
    assert ledger.claims.claim("evt_1", "next", 10) == "claimed"


@pytest.mark.async_only("no thread can be cancelled")
async def test_a_server_that_stops_releases_the_claim() -> None:
    """The cancellation is passed on after the claim is released."""
    ledger = MemoryLedger()
    receiver = Receiver(secrets=SECRET, ledger=ledger)
    began = asyncio.Event()

    @receiver.on("invoice.paid")
    async def handler(event: Event) -> None:
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(receiver.receive(webhook("evt_1"), signed(webhook("evt_1"))))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ledger.claims.claim("evt_1", "next", 10) == "claimed"


async def test_invalid_settings() -> None:
    """The constructor and the registration of a handler raise the error."""
    wrong: list[dict[str, Any]] = [
        {"secrets": ""},
        {"secrets": []},
        {"ledger": object()},
        {"max_age": -1},
    ]
    wrong += [{"lease": lease} for lease in (0, 1, 24.9, 25.0)] + [
        {"name": None},
        {"name": 7},
        {"secrets": "whsec_1\n"},
    ]
    for settings in wrong:
        with pytest.raises(ConfigurationError):
            Backend(**settings)
    Backend(lease=25.1)
    with pytest.raises(ConfigurationError, match="already has a handler"):
        Backend().receiver.on("invoice.paid")


async def test_an_old_timestamp_is_refused_if_max_age_is_set() -> None:
    """The setting is that of `parse`."""
    backend = Backend(max_age=300)
    body = webhook("evt_1")
    assert await backend.receive(body, signed(body, timestamp=1_700_000_000)) == 400
    assert await backend.receive(body, signed(body)) == 200


async def test_webhooks_feed_a_watch(paychain_emulator: Emulator) -> None:
    """A watch with an interval of an hour reads at once the invoice that a webhook names.

    The webhook may arrive in any thread.
    """
    backend = Backend()
    settings: Any = {
        "api_key": API_KEY,
        "business_id": BUSINESS_ID,
        "base_url": paychain_emulator.url,
    }
    async with faces.PayChainHQ(**settings) as pay:
        changes = pay.invoices.watch(
            ["inv_123"], interval=3600, seen=backend.receiver.invoice_ids()
        )
        assert (await anext(changes)).current == "pending"
        paychain_emulator.pay("inv_123")
        paychain_emulator.confirm("inv_123")
        body = webhook("evt_1", invoiceId="inv_123")
        assert [await backend.receive(body) for _ in range(2)] == [200, 200]
        assert [change.current async for change in changes] == ["paid"]


@pytest.mark.async_only("it looks at the feed itself")
async def test_a_slow_watch_gets_each_invoice_once() -> None:
    """An invoice named twice before it was read is read once; other events name none."""
    backend = Backend()
    feed = backend.receiver.invoice_ids()
    for number, data in enumerate(
        [{"invoiceId": "a"}, {"invoiceId": "b"}, {"invoiceId": "a"}, {"withdrawalId": "w"}]
    ):
        assert await backend.receive(webhook(f"evt_{number}", "invoice.seen", **data)) == 200
    assert [await anext(feed), await anext(feed)] == ["a", "b"]
    waiting = asyncio.ensure_future(anext(feed))
    await asyncio.sleep(0)
    await asyncio.to_thread(feed.add, "c")
    assert await waiting == "c"


async def test_refusals_show_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the log nor a repr of the receiver's attributes shows a secret."""
    caplog.set_level(logging.DEBUG)
    backend = Backend(secrets=[SECRET, "old-secret"], bearer="token-9")
    body = webhook("evt_1")
    backend.failures = [ValueError("no")]
    assert await backend.receive(body) == 400
    assert await backend.receive(body, signed(body, bearer="token-9")) == 500
    shown = caplog.text + repr(vars(backend.receiver))
    assert not [secret for secret in (SECRET, "old-secret", "token-9") if secret in shown]


# --- claims ---


async def test_receivers_with_different_names_each_handle_an_event() -> None:
    """Receivers with the same name share an event; names and ids may have any characters."""
    ledger = MemoryLedger()
    named = {
        name: [Backend(ledger=ledger, name=name) for _ in range(2)]
        for name in ("", "mail", "stock", "a,b", '["', "\u00e9")
    }
    events = ["evt_1", "b", '["mail","evt_1"]x', ":evt_1"]
    for event in events:
        for backends in named.values():
            assert [await backend.receive(webhook(event)) for backend in backends] == [200, 200]
    for first, second in named.values():
        assert first.seen == events
        assert second.seen == []


async def test_a_receiver_without_a_name_claims_the_bare_id() -> None:
    """Claims written before receivers had names remain valid."""
    backend = Backend()
    backend.ledger.claims.claim("evt_old", "a process before the update", 100)
    backend.ledger.claims.settle("evt_old")
    assert await backend.receive(webhook("evt_old")) == 200
    assert await backend.receive(webhook("evt_new")) == 200
    assert backend.seen == ["evt_new"]
    assert backend.ledger.claims.claim("evt_new", "a process before the update", 100) == "done"


async def test_an_event_is_recorded_as_done_after_its_lease_was_lost(tmp_path: Path) -> None:
    """The new holder fails afterwards, and its release leaves the event done."""
    with SQLiteLedger(tmp_path / "ledger.db") as file:
        for ledger in (MemoryLedger(), file):
            backend = Backend(ledger=ledger)
            claims: Any = ledger.claims

            def lose(claims: Any = claims) -> None:
                claims.settle("another")  # creates the file if it is missing
                with_no_lease(claims)
                assert claims.claim("evt_1", "another process", 100) == "claimed"

            backend.within = lose
            assert await backend.receive(webhook("evt_1")) == 200
            claims.release("evt_1", "another process")
            backend.within = lambda: None
            assert await backend.receive(webhook("evt_1")) == 200
            assert backend.seen == ["evt_1"]


def with_no_lease(claims: Any) -> None:
    """Let all leases expire now."""
    if hasattr(claims, "_held"):
        claims._held.clear()
    else:
        with claims._file.transaction() as connection:
            connection.execute("DELETE FROM claims WHERE done_at IS NULL")
