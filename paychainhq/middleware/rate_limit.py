"""Waiting for one's turn: the caller's own limits, the server's 429s, and a bulkhead in front of the pool."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from paychainhq.answers import retry_after
from paychainhq.config import RateLimit
from paychainhq.errors import RequestTimeoutError
from paychainhq.exchange import Next, Request, Response
from paychainhq.middleware.pace import Pace, Turn

log = logging.getLogger("paychainhq")

# Assumption: no page says how long to wait after a 429 that does not say it itself.
_PAUSE = 1.0
# Sums and differences of loop times are not exact.
_ROUNDING = 1e-6


class _Bucket:
    """One limit, as the time at which the next request is due (the generic cell rate algorithm)."""

    def __init__(self, limit: RateLimit) -> None:
        self._interval = limit.per / limit.rate
        burst = limit.burst or max(1, int(limit.rate))
        self._slack = (burst - 1) * self._interval
        self._due = 0.0

    def opens(self, now: float) -> float:
        return max(now, self._due - self._slack)

    def take(self, at: float) -> None:
        self._due = max(at, self._due) + self._interval


class Limiter:
    """Lets each attempt go when every limit and the bulkhead have room; a 429 holds back all who share it, once.

    The limits' clock stands still during a pause, so that turns which were given out before it keep their distance after it. From
    the first 429 on, attempts stand in line and go at the pace that the server grants. Its state is of one process and one event
    loop.
    """

    def __init__(self, limits: Sequence[RateLimit], slots: int) -> None:
        self._buckets = [_Bucket(limit) for limit in limits]
        self._slots = asyncio.Semaphore(slots)
        self._pace = Pace()
        self._line = asyncio.Lock()
        self._paused_until = 0.0
        self._paused_for = 0.0
        self._loop = asyncio.get_running_loop()

    async def __call__(self, request: Request, send: Next) -> Response:
        async with self._slots:
            went = await self._line_up(request) if self._pace.active else None
            if self._buckets:
                await self._turn(request)
            response = await send(request)
        if response.status == 429:
            wait = retry_after(response)
            now = self._loop.time()
            self._pause(max(self._paused_until, now), now + (_PAUSE if wait is None else wait))
            self._pace.fall(went)
        elif went is not None and response.status < 500:
            self._pace.rise(went)
        return response

    def _pause(self, begin: float, end: float) -> None:
        if end > begin:
            self._paused_for += end - begin
            self._paused_until = end

    async def _line_up(self, request: Request) -> Turn:
        """Wait in line, first come, first served; only the first waits for a time, so that a new pace holds for all at once."""
        self._refuse_late(request, self._paused_until)
        waited = self._line.locked()
        async with self._line:
            while (at := max(self._pace.due, self._paused_until)) - self._loop.time() > _ROUNDING:
                waited = True
                await self._wait(request, at)
            return self._pace.take(self._loop.time(), waited=waited)

    async def _turn(self, request: Request) -> None:
        running = max(self._loop.time(), self._paused_until) - self._paused_for
        start = max(bucket.opens(running) for bucket in self._buckets)
        if start + self._paused_for < request.deadline:
            for bucket in self._buckets:
                bucket.take(start)
        while start + self._paused_for - self._loop.time() > _ROUNDING:
            await self._wait(request, start + self._paused_for)

    async def _wait(self, request: Request, at: float) -> None:
        self._refuse_late(request, at)
        wait = at - self._loop.time()
        log.debug("%s: waits %.2f s for its turn", request.operation.name, wait)
        await asyncio.sleep(wait)

    def _refuse_late(self, request: Request, at: float) -> None:
        if at >= request.deadline:
            wait = at - self._loop.time()
            raise RequestTimeoutError(
                f"the deadline is nearer than the next turn under the rate limit, which is in {wait:.2f} s", **request.facts()
            )
