"""The rate that the server grants, learned from its 429s."""

from __future__ import annotations

from typing import NamedTuple

# Assumption: no page says how many requests are granted, or to whom together. It begins with ten a second, and never goes below
# one in ten seconds.
_FIRST = 10.0
_LEAST = 0.1
_FALL = 0.8
_FIRST_FALL = 0.5  # a rate that doubles may be far beyond what is granted before that shows
# To come back to where it fell takes so many seconds, or so many requests where these take longer.
_SECONDS = 6.0
_REQUESTS = 50
# A timer that is not later than so many seconds costs no turn; whoever comes later has not waited for it.
_SLACK = 0.05


class Turn(NamedTuple):
    """What a request knew when it went: how often the pace had fallen, and whether it had waited."""

    falls: int
    waited: bool


class Pace:
    """A rate that falls with a 429, comes back to where it fell, stays there for a while, and then tries for more, ever faster.

    That is the curve of TCP CUBIC, for a rate. Clients that know of each other only by a server's 429s come to equal shares of
    what it grants: who asks more meets more of them. Before the first fall the rate grows by a factor of e in a second. Answers to
    requests that did not wait for their turn leave it as it is: they prove no more than what was asked for.

    Attributes:

        active: Whether there is one: from the first 429 on.
        rate: Requests a second.
        due: When the next may go.
    """

    def __init__(self) -> None:
        self.active = False
        self.rate = _FIRST
        self.due = 0.0
        self._falls = 0
        self._proved = False
        self._summit = 0.0  # where it fell
        self._way = 0.0  # how far it has come since; at 1 it is there again

    def take(self, now: float, *, waited: bool) -> Turn:
        """Note that a request goes: the next is due after its part of a second."""
        self.due = (self.due if now - self.due < _SLACK else now) + 1 / self.rate
        return Turn(self._falls, waited)

    def rise(self, turn: Turn) -> None:
        """Note that the request which had that turn was taken."""
        self._proved = True
        if not turn.waited:
            return
        if not self._falls:
            self.rate += 1.0
        else:
            self._way += min(1 / (_SECONDS * self.rate), 1 / _REQUESTS)
            self.rate = max(_LEAST, self._summit * (1 - (1 - _FALL) * (1 - self._way) ** 3))

    def fall(self, turn: Turn | None) -> None:
        """Note that it met a 429, or that one did which went before there was a pace.

        All that went before a fall speak of that one. Where nothing was taken since, it tells of a closed door, and not of a rate.
        """
        self.active = True
        if turn is None or turn.falls != self._falls or not self._proved:
            return
        self.rate = max(_LEAST, self.rate * (_FALL if self._falls else _FIRST_FALL))
        self._summit = self.rate / _FALL
        self._way = 0.0
        self._falls += 1
        self._proved = False
