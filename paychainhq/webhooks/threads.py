"""Threads of an async receiver: work that a cancellation prevents or awaits, and never abandons."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from anyio import CancelScope, CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")

_HANDLERS = 8
_WRITES = 4


class Threads:
    """The threads of one receiver, with limits of their own in each event loop.

    Handlers that block delay neither the ledger's writes nor the default threads of asyncio and
    anyio, in which names are resolved and applications work.
    """

    def __init__(self) -> None:
        self._limits: RunVar[tuple[CapacityLimiter, CapacityLimiter]] = RunVar(
            "paychainhq.webhooks"
        )

    def _limiters(self) -> tuple[CapacityLimiter, CapacityLimiter]:
        """Return the limiters of handlers and of writes in the running event loop."""
        try:
            return self._limits.get()
        except LookupError:
            limits = CapacityLimiter(_HANDLERS), CapacityLimiter(_WRITES)
            self._limits.set(limits)
            return limits

    async def write(self, call: Callable[..., T], *args: object) -> T:
        """Return the result of a call to the ledger; a cancellation is raised after the call has
        ended, never before.
        """
        work = asyncio.ensure_future(to_thread.run_sync(call, *args, limiter=self._limiters()[1]))
        await _ended(work, math.inf)
        return work.result()

    async def handle(self, call: Callable[[], T], within: float) -> T | bool:
        """Return the result of a call that runs a handler, or whether the call still runs after
        `within` seconds.

        A cancellation, or the end of the time, prevents a call that no thread has begun (False). A
        call that has begun runs to its end: a cancellation waits for it, for the same time.
        """
        until = asyncio.get_running_loop().time() + within
        turn: Future[None] = (
            Future()
        )  # its state decides, for all threads, between the call and a cancellation

        def begin() -> T | bool:
            return turn.set_running_or_notify_cancel() and call()

        work = asyncio.ensure_future(to_thread.run_sync(begin, limiter=self._limiters()[0]))
        try:
            await asyncio.wait([work], timeout=within)
        except asyncio.CancelledError:
            if turn.cancel():
                work.cancel()
            else:
                await _ended(work, until)
            raise
        if work.done():
            return work.result()
        return not (turn.cancel() and work.cancel())


async def _ended(work: asyncio.Task[T], until: float) -> None:
    """Wait for the end of a task, or until a time of the event loop, whoever cancels; then raise
    the cancellation.
    """
    loop = asyncio.get_running_loop()
    cancelled: asyncio.CancelledError | None = None
    with CancelScope(
        shield=True
        # a scope of anyio cancels at each turn of the loop: without the shield, this loop would
        # spin
    ):
        while not work.done() and (left := until - loop.time()) > 0:
            try:
                await asyncio.wait([work], timeout=None if left == math.inf else left)
            except (
                asyncio.CancelledError
            ) as error:  # a cancellation by `Task.cancel` comes once, and passes the shield
                cancelled = error
    if cancelled is not None:
        if work.done() and not work.cancelled():
            work.exception()  # retrieved: asyncio does not log it
        raise cancelled
