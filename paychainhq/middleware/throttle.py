"""Reaction to the 429s of one operation: a pause, a probe, and then a pace for some seconds."""

from __future__ import annotations

import asyncio
import logging

from paychainhq._http.messages import Request
from paychainhq.errors import RequestTimeoutError
from paychainhq.middleware.adaptive_rate import AdaptiveRate, Turn

log = logging.getLogger("paychainhq")

# Assumption: no page says how long to wait after a 429 that does not say it itself.
_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
# While the first request after a pause is not answered, the others wait for it, for at most so many
# seconds.
_PROBE = 1.0
# The pace ends so many seconds after the last pause.
_PACED = 9.0
# One 429 in so many answers is a limit; fewer are strays. The latest hundred answers count.
_SHARE = 20
_ANSWERS = 100
# Sums and differences of loop times are not exact.
ROUNDING = 1e-6


class Throttle:
    """The pause and the pace of one operation.

    A 429 begins a pause for all calls of the operation. The first request after it is a probe: the
    others wait for its answer. Then they go at a pace. Both end some seconds after the last pause,
    so that an operation whose limit has gone is soon free again.

    Attributes:
        line: Held by the call that is the next to go.
        accepted: How many answers were no 429.
        paused_until: When the last pause ends, as a time of the loop.
        limited: Whether there was a pause or a pace when `active` was read last, or there is one
            since.
    """

    def __init__(self) -> None:
        self.line = asyncio.Lock()
        self.accepted = 0
        self.paused_until = 0.0
        self.limited = False
        self._limited = 0.0
        self._pace = AdaptiveRate()
        self._loop = asyncio.get_running_loop()
        self._probe_due = False
        self._probe: tuple[Turn, asyncio.Future[None]] | None = None

    @property
    def active(self) -> bool:
        """Whether there is a pause or a pace."""
        if self.limited and self._loop.time() >= self.paused_until + _PACED:
            self.limited = False
        return self.limited

    @property
    def open(self) -> bool:
        """Whether a request may go now."""
        return not self.active or (
            self._probe is None and self._opens() - self._loop.time() <= ROUNDING
        )

    async def opening(self, request: Request) -> bool:
        """Wait until a request may go, and return whether that took any time."""
        waited = False
        while not self.open:
            waited = True
            if self._probe is None:
                await wait_until(request, min(self._opens(), self.paused_until + _PACED))
            else:
                await asyncio.wait([self._probe[1]], timeout=_PROBE)
                self._end_probe()
        return waited

    def _opens(self) -> float:
        return max(self._pace.due, self.paused_until)

    def take(self, *, waited: bool) -> Turn | None:
        """Record that a request goes, and return its turn; None where there is no pace."""
        if not self.active:
            return None
        turn = self._pace.take(self._loop.time(), waited=waited)
        if self._probe_due:
            self._probe_due = False
            self._probe = turn, self._loop.create_future()
        return turn

    def refuse(self, turn: Turn | None, wait: float | None) -> None:
        """Record a 429 to the request with this turn, which asks to wait so many seconds, or does
        not say how long.
        """
        if not self.active:
            if not self._is_limit():
                return
            self._pace.resume()
            self.limited = True
        now = self._loop.time()
        self.paused_until = max(
            self.paused_until, now + min(_PAUSE if wait is None else wait, _LONGEST_PAUSE)
        )
        self._probe_due = True
        self._pace.fall(turn)

    def accept(self, turn: Turn | None) -> None:
        """Record that the request with this turn was accepted."""
        if turn is not None:
            self._pace.rise(turn)

    def end(self, turn: Turn | None) -> None:
        """Record that the request with this turn is over, whatever came of it."""
        if self._probe is not None and self._probe[0] is turn:
            self._end_probe()

    def _end_probe(self) -> None:
        if self._probe is not None:
            _, over = self._probe
            self._probe = None
            if not over.done():
                over.set_result(None)

    def _is_limit(self) -> bool:
        """Count a 429, and return whether 429s are so large a part of the latest answers that they
        must come from a limit.
        """
        if self.accepted > _ANSWERS:
            self._limited *= _ANSWERS / self.accepted
            self.accepted = _ANSWERS
        self._limited += 1
        return self._limited * _SHARE >= self.accepted + self._limited


async def wait_until(request: Request, at: float) -> None:
    """Wait for a turn, or raise `RequestTimeoutError` where it comes after the deadline."""
    refuse_late(request, at)
    wait = at - asyncio.get_running_loop().time()
    log.debug("%s: waits %.2f s for its turn", request.operation.name, wait)
    await asyncio.sleep(wait)


def refuse_late(request: Request, at: float) -> None:
    """Raise `RequestTimeoutError` where a turn comes after the deadline."""
    if at >= request.deadline:
        wait = at - asyncio.get_running_loop().time()
        raise RequestTimeoutError(
            "the deadline is nearer than the next turn under the rate limit, which is in "
            f"{wait:.2f} s",
            **request.facts(),
        )
