"""Hooks of telemetry: calls, attempts, jobs, rounds of a watch, and webhooks.

Pass an object of a subclass of `Telemetry` to a client or a receiver (`telemetry=`), or to
`install`. It receives facts as plain data: no credential, header, body or query.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

import attrs

from paychainhq._attempts import Attempt, Sent
from paychainhq._core.statistics import Statistics
from paychainhq.errors import ConfigurationError

__all__ = [
    "AttemptEnd",
    "AttemptObserver",
    "CallEnd",
    "CallObserver",
    "DeliveryEnd",
    "Endpoint",
    "JobEnd",
    "Observer",
    "Outcome",
    "RoundEnd",
    "Telemetry",
    "install",
]

log = logging.getLogger("paychainhq")

P = ParamSpec("P")
T = TypeVar("T")
E_contra = TypeVar("E_contra", contravariant=True)

Outcome = Literal["done", "duplicate", "ignored", "refused", "failed", "held"]
"""Outcome of a webhook; `"ignored"` has no handler, `"held"` is another process's for now."""


@attrs.frozen
class Endpoint:
    """Operation of a client, one object for all its calls.

    Attributes:
        operation: The operation's name, such as `"invoices.create"`; `"request"` for `pay.request`.
        method: The HTTP method.
        template: The path with `{placeholders}` for ids; None for `pay.request`.
        origin: The server: scheme, host, and port unless it is the scheme's own.
    """

    operation: str
    method: str
    template: str | None
    origin: str


@attrs.frozen
class AttemptEnd:
    """End of an attempt.

    Attributes:
        attempt: The attempt.
        error: The name of the error's class; None with a response, and for a cancelled attempt.
        cancelled: Whether the task was cancelled, but not by the deadline of the call.
        request_id: The server's id of the request, or None.
    """

    attempt: Attempt
    error: str | None
    cancelled: bool
    request_id: str | None


@attrs.frozen
class CallEnd:
    """End of a call.

    Attributes:
        elapsed: The duration in seconds, all attempts and waits included.
        status: The HTTP status of the error or of the last attempt, or None.
        error: The name of the error's class, or None.
        cancelled: Whether the caller cancelled it, which is no error.
        attempts: The attempts, oldest first.
        sent: Whether the request was sent.
        waited: The seconds of waits of the whole call, by reason.
        replayed: Whether a ledger had the response, so that no attempt was made.
        idempotency_key: The idempotency key, or None.
    """

    elapsed: float
    status: int | None
    error: str | None
    cancelled: bool
    attempts: tuple[Attempt, ...]
    sent: Sent
    waited: Mapping[str, float]
    replayed: bool
    idempotency_key: str | None


@attrs.frozen
class JobEnd:
    """End of a job.

    Attributes:
        elapsed: The duration in seconds.
        ok: The number of results.
        failed: The number of errors.
        error: The name of the class of the error that ended it, or None.
        cancelled: Whether it was closed or cancelled before its end.
    """

    elapsed: float
    ok: int
    failed: int
    error: str | None
    cancelled: bool


@attrs.frozen
class RoundEnd:
    """End of a round of a watch.

    Attributes:
        elapsed: The duration in seconds.
        watched: The number of invoices at its start.
        changes: The number of changes.
        behind: The seconds by which its most overdue invoice was late at the start.
        lags: The seconds between the two reads around each change, its greatest possible age: no
            document gives the time of a change. The first status of an invoice has none.
        error: The name of the class of the error that ended the watch, or None.
        cancelled: Whether the watch was closed or cancelled during the round.
    """

    elapsed: float
    watched: int
    changes: int
    behind: float
    lags: tuple[float, ...]
    error: str | None
    cancelled: bool


@attrs.frozen
class DeliveryEnd:
    """End of the delivery of a webhook.

    Attributes:
        elapsed: The duration in seconds.
        event: The name of the event, or None if the webhook was not verified or not decoded.
        outcome: The outcome.
        status: The HTTP status of the response.
        handled: The seconds of the handler, or None if it did not run.
        error: The name of the error's class, or None.
        cancelled: Whether the delivery was cancelled; its status is then not sent.
    """

    elapsed: float
    event: str | None
    outcome: Outcome
    status: int
    handled: float | None
    error: str | None
    cancelled: bool


class Observer(Protocol[E_contra]):
    """Observer of something that has begun."""

    def end(self, end: E_contra, /) -> None: ...


class AttemptObserver(Observer[AttemptEnd], Protocol):
    """Observer of one attempt.

    Attributes:
        headers: Headers to add to the request of this attempt, such as `traceparent`.
    """

    @property
    def headers(self) -> Mapping[str, str]: ...


class CallObserver(Observer[CallEnd], Protocol):
    """Observer of one call."""

    def attempt(self, number: int, path: str, /) -> AttemptObserver | None:
        """Begin an attempt.

        Args:
            number: Its number, from 1.
            path: The path of the request, without its query.
        """
        ...


class Telemetry:
    """Base of telemetry; each method begins an observation, or returns None for none.

    The methods run in the event loop or the thread of what they observe, and must not wait. An
    exception of a method is logged, and changes no call.
    """

    def client(self, origin: str, statistics: Callable[[], Statistics | None], /) -> None:
        """Notice a new client.

        Args:
            origin: The server, as in `Endpoint`.
            statistics: Returns the statistics of the client, in any thread; None once the client is
                closed.
        """

    def call(self, endpoint: Endpoint, /) -> CallObserver | None:
        """Begin a call, in its task, before its arguments are checked."""

    def job(self, name: str, /) -> Observer[JobEnd] | None:
        """Begin a job, such as `"invoices.create_many"`.

        It runs in a copy of the context, in which the calls of the job run; its end does not.
        """

    def round(self, name: str, /) -> Observer[RoundEnd] | None:
        """Begin a round of `"invoices.watch"`, in a context as that of `job`."""

    def delivery(self) -> Observer[DeliveryEnd] | None:
        """Begin the delivery of a webhook, before its verification, in its task or thread."""


class _Installed:
    telemetry: Telemetry | None = None


def install(telemetry: Telemetry | None) -> Telemetry | None:
    """Set the telemetry of all clients and receivers that are made later without their own.

    Returns:
        The one before, or None.
    """
    checked(telemetry)
    before, _Installed.telemetry = _Installed.telemetry, telemetry
    return before


def checked(telemetry: Telemetry | None) -> Telemetry | None:
    """Return the telemetry of a new client or receiver; None stands for the installed one."""
    if telemetry is None:
        return _Installed.telemetry
    if not isinstance(telemetry, Telemetry):
        raise ConfigurationError(
            "telemetry must be of a subclass of paychainhq.telemetry.Telemetry, such as "
            f"paychainhq.otel.OpenTelemetry, not {type(telemetry).__name__}"
        )
    return telemetry


def guarded(hook: Callable[P, T], *facts: P.args, **more: P.kwargs) -> T | None:
    """Call a hook; its exception is logged, and the result is None."""
    try:
        return hook(*facts, **more)
    except Exception:
        about = {"hook": getattr(hook, "__qualname__", None)}
        log.warning("the telemetry failed", exc_info=True, extra={"paychainhq": about})
        return None


def failure(error: BaseException | None) -> dict[str, Any]:
    """Return the facts `error` and `cancelled` of an end."""
    cancelled = isinstance(error, (CancelledError, GeneratorExit))
    name = None if error is None or cancelled else type(error).__name__
    return {"error": name, "cancelled": cancelled}
