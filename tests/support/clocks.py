"""Clocks that skip waits: one for a loop with sockets, one for a loop without."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Clock:
    """Clock of the running loop: a sleep advances it, and is recorded in `waits`."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.waits: list[float] = []

    def now(self) -> float:
        return time.monotonic() + self.ahead


@contextmanager
def skipping_clock() -> Iterator[Clock]:
    """Skip the sleeps of the running loop (and of no other), while sockets work as usual."""
    loop, clock, sleep = asyncio.get_running_loop(), Clock(), asyncio.sleep

    async def skip(seconds: float) -> None:
        if asyncio.get_running_loop() is not loop or seconds <= 0:
            await sleep(seconds)
            return
        clock.waits.append(seconds)
        clock.ahead += seconds
        await sleep(0)

    asyncio.sleep, loop.time = skip, clock.now  # type: ignore[assignment, method-assign]
    try:
        yield clock
    finally:
        asyncio.sleep = sleep
        del loop.time


class _Selector(selectors.DefaultSelector):
    """Selector that advances the time instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class _TimelessLoop(asyncio.SelectorEventLoop):
    """Event loop with a simulated clock."""

    def __init__(self) -> None:
        self._moving = _Selector()
        super().__init__(self._moving)

    def time(self) -> float:
        return self._moving.now


def run_timeless(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine without sockets on a loop with a simulated clock.

    Its time begins at 0, and advances only while all tasks wait.
    """
    with asyncio.Runner(loop_factory=_TimelessLoop) as runner:
        return runner.run(work)
