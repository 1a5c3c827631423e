"""Traffic of the emulator: a rate limit, and the latency of its responses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from paychainhq._core import validators as check
from paychainhq.emulator.errors import RefusedError

_LONGEST = 3600


class Traffic:
    """Rate limit over a fixed window of real time, and latency.

    Assumption: the documents give a 429 for "too many requests in a window", but no number, no
    scope and no `Retry-After`. Here, all requests to both APIs share one window.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.latency = 0.0
        self._clock = clock
        self.limit: tuple[int, float] | None = None
        self._began = -math.inf
        self._count = 0

    def set_latency(self, seconds: object) -> None:
        self.latency = check_seconds("seconds", seconds)

    def set_rate_limit(self, rate: object, per: object = 1) -> None:
        """Set the number of requests per window and its seconds; None removes the limit."""
        if rate is None:
            self.limit = None
            return
        seconds = check_seconds("per", per)
        if not seconds:
            raise ValueError("per must be a number of seconds above 0")
        self.limit = (check.positive_int("rate", rate), seconds)
        self._began = -math.inf

    def admit(self) -> None:
        """Count a request, or raise `RefusedError` if its window is full."""
        if self.limit is None:
            return
        rate, per = self.limit
        now = self._clock()
        if now - self._began >= per:
            self._began, self._count = now, 0
        if self._count >= rate:
            raise RefusedError(429, "RATE_LIMIT_EXCEEDED", "too many requests in this window")
        self._count += 1


def check_seconds(name: str, value: object, longest: float = _LONGEST) -> float:
    """Return a number of seconds, or raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= longest:
        raise ValueError(f"{name} must be a number of seconds up to {longest}, not {value!r}")
    return value
