"""Hooks of telemetry: calls, attempts, jobs, rounds of a watch, and webhooks.

Pass an object of a subclass of `Telemetry` to a client or a receiver (`telemetry=`), or to
`install`. It receives facts as plain data: no credential, header, body or query.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from paychainhq._core.statistics import Statistics
from paychainhq.errors import ConfigurationError

if TYPE_CHECKING:
    from paychainhq.telemetry.facts import (
        AttemptEnd,
        CallEnd,
        DeliveryEnd,
        Endpoint,
        JobEnd,
        Outcome,
        RoundEnd,
    )

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


class Observer(Protocol[E_contra]):
    """Observer of something that has begun."""

    def end(self, end: E_contra, /) -> None: ...


class AttemptObserver(Observer["AttemptEnd"], Protocol):
    """Observer of one attempt.

    Attributes:
        headers: Headers to add to the request of this attempt, such as `traceparent`.
    """

    @property
    def headers(self) -> Mapping[str, str]: ...


class CallObserver(Observer["CallEnd"], Protocol):
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


def __getattr__(name: str) -> Any:
    """Return a class of facts: these load with the first telemetry, not with each client."""
    if name in __all__:
        return getattr(import_module("paychainhq.telemetry.facts"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
