"""Async receiver of the gateway's webhooks."""

from __future__ import annotations

from paychainhq.gateway.webhooks.events import Event
from paychainhq.gateway.webhooks.gateway_receiver import GatewayReceiver
from paychainhq.webhooks.async_receiver import AsyncReceiver


class Receiver(GatewayReceiver, AsyncReceiver[Event]):
    """Receiver of the gateway's webhooks: 400 if unverified, 2xx if handled, otherwise 5xx.

    Handlers belong to statuses of the payment, and each status of a payment is handled at least
    once, and exactly once unless a process dies in a handler: it is claimed in the ledger, handled,
    recorded as done, and only then acknowledged. The signature does not cover the event's name, so
    a name selects no handler, and a status under another name is not handled again.

    A webhook may be late: a handler receives the payment as of its event, which may be followed by
    other statuses already, in any order. Read the payment with `event.fetch` before you act on it.
    A status that a payment has twice, such as `UNDERPAID` after a part of the rest, is handled
    once. The response to a status that another delivery is handling is 503: the gateway repeats it.

    A handler is an `async def`, or a plain function, which runs in a thread; there,
    `anyio.from_thread.run(event.fetch, gateway)` awaits. It has 7 s, since the gateway waits 10 s:
    start longer work elsewhere. A handler must commit its work before it returns.

    Args:
        secrets: The application's webhook secret, or several during its rotation.
        ledger: The storage of claims: an `SQLiteLedger`, which processes may share and which
            survives them, or a `MemoryLedger`. It may be that of other receivers too.
        max_age: Refuse a timestamp that differs from now by more than this number of seconds,
            either way (see `parse`).
        lease: Seconds until the claim of a dead process ends; more than the 7 s of a handler.
        name: The name of this receiver, part of its claims: on one ledger, receivers with different
            names each handle a status, and receivers with the same name share them.
        telemetry: The telemetry; by default the one that is installed, or none.

    Raises:
        ConfigurationError: A setting is invalid.

    Source: the gateway's pages on webhook events, webhook security and webhook retries.
    """
