"""Receivers of the gateway's webhooks, in both faces: handled by signed status, each one once."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import paychainhq.webhooks
import paychainhq_sync.gateway.webhooks
import paychainhq_sync.webhooks
from paychainhq import ConfigurationError, InvalidArgumentError
from paychainhq._core import words
from paychainhq.gateway import EventName, PaymentStatus, webhooks
from paychainhq.gateway.webhooks import Event, Receiver
from paychainhq.ledger import MemoryLedger, SQLiteLedger
from paychainhq.webhooks.async_receiver import AsyncReceiver
from paychainhq.webhooks.base import BaseReceiver
from paychainhq_sync._receiver import BlockingReceiver
from tests.gateway.samples import BY_NAME, NOTICE, PAYMENT_ID, client
from tests.support import faces
from tests.support.raw_server import RawServer, http_response
from tests.webhooks.samples import signed as signed_by_the_api
from tests.webhooks.samples import webhook as webhook_of_the_api

pytestmark = pytest.mark.usefixtures("face")

SECRET = "test_webhook_secret"


def body_of(status: str = "RECEIVED", payment_id: str = "p_1") -> bytes:
    return json.dumps({"payment": {**NOTICE, "id": payment_id, "status": status}}).encode()


def signed(body: bytes, event: str = "payment.completed", **more: Any) -> dict[str, str]:
    return webhooks.sign(body, **{"secret": SECRET, "event": event, **more})


def receiver_class() -> Any:
    return Receiver if faces.current == "async" else paychainhq_sync.gateway.webhooks.Receiver


class Backend:
    """Receiver of the current face with a handler for each given status, and what they handled."""

    def __init__(self, *statuses: str, **settings: Any) -> None:
        self.ledger = settings.pop("ledger", None) or MemoryLedger()
        self.seen: list[tuple[str, str]] = []
        self.failures: list[BaseException] = []
        self.within: Callable[[], None] = lambda: None
        self.receiver = receiver_class()(**{"secrets": SECRET, "ledger": self.ledger, **settings})
        handler: Any = self._async_handler if faces.current == "async" else self._handler
        for status in statuses or ("RECEIVED",):
            self.receiver.on(status)(handler)

    def _handler(self, event: Event) -> None:
        self.seen.append((event.payment.id, event.payment.status))
        self.within()
        if self.failures:
            raise self.failures.pop(0)

    async def _async_handler(self, event: Event) -> None:
        self._handler(event)

    async def receive(
        self, body: bytes, headers: Any = None, event: str = "payment.completed"
    ) -> int:
        headers = signed(body, event) if headers is None else headers
        if faces.current == "async":
            return int(await self.receiver.receive(body, headers))
        return int(await asyncio.to_thread(self.receiver.receive, body, headers))


# --- one handler, once ---


async def test_a_status_is_handled_once_whatever_the_event_is_called() -> None:
    """`payment.received`, `payment.completed` and forged names are one status of one payment."""
    backend = Backend()
    for name in [*EventName, "payment.new", "", "x"]:
        headers = {**signed(body_of()), "X-PaymentService-Event": name}
        assert await backend.receive(body_of(), headers) == 200
    assert backend.seen == [("p_1", "RECEIVED")]
    assert await backend.receive(body_of(payment_id="p_2")) == 200
    assert backend.seen == [("p_1", "RECEIVED"), ("p_2", "RECEIVED")]


async def test_a_name_selects_no_handler() -> None:
    """A body that is not paid stays unpaid under the name of a completed payment."""
    backend = Backend("RECEIVED", "UNDERPAID")
    body = body_of("UNDERPAID")
    forged = {**signed(body, "payment.underpaid"), "X-PaymentService-Event": "payment.completed"}
    assert await backend.receive(body, forged) == 200
    assert backend.seen == [("p_1", "UNDERPAID")]


async def test_late_and_older_statuses() -> None:
    """Each status is handled once, in the order of arrival, also after a later one."""
    backend = Backend("RECEIVED", "UNDERPAID", "REFUND")
    order = ["RECEIVED", "REFUND", "UNDERPAID", "RECEIVED", "UNDERPAID"]
    assert [await backend.receive(body_of(status)) for status in order] == [200] * 5
    assert [status for _, status in backend.seen] == ["RECEIVED", "REFUND", "UNDERPAID"]


async def test_a_handler_reads_the_present_state() -> None:
    """`event.payment` is as of the event, and `event.fetch` as of now."""
    read: list[tuple[str, str]] = []
    async with (
        RawServer(http_response(BY_NAME["payments.get"].response)) as server,
        client(server.url) as gateway,
    ):
        receiver = receiver_class()(secrets=SECRET, ledger=MemoryLedger())

        def handler(event: Event) -> None:
            if faces.current == "async":
                now = anyio.from_thread.run(event.fetch, gateway)
            else:
                now = event.fetch(vars(gateway)["_blocking"])
            read.append((event.payment.status, now.status))

        receiver.on("RECEIVED")(handler)
        body = body_of(payment_id=PAYMENT_ID)
        if faces.current == "async":
            assert await receiver.receive(body, signed(body)) == 200
        else:
            assert await asyncio.to_thread(receiver.receive, body, signed(body)) == 200
    assert read == [("RECEIVED", "CONFIRMED")]


async def test_a_status_without_a_handler_is_acknowledged() -> None:
    """No claim is made, so that another receiver may handle it; unknown statuses are no error."""
    backend = Backend("UNDERPAID")
    for status in ("RECEIVED", "DISPUTED"):
        assert await backend.receive(body_of(status)) == 200
    assert backend.seen == []
    other = Backend("DISPUTED", ledger=backend.ledger)
    assert await other.receive(body_of("DISPUTED")) == 200
    assert other.seen == [("p_1", "DISPUTED")]


Deliveries = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["OPEN", "UNDERPAID", "RECEIVED", "REFUND"]),
        st.sampled_from([*EventName, "x"]),
        st.sampled_from([0, 200, 100_000]),
        st.booleans(),
    ),
    max_size=12,
)


@pytest.mark.async_only("the receivers of both faces are in it")
@given(Deliveries)
def test_any_deliveries(deliveries: list[tuple[str, str, str, int, bool]]) -> None:
    """Each verified status with a handler succeeds once, and no other one is handled."""
    done: Counter[tuple[str, str]] = Counter()
    fails = False

    def handler(event: Event) -> None:
        if fails:
            raise ValueError
        done[event.payment.id, event.payment.status] += 1

    ledger = MemoryLedger()
    blocking = paychainhq_sync.gateway.webhooks.Receiver(secrets=SECRET, ledger=ledger)
    awaited = Receiver(secrets=SECRET, ledger=ledger)
    for status in ("UNDERPAID", "RECEIVED", "REFUND"):
        blocking.on(status)(handler)

        @awaited.on(status)
        async def awaited_handler(event: Event) -> None:
            handler(event)

    wanted: set[tuple[str, str]] = set()
    now = time.time()
    for number, (payment_id, status, name, age, fails) in enumerate(deliveries):
        body = body_of(status, payment_id)
        headers = signed(body, name, timestamp=now - age)
        got = (
            asyncio.run(awaited.receive(body, headers))
            if number % 2
            else blocking.receive(body, headers)
        )
        if age > 300:
            assert got == 400
        elif status == "OPEN" or (payment_id, status) in wanted or not fails:
            assert got == 200
            wanted |= {(payment_id, status)} if status != "OPEN" else set()
        else:
            assert got == 500
    assert done == Counter(wanted)


# --- refusals and failures ---


async def test_a_forged_or_old_webhook_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Signature, timestamp and age are checked; the log has the reason, and no handler runs."""
    backend = Backend()
    body = body_of()
    right = signed(body)
    stamp = "X-PaymentService-Timestamp"
    for headers in (
        {},
        {**right, "X-PaymentService-Signature": "0" * 64},
        {**right, stamp: str(int(right[stamp]) + 1)},
        signed(body, secret="another"),
        signed(body, timestamp=time.time() - 400),
        signed(body, timestamp=time.time() + 400),
        signed_by_the_api(body),
    ):
        assert await backend.receive(body, headers) == 400
    assert await backend.receive(body + b" ", right) == 400
    assert caplog.text.count("a webhook was refused") == 8
    assert backend.seen == []
    assert await backend.receive(body, right) == 200


