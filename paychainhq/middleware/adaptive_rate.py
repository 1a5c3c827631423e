"""Adaptive rate of the attempts of an operation, derived from its 429s."""

from __future__ import annotations

import math
from typing import NamedTuple

# Assumption: no page documents the limits, or which clients share one. The rate begins with ten a
# second, and is at least one in two seconds.
_FIRST = 10.0
_LEAST = 0.5
_FALL = 0.9
# The rate returns to this part of the one at which it fell: a 429 pauses all calls, and costs far
# more of them than a rate slightly below the limit.
_TARGET = 0.96
_FIRST_FALL = 0.5  # a rate that doubles may be far above the limit before a 429 shows it
# Seconds from a fall until the rate is back at its summit.
_BACK = 6.0
# Seconds from a fall until the rate explores: it grows by a factor of six in a second, so that a
# limit that has ended is soon forgotten.
_EXPLORES = 7.5
_STEEP = 1.8
# A fall keeps this part of the growth by exploration, on a logarithmic scale: a client explores
# furthest while others pause, and would displace them otherwise.
_KEPT = 0.2
# A timer that is late by at most this number of seconds delays no later turn.
_SLACK = 0.05


class Turn(NamedTuple):
    """State at the start of an attempt: its time, the number of falls, whether it had waited."""

    at: float
    falls: int
    waited: bool


class AdaptiveRate:
    """Rate that falls with a 429, returns to its summit, stays there, and then explores.

    The summit is slightly below the rate at which it fell. Clients that share a limit without
    communication converge to about equal shares, like flows of TCP CUBIC: a client that sends more
    receives more 429s. A fall takes back most of the growth by exploration. Before the first fall
    the rate grows by a factor of e in a second. Responses to attempts that did not wait for their
    turn do not change the rate: they prove no more than the rate of the calls.

    Attributes:
        rate: The number of attempts a second.
        due: The loop time of the next turn.
    """

    def __init__(self) -> None:
        self.rate = _FIRST
        self.due = 0.0
        self._falls = 0
        self._proved = False
        self._summit = 0.0  # slightly below the rate at which it fell
        self._begin: float | None = None  # the time of the first attempt after the fall
        self._explored = 1.0  # the factor of its growth by exploration

    def resume(self) -> None:
        """Record that there is a limit again: the rate is the last known one, unexplored."""
        self.rate = self._summit if self._falls else _FIRST
        self._begin, self._explored = None, 1.0

    def take(self, now: float, *, waited: bool) -> Turn:
        """Record that an attempt starts: the next is due after the interval of the rate."""
        self.due = (self.due if now - self.due < _SLACK else now) + 1 / self.rate
        if self._begin is None:
            self._begin = now
        return Turn(now, self._falls, waited)

    def rise(self, turn: Turn) -> None:
        """Record that the attempt with this turn was accepted."""
        self._proved = True
        if not turn.waited or turn.falls != self._falls or self._begin is None:
            return
        if not self._falls:
            self.rate += 1.0
            return
        # The time of the attempt counts, not that of its response: with slow responses, the rate
        # grows no faster than they permit.
        passed = turn.at - self._begin
        self._explored = max(self._explored, math.exp(_STEEP * (passed - _EXPLORES)))
        back = self._summit * (1 - (1 - _FALL) * (1 - passed / _BACK) ** 3)
        self.rate = max(self.rate, back * self._explored)

    def fall(self, turn: Turn | None) -> None:
        """Record a 429 to the attempt with this turn; None if it started without a limit.

        429s to attempts from before a fall count for that fall. A 429 without an accepted attempt
        since the last fall pauses the operation, but does not lower the rate.
        """
        if turn is None or turn.falls != self._falls or not self._proved:
            return
        rate = self.rate / self._explored ** (1 - _KEPT)
        self.rate = max(_LEAST, rate * (_FALL if self._falls else _FIRST_FALL))
        self._summit = self.rate * _TARGET / _FALL
        self._begin, self._explored = None, 1.0
        self._falls += 1
        self._proved = False
