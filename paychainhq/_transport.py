"""Transport of a client: deadlines, the middleware chain, and the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
import warnings
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from paychainhq._core.credentials import Keyring
from paychainhq._core.event_loop import running_loop
from paychainhq._core.fork import forget_in_child, notice_fork
from paychainhq._core.operation import Operation
from paychainhq._core.policies import RateLimit
from paychainhq._core.statistics import Counters, Statistics
from paychainhq._http.connection import ConnectionSettings
from paychainhq._http.deadlines import Deadlines
from paychainhq._http.messages import Middleware, Next, Request, Response
from paychainhq._http.observation import CallObservation
from paychainhq._http.sender import Sender
from paychainhq.errors import ConfigurationError, ConnectionFailedError, RequestTimeoutError
from paychainhq.ledger.record import CredentialFingerprints, LedgerRecord
from paychainhq.middleware.rate_limit import Limiter
from paychainhq.middleware.retry import Retry, RetryBudget
from paychainhq.shared import SharedRateLimit
from paychainhq.telemetry import Telemetry, checked, guarded

if TYPE_CHECKING:
    from paychainhq.telemetry.facts import Endpoint

T = TypeVar("T")


class _Wiring:
    """Parts of a transport that belong to one event loop: sender, limiter, middleware chain."""

    def __init__(self, transport: Transport) -> None:
        self.process = os.getpid()
        self.loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(self.loop)
        self.sender = Sender(
            transport.connection, transport.credentials, self.deadlines, transport.counters
        )
        shared = transport.shared_limit
        self.leased = None if shared is None else shared.join()
        self.limiter = Limiter(
            transport.rate_limits, transport.connection.max_connections, self.leased
        )
        self.send: Next = self.sender.send
        chain: list[Middleware] = [
            *transport.middleware,
            Retry(transport.budget, transport.counters),
            self.limiter,
            *transport.attempt_middleware,
        ]
        for middleware in reversed(chain):
            self.send = _link(middleware, self.send)
        self.background: set[asyncio.Task[Any]] = set()
        self.closed = False
        self._closing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """End the calls in progress and close the connections; concurrent calls share one close."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(asyncio.current_task()))
        await asyncio.shield(self._closing)

    async def _close(self, closer: asyncio.Task[Any] | None) -> None:
        self.closed = True
        # A call whose middleware closes the client would wait for itself.
        self.deadlines.end_all(but=closer)
        await asyncio.gather(
            *(task for task in self.background if task is not closer), return_exceptions=True
        )
        if self.leased is not None:
            await self.leased.close()
        await self.sender.close()

    def abandon(self) -> None:
        """Close the connections after the end of the event loop."""
        if self.leased is not None:
            self.leased.abandon()
        self.sender.abandon()


def _link(middleware: Middleware, send: Next) -> Next:
    return lambda request: middleware(request, send)


