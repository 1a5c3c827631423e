"""Spans and metrics of webhooks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

import paychainhq_sync.webhooks
from paychainhq.ledger import MemoryLedger
from paychainhq.telemetry import Telemetry
from paychainhq.webhooks import Event, Receiver
from tests.otel.recorded import Recorded, facts, failed, is_child
from tests.support import faces
from tests.webhooks.samples import SECRET, signed, webhook

pytestmark = pytest.mark.usefixtures("face")


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


async def deliver(
    recorded: Recorded,
    telemetry: Telemetry | None,
    *deliveries: tuple[bytes, dict[str, str]],
) -> list[int]:
    """Deliver webhooks to a receiver of the current face, whose handler opens a span."""
    is_async = faces.current == "async"
    kind: Any = Receiver if is_async else paychainhq_sync.webhooks.Receiver
    receiver = kind(secrets=SECRET, ledger=MemoryLedger(), telemetry=telemetry)

    def handle(event: Event) -> None:
        with recorded.tracers.get_tracer("test").start_as_current_span("handler"):
            if event.id == "evt_bad":
                raise ZeroDivisionError

    async def handle_async(event: Event) -> None:
        handle(event)

    receiver.on("invoice.paid")(handle_async if is_async else handle)
    return [
        await receiver.receive(body, headers)
        if is_async
        else await asyncio.to_thread(receiver.receive, body, headers)
        for body, headers in deliveries
    ]


async def test_a_webhook_is_handled(recorded: Recorded) -> None:
    """A delivery is a CONSUMER span with the handler's spans; a repeat is a duplicate."""
    body = webhook("evt_1")
    assert await deliver(recorded, recorded.telemetry, *[(body, signed(body))] * 2) == [200, 200]
    first, handler, second = recorded.spans
    assert (first.name, first.kind) == ("webhook handle", SpanKind.CONSUMER)
    assert is_child(handler, first)
    assert facts(first) == {
        "paychainhq.webhook.event": "invoice.paid",
        "paychainhq.webhook.outcome": "done",
    }
    assert facts(second)["paychainhq.webhook.outcome"] == "duplicate"
    assert not failed(first)
    metrics = recorded.metrics()
    assert sorted(
        point["paychainhq.webhook.outcome"] for point, _ in metrics["paychainhq.webhook.events"]
    ) == ["done", "duplicate"]
    assert [count for _, count in metrics["paychainhq.webhook.handle.duration"]] == [1]


async def test_webhooks_that_are_not_handled(recorded: Recorded) -> None:
    """A failed handler is an error; a webhook without a handler, or a forged one, is none."""
    bad, other, forged = webhook("evt_bad"), webhook("evt_2", "invoice.expired"), webhook("evt_3")
    assert await deliver(
        recorded, recorded.telemetry, (bad, signed(bad)), (other, signed(other)), (forged, {})
    ) == [500, 200, 400]
    spans = recorded.named("webhook handle")
    assert [facts(span)["paychainhq.webhook.outcome"] for span in spans] == [
        "failed",
        "ignored",
        "refused",
    ]
    assert facts(spans[0])["error.type"] == "ZeroDivisionError"
    assert [failed(span) for span in spans] == [True, False, True]
    assert "paychainhq.webhook.event" not in facts(spans[2])
