"""Async receiver of the API's webhooks."""

from __future__ import annotations

from paychainhq.models.webhooks import Event
from paychainhq.webhooks.api_receiver import APIReceiver
from paychainhq.webhooks.async_receiver import AsyncReceiver


class Receiver(APIReceiver, AsyncReceiver[Event]):
    """Receiver of webhooks: 400 for an unverified one, 2xx for a handled one, otherwise 5xx.

    An event with a handler is claimed in the ledger, handled, recorded as done, and only then
    acknowledged. So each event is handled at least once, and exactly once unless a process dies in
    a handler. Several processes may share the ledger. The response to an event that another
    process is handling is 503: the API repeats it.

    A handler is an `async def`, or a plain function, which runs in a thread; there,
    `anyio.from_thread.run(event.fetch, pay)` awaits. A cancelled delivery cancels an `async def`,
    and waits for a plain function. A handler must commit its work before it returns.

    Args:
        secrets: The webhook secret, or several during a rotation.
        ledger: The storage of claims: an `SQLiteLedger`, which processes may share and which
            survives them, a `PostgresLedger`, which hosts may share, or a `MemoryLedger`.
        bearer: The bearer token of the webhooks, if you have set one.
        max_age: The largest accepted difference between the unsigned timestamp and now, in seconds
            (see `parse`).
        lease: Seconds until the claim of a dead process ends; more than the 25 s of a handler.
        name: The name of this receiver, part of its claims: on one ledger, receivers with different
            names each handle an event, and receivers with the same name share the events.
        telemetry: The telemetry; by default the one that is installed, or none.

    Raises:
        ConfigurationError: A setting is invalid.

    Source: reference/webhooks-events.
    """
