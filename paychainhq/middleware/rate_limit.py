"""Waiting for one's turn: the caller's own limits, a bulkhead in front of the pool, and the pace of
each operation.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from paychainhq.answers import retry_after
from paychainhq.config import RateLimit
from paychainhq.exchange import Next, Request, Response
from paychainhq.middleware.pace import Turn
from paychainhq.middleware.per_operation import PerOperation
from paychainhq.middleware.throttle import ROUNDING, Throttle, refuse_late, wait_until

# A call that is not later than so many seconds after its turn came takes that turn: no timer is in
# time.
_SLACK = 0.05


class _Bucket:
    """One limit, as the time at which the next request is due (the generic cell rate algorithm)."""

    def __init__(self, limit: RateLimit) -> None:
        self._interval = limit.per / limit.rate
        burst = limit.burst or max(1, int(limit.rate))
        self._slack = (burst - 1) * self._interval
        self._due = 0.0

    def opens(self, ahead: int = 0) -> float:
        """Return when a request may go that has so many ahead of it."""
        return self._due + ahead * self._interval - self._slack

    def take(self, at: float) -> None:
        self._due = max(at, self._due) + self._interval


class _Bulkhead:
    """Places of the attempts under way, taken in the order of arrival.

    `asyncio.Semaphore` costs a coroutine for each request, even where a place is free.

    Attributes:

        free: How many places are free; none is while an attempt waits for one.
    """

    def __init__(self, places: int) -> None:
        self.free = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        if self.free:
            self.free -= 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it was given, and is for the next one
                self.leave()
            raise

    def leave(self) -> None:
        """Give the place to the first that waits, if there is one."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.free += 1


class Limiter:
    """Lets each attempt go when its operation, every limit and the bulkhead have room.

    The limits and the bulkhead are shared by all operations; the reaction to 429s is not. An
    attempt takes its turn at the moment when it goes, so that one that is cancelled in the line has
    taken none. A call that waits for the pause or the pace of its operation holds no place in the
    bulkhead. The state is of one process and one event loop.
    """

    def __init__(self, limits: Sequence[RateLimit], slots: int) -> None:
        self._buckets = [_Bucket(limit) for limit in limits]
        self._line = asyncio.Lock()
        self._waiting = 0
        self._bulkhead = _Bulkhead(slots)
        self._throttles = PerOperation(Throttle)
        self._loop = asyncio.get_running_loop()

    async def __call__(self, request: Request, send: Next) -> Response:
        throttle = self._throttles.of(request.operation)
        turn = None
        if self._buckets or not self._bulkhead.free or throttle.limited:
            turn = await self._admit(request, throttle)
        else:
            self._bulkhead.free -= 1
        try:
            response = await send(request)
        finally:
            self._bulkhead.leave()
            if turn is not None:
                throttle.end(turn)
        if response.status == 429:
            throttle.refuse(turn, retry_after(response))
        else:
            throttle.accepted += 1
            if turn is not None and response.status < 500:
                throttle.accept(turn)
        return response

    async def _admit(self, request: Request, throttle: Throttle) -> Turn | None:
        """Wait until the attempt may go, and return with its place in the bulkhead."""
        while True:
            if not throttle.active:
                if await self._go(request, throttle):
                    return throttle.take(waited=False)
            else:
                refuse_late(request, throttle.paused_until)
                waited = throttle.line.locked()
                async with throttle.line:
                    waited |= await throttle.opening(request)
                    if await self._go(request, throttle):
                        return throttle.take(waited=waited)

    async def _go(self, request: Request, throttle: Throttle) -> bool:
        """Wait for the limits and for a place in the bulkhead, and return whether the operation
        still lets the attempt go.
        """
        if not self._buckets:
            return await self._enter(throttle)
        arrived = self._loop.time()
        refuse_late(request, self._opens(self._waiting))
        self._waiting += 1
        try:
            async with self._line:
                while self._opens() - self._loop.time() > ROUNDING:
                    await wait_until(request, self._opens())
                if not await self._enter(throttle):
                    return False
                now, at = self._loop.time(), max(self._opens(), arrived)
                for bucket in self._buckets:
                    bucket.take(at if now - at < _SLACK else now)
                return True
        finally:
            self._waiting -= 1

    def _opens(self, ahead: int = 0) -> float:
        return max(bucket.opens(ahead) for bucket in self._buckets)

    async def _enter(self, throttle: Throttle) -> bool:
        await self._bulkhead.enter()
        if throttle.open:
            return True
        self._bulkhead.leave()
        return False
