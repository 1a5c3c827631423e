"""Observations of jobs and rounds, and the context in which their calls run."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import Context, copy_context
from types import TracebackType
from typing import Generic, Self, TypeVar

from paychainhq.telemetry import Observer, failure, guarded

E = TypeVar("E")


class Scope(Generic[E]):
    """Block of a job or a round, which telemetry observes.

    An async generator has no context of its own, but that of each code that iterates. So telemetry
    begins in a copy of the first one, and the tasks of the block run in copies of that.

    Args:
        hook: The method of the telemetry that begins the observation, or None.
        name: The name of the job.
        end: Returns its end, from the facts that each end has.

    Attributes:
        name: The name of the job.
    """

    def __init__(
        self,
        hook: Callable[[str], Observer[E] | None] | None,
        name: str,
        end: Callable[..., E],
    ) -> None:
        self.name = name
        self._hook = hook
        self._end = end
        self._context: Context | None = None
        self._observer: Observer[E] | None = None

    def context(self) -> Context | None:
        """Return the context of a new task; None for a copy of the current one."""
        return None if self._context is None else self._context.copy()

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        if self._hook is not None:
            context = copy_context()
            self._observer = context.run(guarded, self._hook, self.name)
            self._context = None if self._observer is None else context
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._observer is not None:
            elapsed = time.perf_counter() - self._began
            guarded(self._observer.end, self._end(elapsed=elapsed, **failure(error)))