async def test_old_timestamps_and_several_secrets() -> None:
    """A longer `max_age` accepts repeats with their first timestamp; any secret verifies."""
    backend = Backend(secrets=["new", SECRET], max_age=172_800)
    body = body_of()
    assert await backend.receive(body, signed(body, timestamp=time.time() - 150_000)) == 200
    assert await backend.receive(body, signed(body, secret="new")) == 200
    assert backend.seen == [("p_1", "RECEIVED")]


async def test_content_that_cannot_be_decoded(caplog: pytest.LogCaptureFixture) -> None:
    """A verified webhook without a payment gets 500, so that the gateway sends it again."""
    backend = Backend()
    for body in (b"{}", b"[]", b"", b'{"payment": {"id": 5, "status": "RECEIVED"}}'):
        assert await backend.receive(body) == 500
    assert caplog.text.count("could not be decoded") == 4


async def test_a_handler_that_fails_is_run_again(caplog: pytest.LogCaptureFixture) -> None:
    """The claim is released at once, and the log names payment and status."""
    backend = Backend()
    backend.failures = [ValueError("out of stock"), asyncio.CancelledError()]
    assert [await backend.receive(body_of()) for _ in range(4)] == [500, 500, 200, 200]
    assert len(backend.seen) == 3
    assert "RECEIVED: the event payment p_1 RECEIVED was not handled" in caplog.text
    assert "out of stock" in caplog.text