class Transport:
    """Credentials, limits and connections that a client and its views share.

    The connections belong to the event loop of the first call.
    """

    def __init__(
        self,
        connection: ConnectionSettings,
        credentials: Keyring,
        *,
        middleware: Sequence[Middleware],
        attempt_middleware: Sequence[Middleware],
        rate_limit: RateLimit | Sequence[RateLimit] | SharedRateLimit | None,
        telemetry: Telemetry | None,
    ) -> None:
        self.shared_limit = rate_limit if isinstance(rate_limit, SharedRateLimit) else None
        if isinstance(rate_limit, RateLimit):
            limits: Sequence[RateLimit] = (rate_limit,)
        else:
            limits = () if isinstance(rate_limit, SharedRateLimit) else rate_limit or ()
        if not isinstance(limits, Sequence) or not all(
            isinstance(limit, RateLimit) for limit in limits
        ):
            raise ConfigurationError(
                "rate_limit must be a RateLimit, a sequence of them, or a SharedRateLimit"
            )
        self.connection = connection
        self.credentials = credentials
        self.middleware = _checked_middleware("middleware", middleware)
        self.attempt_middleware = _checked_middleware("attempt_middleware", attempt_middleware)
        self.rate_limits = tuple(limits)
        self.budget = RetryBudget()
        self.fingerprints = CredentialFingerprints(credentials)
        self.counters = Counters()
        self.telemetry = checked(telemetry)
        self._endpoints: dict[object, Endpoint] = {}
        self._made_at = _made_at()
        self._wiring: _Wiring | None = None
        self._ending: _Wiring | None = None
        self._closed = False
        forget_in_child(self)
        if self.telemetry is not None:
            guarded(self.telemetry.client, connection.origin, _statistics_of(ref(self)))

    async def send(self, request: Request, record: LedgerRecord | None = None) -> Response:
        """Send a request through the middleware, and record it, within its deadline.

        A request whose response is in the ledger is not sent. A deadline that passes while the
        response is recorded ends only the wait: the ledger may still record it.
        """
        wiring = self._wiring
        if (
            wiring is None
            or wiring.loop is not asyncio.get_running_loop()
            or wiring.process != os.getpid()
        ):
            wiring = await self._wire()
        deadline = wiring.deadlines.at(request.deadline)
        response: Response | None = None
        try:
            with deadline:
                if record is None:
                    return await wiring.send(request)
                if (known := await record.begin(request)) is not None:
                    return known
                response = await wiring.send(request)
                await record.finish(request, response)
                return response
        except TimeoutError:
            if not deadline.ended:  # a middleware's own
                raise
        except asyncio.CancelledError as stray:
            if deadline.task.cancelling():
                raise
            if response is None:
                raise ConnectionFailedError(
                    "the call was cancelled, but not by its caller", **request.facts()
                ) from stray
        finally:
            if request.waits:  # after the last attempt, or without one
                self.counters.add(request.waits)
        if response is not None:
            assert record is not None
            record.warn(request, "the ledger was locked or busy until the deadline of the call")
            return response
        if wiring.closed:
            raise ConnectionFailedError("the client was closed during the call", **request.facts())
        if record is not None:
            raise record.late(request)
        raise RequestTimeoutError(
            "no response arrived within the deadline of the call", **request.facts()
        )

    def observe(self, operation: Operation[Any]) -> CallObservation | None:
        """Begin the observation of a call; None without telemetry."""
        if self.telemetry is None:
            return None
        known = operation.is_documented
        key = operation if known else operation.method
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            name, template = (operation.name, operation.path) if known else ("request", None)
            from paychainhq.telemetry.facts import Endpoint

            endpoint = Endpoint(name, operation.method, template, self.connection.origin)
            self._endpoints[key] = endpoint
        observer = guarded(self.telemetry.call, endpoint)
        return None if observer is None else CallObservation(observer)

    @property
    def closed(self) -> bool:
        return self._closed

    def statistics(self) -> Statistics:
        """Return the statistics of the client, in any thread."""
        wiring = self._wiring
        limiter = None if wiring is None else wiring.limiter
        return self.counters.statistics(
            in_flight=0 if limiter is None else limiter.in_flight,
            waiting=0 if limiter is None else limiter.waiting,
            rates={} if limiter is None else limiter.rates(),
            retry_budgets=self.budget.left(),
        )

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that belongs to the client: `close` waits for its end.

        A failure is raised only where the task is awaited.
        """
        assert self._wiring is not None
        background = self._wiring.background
        task = asyncio.create_task(work)
        background.add(task)

        def forget(done: asyncio.Task[T]) -> None:
            background.discard(done)
            if not done.cancelled():
                done.exception()

        task.add_done_callback(forget)
        return task

    async def _wire(self) -> _Wiring:
        notice_fork()
        old = self._wiring
        if self._closed:
            raise ConfigurationError("this client is closed: create a new one")
        if old is not None:
            if old.loop.is_running():
                raise ConfigurationError(
                    "this client is in use on another running event loop: create one client for "
                    "each loop"
                )
            old.abandon()
        self._wiring = wiring = _Wiring(self)
        await wiring.sender.open()
        return wiring

    def forget_inherited(self) -> object:
        """Release the parent's connections in a forked child, and return them."""
        inherited, self._wiring, self._ending = self._wiring or self._ending, None, None
        return inherited

    async def close(self) -> None:
        """Close the connections; calls in progress end with an error."""
        loop = running_loop()
        notice_fork()
        self._closed = True
        if self._wiring is not None:
            self._wiring, self._ending = None, self._wiring
        wiring = self._ending
        if wiring is None:
            return
        if wiring.loop is loop:
            await wiring.close()
        elif wiring.loop.is_running():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(wiring.close(), wiring.loop))
        else:
            wiring.abandon()
        self._ending = None

    def __del__(
        self, warn: Callable[..., None] = warnings.warn, process: Callable[[], int] = os.getpid
    ) -> None:
        wiring: _Wiring | None = getattr(self, "_wiring", None)
        if wiring is None:
            return
        if wiring.process != process():
            notice_fork()
        elif not wiring.loop.is_closed():
            warn(
                f"PayChainHQ client made at {self._made_at} was never closed",
                ResourceWarning,
                stacklevel=1,
                source=self,
            )


def _checked_middleware(name: str, middleware: Sequence[Middleware]) -> tuple[Middleware, ...]:
    if not isinstance(middleware, Sequence) or not all(map(callable, middleware)):
        raise ConfigurationError(f"{name} must be a sequence of async callables")
    return tuple(middleware)


def _statistics_of(transport: ref[Transport]) -> Callable[[], Statistics | None]:
    """Return a function that does not keep the client alive."""

    def statistics() -> Statistics | None:
        known = transport()
        return None if known is None or known.closed else known.statistics()

    return statistics


def _made_at() -> str:
    """Return the line of the caller's code that creates the client."""
    frame = sys._getframe()
    while (
        frame.f_globals.get("__name__", "").partition(".")[0] in ("paychainhq", "paychainhq_sync")
        and frame.f_back is not None
    ):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
