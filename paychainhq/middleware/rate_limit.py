"""Rate limit middleware: the caller's limits, the connection limit, and pauses after 429s."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from paychainhq._core.policies import RateLimit
from paychainhq._http.messages import Next, Request, Response
from paychainhq._http.responses import retry_after
from paychainhq._http.waits import Stopwatch
from paychainhq.middleware.adaptive_rate import Turn
from paychainhq.middleware.bucket import Bucket
from paychainhq.middleware.leased_turns import LeasedTurns
from paychainhq.middleware.per_operation import PerOperation
from paychainhq.middleware.throttle import ROUNDING, Throttle, check_deadline, wait_until

# A call that is late for its turn by at most this number of seconds keeps the turn, since timers
# are late.
_SLACK = 0.05


class _Bulkhead:
    """Slots of the attempts in progress, granted in the order of arrival.

    `asyncio.Semaphore` costs a coroutine for each request, even if a slot is free.

    Attributes:
        free: The number of free slots; 0 while an attempt waits for one.
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
            if not place.cancelled():  # granted meanwhile: the next attempt gets it
                self.leave()
            raise

    def leave(self) -> None:
        """Grant the slot to the first waiting attempt, or free it."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.free += 1


class Limiter:
    """Limiter that delays attempts until their operation, all limits and the slots permit them.

    All operations share the limits and the slots (one for each connection); each has its own
    reaction to 429s. An attempt takes its turn when it starts, so that a cancelled one has taken
    none. A call that waits for the pause or the rate of its operation holds no slot. The state
    belongs to one process and one event loop.

    Args:
        limits: The limits of this process.
        slots: The largest number of attempts in progress.
        leased: The turns under a limit that several processes share.

    Attributes:
        waiting: The number of attempts that wait.
    """

    def __init__(
        self, limits: Sequence[RateLimit], slots: int, leased: LeasedTurns | None = None
    ) -> None:
        self._buckets: list[Bucket | LeasedTurns] = [Bucket(limit) for limit in limits]
        self._leased = leased
        if leased is not None:
            self._buckets.append(leased)
        self._line = asyncio.Lock()
        self._waiting = 0
        self.waiting = 0
        self._slots = slots
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

    @property
    def in_flight(self) -> int:
        """Return the number of attempts in progress."""
        return self._slots - self._bulkhead.free

    def rates(self) -> dict[str, float]:
        """Return the adaptive rates in force, by the names of their operations."""
        return {
            name: rate
            for name, throttle in self._throttles.states().items()
            if (rate := throttle.rate) is not None
        }

    async def _admit(self, request: Request, throttle: Throttle) -> Turn | None:
        """Wait until an attempt may start, take a slot, and return the turn of the attempt."""
        self.waiting += 1
        try:
            with Stopwatch(request, self._loop.time, "turn") as watch:
                while True:
                    if not throttle.active:
                        if await self._go(request, throttle, watch):
                            return throttle.take(waited=False)
                    else:
                        check_deadline(request, throttle.paused_until)
                        waited = throttle.line.locked()
                        watch.switch("pace")
                        async with throttle.line:
                            waited |= await throttle.opening(request)
                            if await self._go(request, throttle, watch):
                                return throttle.take(waited=waited)
        finally:
            self.waiting -= 1

    async def _go(self, request: Request, throttle: Throttle, watch: Stopwatch) -> bool:
        """Wait for the limits and for a slot, and return whether the operation is still open.

        If it is not, no slot is held.
        """
        if not self._buckets:
            return await self._enter(throttle, watch)
        watch.switch("turn")
        arrived = self._loop.time()
        check_deadline(request, self._opens(self._waiting))
        self._waiting += 1
        try:
            async with self._line:
                if self._leased is not None:
                    await self._leased.prepare(self._waiting)
                while self._opens() - self._loop.time() > ROUNDING:
                    await wait_until(request, self._opens())
                if not await self._enter(throttle, watch):
                    return False
                now, at = self._loop.time(), max(self._opens(), arrived)
                for bucket in self._buckets:
                    bucket.take(at if now - at < _SLACK else now)
                return True
        finally:
            self._waiting -= 1

    def _opens(self, ahead: int = 0) -> float:
        return max(bucket.opens(ahead) for bucket in self._buckets)

    async def _enter(self, throttle: Throttle, watch: Stopwatch) -> bool:
        watch.switch("slot")
        await self._bulkhead.enter()
        if throttle.open:
            return True
        self._bulkhead.leave()
        return False