async def test_two_events_of_a_status_at_the_same_time() -> None:
    """The second one gets 503 while the first is being handled, and 200 afterwards."""
    backend = Backend()
    statuses: list[int] = []

    def meanwhile() -> None:
        other = paychainhq_sync.gateway.webhooks.Receiver(secrets=SECRET, ledger=backend.ledger)
        other.on("RECEIVED")(lambda event: statuses.append(0))
        body = body_of()
        thread = threading.Thread(
            target=lambda: statuses.append(other.receive(body, signed(body, "payment.received")))
        )
        thread.start()
        thread.join()

    backend.within = meanwhile
    assert await backend.receive(body_of()) == 200
    assert statuses == [503]
    assert await backend.receive(body_of(), event="payment.received") == 200
    assert len(backend.seen) == 1


@pytest.mark.async_only("no thread can be interrupted")
async def test_a_handler_that_takes_too_long_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The response comes before the gateway's ten seconds are over."""
    assert Receiver._within + Receiver._spare < 10
    monkeypatch.setattr(Receiver, "_within", 2.0)
    receiver = Receiver(secrets=SECRET, ledger=MemoryLedger())
    ended = []

    @receiver.on("RECEIVED")
    async def handler(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(event.payment.id)

    body = body_of()
    assert await receiver.receive(body, signed(body)) == 500
    assert ended == ["p_1"]


# --- claims ---


async def test_one_ledger_of_receivers_of_both_apis(tmp_path: Path) -> None:
    """Claims of other names and of the other API are others, in memory and in a file."""
    with SQLiteLedger(tmp_path / "ledger.db") as file:
        for ledger in (MemoryLedger(), file):
            api: Any = paychainhq.webhooks if faces.current == "async" else paychainhq_sync.webhooks
            of_api = api.Receiver(secrets="whsec_1", ledger=ledger, name="payment")
            events: list[str] = []

            def handle(event: Any, events: list[str] = events) -> None:
                events.append(event.id)

            of_api.on("invoice.paid")(handle)
            backends = [Backend(ledger=ledger, name=name) for name in ("", "mail", "payment")]
            again = Backend(ledger=ledger, name="mail")
            for payment_id in ("p_1", "RECEIVED", '","', "\ud83d"):
                body = body_of(payment_id=payment_id)
                for backend in [*backends, again]:
                    assert await backend.receive(body) == 200
                theirs = webhook_of_the_api(payment_id)
                headers = api.sign(theirs, secret="whsec_1")
                if faces.current == "async":
                    assert await of_api.receive(theirs, headers) == 200
                else:
                    assert await asyncio.to_thread(of_api.receive, theirs, headers) == 200
            assert [len(backend.seen) for backend in backends] == [4, 4, 4]
            assert again.seen == []
            assert len(events) == 4


async def test_claims_outlive_a_process(tmp_path: Path) -> None:
    """A status that was handled stays handled, with another receiver on the same file."""
    for _ in range(2):
        with SQLiteLedger(tmp_path / "ledger.db") as ledger:
            backend = Backend(ledger=ledger)
            assert await backend.receive(body_of()) == 200
    assert backend.seen == []


# --- settings ---


@pytest.fixture
def fresh() -> Iterator[None]:
    """Forget earlier warnings: each is given once in a process."""
    words._warn.cache_clear()
    yield
    words._warn.cache_clear()


async def test_handlers_belong_to_statuses() -> None:
    """The name of an event is refused, with the status to use; other texts are valid."""
    backend = Backend()
    for name in EventName:
        with pytest.raises(InvalidArgumentError, match=r"'RECEIVED'.*not signed") as caught:
            backend.receiver.on(name)
        assert caught.value.argument == "status"
    with pytest.raises(ConfigurationError, match="already has a handler"):
        backend.receiver.on(PaymentStatus.RECEIVED)
    with pytest.raises(ConfigurationError, match="handler must"):
        backend.receiver.on("REFUND")(None)
    backend.receiver.on("REFUND")(lambda event: None)


@pytest.mark.usefixtures("fresh")
async def test_a_misspelt_status() -> None:
    """The warning names the known one."""
    with pytest.warns(UserWarning, match="did you mean 'CANCELLED'"):
        Backend("canceled")


async def test_invalid_settings() -> None:
    """The constructor raises the error."""
    wrong: list[dict[str, Any]] = [
        {"secrets": ""},
        {"secrets": f"{SECRET}\n"},
        {"ledger": object()},
        {"max_age": None},
        {"max_age": 0},
        {"lease": 7.0},
        {"name": None},
    ]
    for settings in wrong:
        with pytest.raises(ConfigurationError):
            Backend(**settings)
    Backend(lease=7.1)
    with pytest.raises(TypeError, match="bearer"):
        Backend(bearer="x")


@pytest.mark.async_only("it makes no client")
def test_the_engine_is_shared() -> None:
    """The receivers of both APIs differ in what an API defines, and in nothing else."""
    own = {"__init__", "on", "_parse", "_topic", "_identity", "_within", "_spare"}
    for one, engine in (
        (Receiver, AsyncReceiver),
        (paychainhq_sync.gateway.webhooks.Receiver, BlockingReceiver),
    ):
        assert issubclass(one, engine)
        engines = {name for cls in (engine, BaseReceiver) for name in vars(cls)} - own
        assert all(
            getattr(one, name) is getattr(engine, name)
            for name in engines
            if not name.startswith("__")
        )
