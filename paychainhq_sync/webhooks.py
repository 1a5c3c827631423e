"""Webhooks without async and await: the same events, and a receiver with plain handlers."""

from __future__ import annotations

from paychainhq.webhooks import Event, EventData, EventName, parse, sign
from paychainhq.webhooks.api_receiver import APIReceiver
from paychainhq_sync._receiver import BlockingReceiver

__all__ = ["Event", "EventData", "EventName", "Receiver", "parse", "sign"]


class Receiver(APIReceiver, BlockingReceiver[Event]):
    """Receiver of webhooks: 400 for an unverified one, 2xx for a handled one, otherwise 5xx.

    An event with a handler is claimed in the ledger, handled, recorded as done, and only then
    acknowledged. So each event is handled at least once, and exactly once unless a process dies in
    a handler. Several processes may share the ledger. The response to an event that another
    process is handling is 503: the API repeats it.

    A handler is a plain function. It must commit its work before it returns.

    Args:
        secrets: The webhook secret, or several during a rotation.
        ledger: The storage of claims: an `SQLiteLedger`, which processes may share and which
            survives them, a `PostgresLedger`, which hosts may share, or a `MemoryLedger`.
        bearer: The bearer token of the webhooks, if you have set one.
        max_age: The largest accepted difference between the unsigned timestamp and now, in seconds
            (see `parse`).
        lease: Seconds until the claim of a dead process ends; more than the 25 s of a handler. A
            thread cannot be interrupted, so a handler that takes longer than the lease may run
            twice at the same time.
        name: The name of this receiver, part of its claims: on one ledger, receivers with different
            names each handle an event, and receivers with the same name share the events.
        telemetry: The telemetry; by default the one that is installed, or none.

    Raises:
        ConfigurationError: A setting is invalid.

    Source: reference/webhooks-events.
    """
