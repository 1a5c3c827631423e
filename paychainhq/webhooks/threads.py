"""Threads of an async receiver: a cancellation prevents or awaits their work."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakKeyDictionary

from anyio import CancelScope, CapacityLimiter, to_thread

T = TypeVar("T")

_HANDLERS = 8
_WRITES = 4


class Threads:
    """Threads of one receiver, with separate limits in each event loop.

    A blocking handler delays neither the ledger's writes nor the default threads of asyncio and
    anyio, which resolve host names and run applications.
    """

    def __init__(self) -> None:
        self._of_loop: WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[CapacityLimiter, ThreadPoolExecutor]
        ] = WeakKeyDictionary()

    def _get(self) -> tuple[CapacityLimiter, ThreadPoolExecutor]:
        """Return the limiter of handlers, and the threads of writes, in the running event loop."""
        loop = asyncio.get_running_loop()
        pair = self._of_loop.get(loop)
        if pair is None:
            pair = CapacityLimiter(_HANDLERS), ThreadPoolExecutor(_WRITES, "paychainhq-claims")
            self._of_loop[loop] = pair
        return pair

    async def write(self, call: Callable[[], T]) -> T:
        """Return the result of a call to the ledger. A cancellation waits for the call.

        An executor costs half of anyio's thread: two writes are most of the time of a webhook.
        """
        threads = self._get()[1]
        work = threads.submit(call)
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            if work.cancelled():  # it had not begun
                work = threads.submit(call)
            await _ended(asyncio.wrap_future(work), math.inf)
            raise

    async def handle(self, call: Callable[[], T], within: float) -> T | bool:
        """Return the result of a call of a handler.

        A cancellation, or the end of the time, prevents a call that has not started. A cancellation
        waits for a call that has started, until the same time.

        Args:
            call: The call.
            within: The time in seconds.

        Returns:
            The result; True if the call is still running after `within` seconds, False if it was
            prevented.
        """
        until = asyncio.get_running_loop().time() + within
        # Its state decides atomically between the start of the call and a cancellation.
        start: Future[None] = Future()

        def begin() -> T | bool:
            return start.set_running_or_notify_cancel() and call()

        work = asyncio.ensure_future(to_thread.run_sync(begin, limiter=self._get()[0]))
        try:
            await asyncio.wait([work], timeout=within)
        except asyncio.CancelledError:
            if start.cancel():
                work.cancel()
            else:
                await _ended(work, until)
            raise
        if work.done():
            return work.result()
        return not (start.cancel() and work.cancel())


async def _ended(work: asyncio.Future[T], until: float) -> None:
    """Wait for a task, until a time of the event loop at the latest, then raise a cancellation."""
    loop = asyncio.get_running_loop()
    cancelled: asyncio.CancelledError | None = None
    # A scope of anyio cancels in each iteration of the event loop: without the shield, this loop
    # would spin.
    with CancelScope(shield=True):
        while not work.done() and (left := until - loop.time()) > 0:
            try:
                await asyncio.wait([work], timeout=None if left == math.inf else left)
            except asyncio.CancelledError as error:  # of `Task.cancel`, which the shield lets pass
                cancelled = error
    if cancelled is not None:
        if work.done() and not work.cancelled():
            work.exception()  # retrieved: asyncio does not log it
        raise cancelled
