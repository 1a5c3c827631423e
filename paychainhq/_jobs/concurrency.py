"""How many requests a job has under way: as many as pay."""

from __future__ import annotations

import math

_FIRST = 8
_GROWTH = 1.5
_PAYS = 1.05  # more concurrency must bring that much more throughput to be kept
_SLOWER = 2.0
_TROUBLE = 0.1  # the share of failures in a round that is trouble; fewer are the requests' own
_RETREAT = 0.6  # after trouble
_STEP_BACK = 0.8  # where it has become slow
_ROUNDS_OF_REST = 20
_SHORTEST_ROUND = 0.1


class AdaptiveConcurrency:
    """A number of concurrent requests that finds its own level, by rounds.

    After each round in which all went well it rises, as long as that brings throughput; where it
    does not, it goes back and rests there, and tries again later. Trouble in a round (more than one
    in ten fail), or the same work taking much longer, lets it fall.

    Args:
        most: The bound; it begins at 8, or at the bound.
        fixed: Begin at the bound and stay there.
    """

    def __init__(self, most: int, *, fixed: bool = False) -> None:
        self.value = most if fixed else min(_FIRST, most)
        self.most = most
        self._fixed = fixed
        self._kept = self.value  # the last value that paid, and its throughput and latency
        self._rate = 0.0
        self._latency = math.inf
        self._rest = 0
        self._fell = -math.inf
        self._begin: float | None = None
        self._start_round()

    def _start_round(self, now: float | None = None) -> None:
        self._begin = now
        self._done = self._failed = 0
        self._waited = 0.0

    def note(self, now: float, took: float, *, trouble: bool) -> None:
        """Note that a request has ended: at which time, after how many seconds, and whether it met
        trouble.
        """
        if self._fixed:
            return
        if self._begin is None:
            self._begin = now - took
        if (
            trouble and now - took >= self._fell
        ):  # what was under way when it fell says nothing of the new level
            self._failed += 1
        else:
            self._done += 1
            self._waited += took
        elapsed = now - self._begin
        if self._done + self._failed >= 2 * self.value and elapsed >= _SHORTEST_ROUND:
            self._judge(now, self._done / elapsed, self._waited / max(self._done, 1))
            self._start_round(now)

    def _judge(self, now: float, rate: float, latency: float) -> None:
        pays = rate > self._rate * _PAYS
        if self._failed > _TROUBLE * (self._done + self._failed):
            self._keep(max(1, int(self.value * _RETREAT)), 0.0, math.inf)
            self._rest = _ROUNDS_OF_REST
            self._fell = now
        elif self.value > self._kept and not pays:
            self.value = self._kept
            self._rest = _ROUNDS_OF_REST
        elif latency > self._latency * _SLOWER and not pays:
            self._keep(max(1, int(self.value * _STEP_BACK)), rate, self._latency)
        elif self._rest > 0:
            self._rest -= 1
        else:
            self._keep(self.value, rate, latency)
            self.value = min(self.most, math.ceil(self.value * _GROWTH))

    def _keep(self, value: int, rate: float, latency: float) -> None:
        self.value = self._kept = value
        self._rate, self._latency = rate, latency
