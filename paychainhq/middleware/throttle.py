"""Throttle of one operation after 429s: a pause, a probe, then the adaptive rate."""

from __future__ import annotations

import asyncio
import logging

from paychainhq._http.messages import Request
from paychainhq.errors import RequestTimeoutError
from paychainhq.middleware.adaptive_rate import AdaptiveRate, Turn

log = logging.getLogger("paychainhq")

# Assumption: no page documents the wait after a 429 without Retry-After.
_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
# Seconds for which other attempts wait at most for the response of the probe.
_PROBE = 1.0
# Seconds from the last 429 to the end of the adaptive rate; a pause of up to a second counts.
_RATE_PERIOD = 10.0
# Seconds of an outage after which the rate ends in any case.
_OUTAGE = 60.0
# One 429 in this number of responses is a limit; fewer are strays. The last hundred responses
# count.
_SHARE = 20
_ANSWERS = 100
# Sums and differences of loop times are not exact.
ROUNDING = 1e-6


class Throttle:
    """Pause and adaptive rate of one operation.

    A 429 that indicates a limit begins a pause for all calls of the operation. The first attempt
    after the pause is a probe: the others wait for its response, and then follow at the adaptive
    rate. A stray 429 only lowers the rate, if there is one. The rate ends some seconds after the
    last 429, so that an operation without a limit is soon free again; an outage does not count.

    Attributes:
        line: The lock of the call that has the next turn.
        accepted: The number of responses other than 429.
        paused_until: The loop time of the end of the last pause.
        limited: Whether the throttle was active when `active` was last read, or has been activated
            since.
    """

    def __init__(self) -> None:
        self.line = asyncio.Lock()
        self.accepted = 0
        self.paused_until = 0.0
        self.limited = False
        self._limited = 0.0
        self._rate = AdaptiveRate()
        self._loop = asyncio.get_running_loop()
        self._failed_at: float | None = None  # the first failure since the last accepted attempt
        self._probe_due = False
        self._probe: tuple[Turn, asyncio.Future[None]] | None = None

    @property
    def active(self) -> bool:
        """Return whether there is a pause or an adaptive rate."""
        if self.limited and self._loop.time() >= self._ends():
            self.limited = False
        return self.limited

    @property
    def open(self) -> bool:
        """Return whether an attempt may start now."""
        return not self.active or (
            self._probe is None and self._opens() - self._loop.time() <= ROUNDING
        )

    @property
    def rate(self) -> float | None:
        """Return the adaptive rate in attempts a second, or None without one, in any thread."""
        # Not `active`, which changes the state.
        return self._rate.rate if self.limited and self._loop.time() < self._ends() else None

    async def opening(self, request: Request) -> bool:
        """Wait until an attempt may start, and return whether there was a wait."""
        waited = False
        while not self.open:
            waited = True
            if self._probe is None:
                await wait_until(request, min(self._opens(), self._ends()))
            else:
                await asyncio.wait([self._probe[1]], timeout=_PROBE)
                self._end_probe()
        return waited

    def _opens(self) -> float:
        return max(self._rate.due, self.paused_until)

    def _ends(self) -> float:
        end, failed_at = self._rate.begin + _RATE_PERIOD, self._failed_at
        return end if failed_at is None else max(end, failed_at + _OUTAGE)

    def take(self, *, waited: bool) -> Turn | None:
        """Record that an attempt starts, and return its turn; None without an adaptive rate."""
        if not self.active:
            return None
        turn = self._rate.take(self._loop.time(), waited=waited)
        if self._probe_due:
            self._probe_due = False
            self._probe = turn, self._loop.create_future()
        return turn

    def refuse(self, turn: Turn | None, wait: float | None) -> None:
        """Record a 429 to the attempt with this turn, and its Retry-After in seconds, or None."""
        now, is_limit = self._loop.time(), self._is_limit()
        if not self.active:
            if not is_limit:
                return
            self._rate.resume()
            self.limited = True
        if is_limit:
            pause = min(_PAUSE if wait is None else wait, _LONGEST_PAUSE)
            self.paused_until = max(self.paused_until, now + pause)
            self._probe_due = True
        self._rate.begin = max(now, self.paused_until - _PAUSE)
        self._rate.fall(turn)
        self._failed_at = None

    def accept(self, turn: Turn) -> None:
        """Record that the attempt with this turn was accepted."""
        if self._failed_at is not None:
            self._rate.begin += self._loop.time() - self._failed_at
            self._failed_at = None
        self._rate.rise(turn)

    def end(self, turn: Turn) -> None:
        """Record that the attempt with this turn has ended; `accept` or `refuse` may follow."""
        if self._failed_at is None:
            self._failed_at = self._loop.time()
        if self._probe is not None and self._probe[0] is turn:
            self._end_probe()

    def _end_probe(self) -> None:
        if self._probe is not None:
            _, over = self._probe
            self._probe = None
            if not over.done():
                over.set_result(None)

    def _is_limit(self) -> bool:
        """Count a 429, and return whether the share of 429s in the last responses shows a limit."""
        if self.accepted > _ANSWERS:
            self._limited *= _ANSWERS / self.accepted
            self.accepted = _ANSWERS
        self._limited += 1
        return self._limited * _SHARE >= self.accepted + self._limited


async def wait_until(request: Request, at: float) -> None:
    """Wait for a turn; raises `RequestTimeoutError` for one after the deadline."""
    check_deadline(request, at)
    wait = at - asyncio.get_running_loop().time()
    name = request.operation.name
    about = {"operation": name, "wait": wait}
    log.debug("%s: waiting %.2f s for a turn", name, wait, extra={"paychainhq": about})
    await asyncio.sleep(wait)


def check_deadline(request: Request, at: float) -> None:
    """Raise `RequestTimeoutError` if a turn is after the deadline."""
    if at >= request.deadline:
        wait = at - asyncio.get_running_loop().time()
        raise RequestTimeoutError(
            f"the deadline precedes the next turn under the rate limit, which is in {wait:.2f} s",
            **request.facts(),
        )
