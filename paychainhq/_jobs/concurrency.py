"""Adaptive concurrency of a job: grows while throughput grows."""

from __future__ import annotations

import math

_FIRST = 8
_GROWTH = 1.5
_GAIN = 1.05  # the least growth of throughput that justifies a higher concurrency
_SLOWER = 2.0
_TROUBLE = 0.1  # the share of failures that reduces the concurrency; fewer are the requests' own
_DECREASE_AFTER_TROUBLE = 0.6
_DECREASE_WHEN_SLOWER = 0.8
_ROUNDS_OF_REST = 20
_SHORTEST_ROUND = 0.1


class AdaptiveConcurrency:
    """Number of concurrent requests, adjusted after each round of requests.

    It rises after a round without trouble while throughput grows with it. Without a gain it returns
    to the previous value, and rises again 20 rounds later. It falls after trouble (more than one
    failure in ten requests), and after latency has doubled.

    Args:
        most: The upper bound. The first value is 8, or the bound if that is lower.
        fixed: Stay at the bound.
    """

    def __init__(self, most: int, *, fixed: bool = False) -> None:
        self.value = most if fixed else min(_FIRST, most)
        self.most = most
        self._fixed = fixed
        self._kept = self.value  # the last justified value, with its throughput and latency
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
        """Record the end of a request.

        Args:
            now: The time.
            took: The seconds that the request took.
            trouble: Whether it failed because of the server or the network.
        """
        if self._fixed:
            return
        if self._begin is None:
            self._begin = now - took
        # Requests that started before the last decrease do not count against the new value.
        if trouble and now - took >= self._fell:
            self._failed += 1
        else:
            self._done += 1
            self._waited += took
        elapsed = now - self._begin
        if self._done + self._failed >= 2 * self.value and elapsed >= _SHORTEST_ROUND:
            self._judge(now, self._done / elapsed, self._waited / max(self._done, 1))
            self._start_round(now)

    def _judge(self, now: float, rate: float, latency: float) -> None:
        has_gain = rate > self._rate * _GAIN
        if self._failed > _TROUBLE * (self._done + self._failed):
            self._keep(max(1, int(self.value * _DECREASE_AFTER_TROUBLE)), 0.0, math.inf)
            self._rest = _ROUNDS_OF_REST
            self._fell = now
        elif self.value > self._kept and not has_gain:
            self.value = self._kept
            self._rest = _ROUNDS_OF_REST
        elif latency > self._latency * _SLOWER and not has_gain:
            self._keep(max(1, int(self.value * _DECREASE_WHEN_SLOWER)), rate, self._latency)
        elif self._rest > 0:
            self._rest -= 1
        else:
            self._keep(self.value, rate, latency)
            self.value = min(self.most, math.ceil(self.value * _GROWTH))

    def _keep(self, value: int, rate: float, latency: float) -> None:
        self.value = self._kept = value
        self._rate, self._latency = rate, latency
