"""Deadlines of many concurrent calls, by few timers.

`asyncio.timeout` sets a timer for each block and cancels it afterwards; under load, thousands of
cancelled timers accumulate in the event loop, and slow down each call. Here all deadlines within
one slice of time share a timer, which rounds up. The timers of ended blocks are cancelled together,
so that their number does not grow with the length of the timeout.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

_SLICE = 0.02
# The number of slices before unused ones are released: more than a timeout of 60 s needs.
_MOST_SLICES = 4096


class Deadlines:
    """Deadlines of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slices: dict[int, set[Deadline]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._most = _MOST_SLICES

    def at(self, when: float, task: asyncio.Task[Any] | None = None) -> Deadline:
        """Return a block that ends with a `TimeoutError` at a loop time, or up to 20 ms later.

        Enter it before the next call of this method, which may release slices without blocks.

        Args:
            when: The loop time.
            task: The current task, from a caller that has read it already.
        """
        number = int(when / _SLICE) + 1
        members = self._slices.get(number)
        if members is None:
            if len(self._slices) >= self._most:
                self._release_unused()
            members = self._slices[number] = set()
            self._timers[number] = self._loop.call_at(number * _SLICE, self._end, number)
        return Deadline(members, task or asyncio.current_task(self._loop))

    def _release_unused(self) -> None:
        """Cancel the timers of slices without blocks.

        The next release is due when the number of slices has doubled, so that its cost per slice is
        constant.
        """
        for number in [number for number, members in self._slices.items() if not members]:
            del self._slices[number]
            self._timers.pop(number).cancel()
        self._most = max(_MOST_SLICES, 2 * len(self._slices))

    def end_all(self, *, but: asyncio.Task[Any] | None) -> None:
        """End all blocks now, except those of one task."""
        for members in list(self._slices.values()):
            for deadline in list(members):
                if deadline.task is not but:
                    deadline.end()

    def _end(self, number: int) -> None:
        del self._timers[number]
        for deadline in list(self._slices.pop(number)):
            deadline.end()


class Deadline:
    """Block of a task with a deadline; as a context manager it behaves like `asyncio.timeout`."""

    __slots__ = ("_cancelling", "_members", "ended", "task")

    def __init__(self, members: set[Deadline], task: asyncio.Task[Any] | None) -> None:
        assert task is not None
        self._members = members
        self.task = task
        self.ended = False

    def __enter__(self) -> Self:
        self._cancelling = self.task.cancelling()
        self._members.add(self)
        return self

    def end(self) -> None:
        self.ended = True
        self.task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._members.discard(self)
        if (
            self.ended
            and self.task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error


def delivered_cancellations(task: asyncio.Task[Any]) -> int:
    """Return the number of a task's cancellations, without one that is not yet delivered.

    A later `CancelledError` is a cancellation of the task only if `task.cancelling()` has grown.
    """
    return task.cancelling() - bool(getattr(task, "_must_cancel", False))
