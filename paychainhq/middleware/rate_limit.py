"""Waiting for one's turn: the caller's own limits, the server's 429s, and a bulkhead in front of the pool."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from paychainhq.answers import retry_after
from paychainhq.config import RateLimit
from paychainhq.errors import RequestTimeoutError
from paychainhq.exchange import Next, Request, Response

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

    The limits' clock stands still during a pause, so that turns which were given out before it keep their distance after it.
    Its state is of one process and one event loop.
    """

    def __init__(self, limits: Sequence[RateLimit], slots: int) -> None:
        self._buckets = [_Bucket(limit) for limit in limits]
        self._slots = asyncio.Semaphore(slots)
        self._paused_until = 0.0
        self._paused_for = 0.0
        self._loop = asyncio.get_running_loop()

    async def __call__(self, request: Request, send: Next) -> Response:
        async with self._slots:
            if self._buckets or self._paused_until:
                await self._turn(request)
            response = await send(request)
        if response.status == 429:
            pause = retry_after(response)
            now = self._loop.time()
            self._pause(max(self._paused_until, now), now + (_PAUSE if pause is None else pause))
        return response

    def _pause(self, begin: float, end: float) -> None:
        if end > begin:
            self._paused_for += end - begin
            self._paused_until = end

    async def _turn(self, request: Request) -> None:
        now = self._loop.time()
        running = max(now, self._paused_until) - self._paused_for
        start = max((bucket.opens(running) for bucket in self._buckets), default=running)
        if start + self._paused_for < request.deadline:
            for bucket in self._buckets:
                bucket.take(start)
        while (wait := start + self._paused_for - now) > _ROUNDING:
            if now + wait >= request.deadline:
                raise RequestTimeoutError(
                    f"the deadline is nearer than the next turn under the rate limit, which is in {wait:.2f} s", **request.facts()
                )
            log.debug("%s: waits %.2f s for its turn", request.operation.name, wait)
            await asyncio.sleep(wait)
            now = self._loop.time()
