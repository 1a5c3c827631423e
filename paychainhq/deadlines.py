"""Deadlines for many calls at once, by few timers.

`asyncio.timeout` sets a timer for each block and cancels it afterwards; under load thousands of
cancelled timers pile up in the event loop, and each call pays for them. Here all deadlines that
fall into the same slice of time share one timer, which rounds up.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

_SLICE = 0.02


class Deadlines:
    """The deadlines of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slices: dict[int, set[Deadline]] = {}

    def at(self, when: float, task: asyncio.Task[Any] | None = None) -> Deadline:
        """Return a block that is cancelled at this time of the loop, or up to 20 ms later, and then
        ends as a `TimeoutError`.

        Args:

            when: The time of the loop.
            task: The current task, from a caller that has read it already.
        """
        number = int(when / _SLICE) + 1
        members = self._slices.get(number)
        if members is None:
            members = self._slices[number] = set()
            self._loop.call_at(number * _SLICE, self._end, number)
        return Deadline(members, task or asyncio.current_task(self._loop))

    def end_all(self, *, but: asyncio.Task[Any] | None) -> None:
        """End all blocks at once, except those of one task."""
        for members in list(self._slices.values()):
            for deadline in list(members):
                if deadline.task is not but:
                    deadline.end()

    def _end(self, number: int) -> None:
        for deadline in list(self._slices.pop(number)):
            deadline.end()


class Deadline:
    """One block with a deadline, used as `with`, in a task; its ways are those of
    `asyncio.timeout`.
    """

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
    """Return how often a task has been cancelled, without a cancellation that is still to be
    delivered.

    A `CancelledError` was requested by somebody only if `task.cancelling()` is above this number.
    """
    return task.cancelling() - bool(getattr(task, "_must_cancel", False))
