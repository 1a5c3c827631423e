"""Adaptive rate of the attempts of an operation, derived from its 429s."""

from __future__ import annotations

import math
from typing import NamedTuple

# Assumption: no page documents the limits, or which clients share one. The rate begins with ten a
# second, and is at least one in two seconds.
_FIRST = 10.0
_LEAST = 0.5
_FALL = 0.92
_FIRST_FALL = 0.5  # a rate that doubles may be far above the limit before a 429 shows it
# Exploration: the rate has grown by a tenth after three quarters of this number of seconds, and by
# a factor of e at its end. A limit that lasts is met gently, and one that has ended soon forgotten.
_EXPLORES = 8.6
_STEEPNESS = 9
_MOST = 1.15  # of these seconds: a factor of thirty
# A timer that is late by at most this number of seconds delays no later turn.
_SLACK = 0.05


class Turn(NamedTuple):
    """State at the start of an attempt: its time, the number of falls, whether it had waited."""

    at: float
    falls: int
    waited: bool


class AdaptiveRate:
    """Rate that falls with a 429, stays there for seconds, and then explores, ever faster.

    Clients that share a limit without communication converge to about equal shares: a client that
    sends more receives more 429s. A fall takes back half of the growth by exploration, on a
    logarithmic scale. Before the first fall the rate grows by a factor of e in a second. Responses
    to attempts that did not wait for their turn do not change the rate: they prove no more than the
    rate of the calls.

    Attributes:
        rate: The number of attempts a second.
        due: The loop time of the next turn.
        begin: The loop time from which the exploration counts.
    """

    def __init__(self) -> None:
        self.rate = _FIRST
        self.due = 0.0
        self.begin = 0.0
        self._falls = 0
        self._proved = False
        self._fallen = 0.0  # the rate after the last fall

    def resume(self) -> None:
        """Record that there is a limit again: the rate is the last known one, unexplored."""
        self.rate = self._fallen if self._falls else _FIRST

    def take(self, now: float, *, waited: bool) -> Turn:
        """Record that an attempt starts: the next is due after the interval of the rate."""
        self.due = (self.due if now - self.due < _SLACK else now) + 1 / self.rate
        return Turn(now, self._falls, waited)

    def rise(self, turn: Turn) -> None:
        """Record that the attempt with this turn was accepted."""
        self._proved = True
        if not turn.waited or turn.falls != self._falls:
            return
        if not self._falls:
            self.rate += 1.0
            return
        # The time of the attempt counts, not that of its response: with slow responses, the rate
        # grows no faster than they permit.
        passed = min(max(0.0, turn.at - self.begin) / _EXPLORES, _MOST)
        self.rate = max(self.rate, self._fallen * math.exp(passed**_STEEPNESS))

    def fall(self, turn: Turn | None) -> None:
        """Record a 429 to the attempt with this turn; None if it started without a limit.

        429s to attempts from before a fall count for that fall, and so does a 429 without an
        accepted attempt since then.
        """
        if turn is None or turn.falls != self._falls or not self._proved:
            return
        if self._falls:
            rate = _FALL * math.sqrt(self._fallen * self.rate)
        else:
            rate = _FIRST_FALL * self.rate
        self.rate = self._fallen = max(_LEAST, rate)
        self._falls += 1
        self._proved = False
