"""The rate that the server grants, learned from its 429s."""

from __future__ import annotations

import math
from typing import NamedTuple

# Assumption: no page says how many requests are granted, or to whom together. The rate begins with
# ten a second, and is never less than one in two seconds.
_FIRST = 10.0
_LEAST = 0.5
_FALL = 0.9
# The rate comes back to this part of the one where it fell: a 429 pauses all requests, and costs
# far more of them than a rate a little below the granted one.
_TARGET = 0.96
_FIRST_FALL = 0.5  # a rate that doubles may be far beyond what is granted before that shows
# After so many seconds the rate is back there.
_BACK = 6.0
# After so many it begins to explore, and grows by a factor of six in a second, so that a limit that
# has gone is soon forgotten.
_EXPLORES = 7.5
_STEEP = 1.8
# A fall leaves this part of what exploring has added, on a logarithmic scale: a client explores
# furthest while others pause, and would push them aside with it.
_KEPT = 0.2
# A timer that is not later than so many seconds costs no turn; whoever comes later has not waited
# for it.
_SLACK = 0.05


class Turn(NamedTuple):
    """The state when a request went: when that was, how often the pace had fallen, and whether the
    request had waited.
    """

    at: float
    falls: int
    waited: bool


class Pace:
    """A rate that falls with a 429, comes back to nearly where it fell, stays there for a while,
    and then explores.

    Clients that share a limit without a word between them come to about equal shares of it, as the
    flows of TCP CUBIC do: a client that sends more meets more 429s. A fall takes back most of what
    exploring has added. Before the first fall the rate grows by a factor of e in a second. Answers
    to requests that did not wait for their turn leave the rate as it is: they prove no more than
    what was asked for.

    Attributes:

        rate: Requests a second.
        due: When the next may go.
    """

    def __init__(self) -> None:
        self.rate = _FIRST
        self.due = 0.0
        self._falls = 0
        self._proved = False
        self._summit = 0.0  # nearly where it fell
        self._begin: float | None = None  # when the first request after the fall went
        self._explored = 1.0  # the factor by which exploring has raised it

    def resume(self) -> None:
        """Record that there is a limit again: the rate is the last one that is known, before
        exploring.
        """
        self.rate = self._summit if self._falls else _FIRST
        self._begin, self._explored = None, 1.0

    def take(self, now: float, *, waited: bool) -> Turn:
        """Record that a request goes: the next is due after its part of a second."""
        self.due = (self.due if now - self.due < _SLACK else now) + 1 / self.rate
        if self._begin is None:
            self._begin = now
        return Turn(now, self._falls, waited)

    def rise(self, turn: Turn) -> None:
        """Record that the request with this turn was accepted."""
        self._proved = True
        if not turn.waited or turn.falls != self._falls or self._begin is None:
            return
        if not self._falls:
            self.rate += 1.0
            return
        # The time of the request counts, and not that of its answer: where answers are slow, the
        # rate grows no faster than they show that it may.
        passed = turn.at - self._begin
        self._explored = max(self._explored, math.exp(_STEEP * (passed - _EXPLORES)))
        back = self._summit * (1 - (1 - _FALL) * (1 - passed / _BACK) ** 3)
        self.rate = max(self.rate, back * self._explored)

    def fall(self, turn: Turn | None) -> None:
        """Record a 429 to the request with this turn, or to one without, which went before there
        was a pace.

        The requests that went before a fall count for that one. Where nothing was accepted since
        the last fall, the 429 means a closed door, and not a rate.
        """
        if turn is None or turn.falls != self._falls or not self._proved:
            return
        rate = self.rate / self._explored ** (1 - _KEPT)
        self.rate = max(_LEAST, rate * (_FALL if self._falls else _FIRST_FALL))
        self._summit = self.rate * _TARGET / _FALL
        self._begin, self._explored = None, 1.0
        self._falls += 1
        self._proved = False
