"""Waits of a call, by reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from paychainhq._http.messages import Request

# Seconds below which code has run, but nothing was waited for.
_LEAST = 1e-4


def add_wait(waits: dict[str, float], reason: str, seconds: float) -> None:
    """Add a wait to those of a request, unless it is too short to be one."""
    if seconds > _LEAST:
        waits[reason] = waits.get(reason, 0.0) + seconds


class Stopwatch:
    """Block of waits of a request, each under its reason.

    Args:
        request: The request.
        now: The clock of the event loop.
        reason: The first reason.
    """

    __slots__ = ("_now", "_reason", "_since", "_waits")

    def __init__(self, request: Request, now: Callable[[], float], reason: str) -> None:
        self._waits = request.waits
        self._now = now
        self._reason = reason
        self._since = now()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.switch(self._reason)

    def switch(self, reason: str) -> None:
        """Record the wait until now, and begin one for another reason."""
        now = self._now()
        add_wait(self._waits, self._reason, now - self._since)
        self._reason, self._since = reason, now
