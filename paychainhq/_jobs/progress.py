"""Progress of a job, as its callback receives it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from paychainhq._jobs.requests import Progress

if TYPE_CHECKING:
    from paychainhq.telemetry.facts import JobEnd

_INTERVAL = 1.0


class ProgressCounter:
    """Counts of outcomes, reported to the caller about once a second.

    Args:
        progress: The caller's callback, or None.
        total: The number of requests, or None if it is not known.

    Attributes:
        ok: The number of results.
        failed: The number of errors.
    """

    def __init__(
        self, progress: Callable[[Progress], None] | None, total: int | None = None
    ) -> None:
        self._progress = progress
        self._total = total
        self._started = self._reported = time.monotonic()
        self.ok = self.failed = 0

    def __str__(self) -> str:
        return f"{self.ok} results and {self.failed} errors"

    def add(self, ok: bool) -> bool:
        """Count an outcome, and return whether a report is due."""
        self.ok += ok
        self.failed += not ok
        return self._progress is not None and time.monotonic() - self._reported >= _INTERVAL

    def end(self, **facts: Any) -> JobEnd:
        """Return the end of the job for telemetry."""
        from paychainhq.telemetry.facts import JobEnd

        return JobEnd(ok=self.ok, failed=self.failed, **facts)

    def report(self, concurrency: int) -> None:
        """Call the callback, unless it has raised before."""
        progress, self._progress = self._progress, None
        if progress is not None:
            self._reported = time.monotonic()
            elapsed = self._reported - self._started
            progress(Progress(self.ok, self.failed, concurrency, elapsed, self._total))
            self._progress = progress
