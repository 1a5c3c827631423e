"""Limit of one process."""

from __future__ import annotations

from paychainhq._core.policies import RateLimit


class Bucket:
    """One limit, as the time of the next request (the generic cell rate algorithm)."""

    def __init__(self, limit: RateLimit) -> None:
        self._interval = limit.per / limit.rate
        burst = limit.burst or max(1, int(limit.rate))
        self._slack = (burst - 1) * self._interval
        self._due = 0.0

    def opens(self, ahead: int = 0) -> float:
        """Return the time at which a request may start that has this number of others ahead."""
        return self._due + ahead * self._interval - self._slack

    def take(self, at: float) -> None:
        self._due = max(at, self._due) + self._interval
