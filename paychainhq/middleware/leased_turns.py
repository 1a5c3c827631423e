"""Turns of one process under a rate limit that several processes share.

The processes lease turns from a line: a member of it gets its share of the next turns, and returns
for more when these are used. So a member has at most its share ahead, nobody is granted turns twice
as often as another that waits, and one round trip serves several attempts.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from typing import Protocol

import attrs

from paychainhq._core.policies import RateLimit
from paychainhq.errors import ConfigurationError, PayChainError
from paychainhq.middleware.bucket import Bucket

log = logging.getLogger("paychainhq")

TIMEOUT = 0.25
"""Seconds until the store counts as away."""
RETRY = 0.5, 1.0
"""Shortest and longest wait in seconds before the store is tried again."""
# Seconds by which a turn may be late. Later, others have the time for which it was meant.
_LATENESS = 0.1


@attrs.frozen
class Lease:
    """Turns that a member may take.

    Attributes:
        turns: Their number, at least 1.
        first: The seconds from now to the first of them; negative, if it is in the past.
        interval: The seconds from each to the next.
        members: The number of members of the line.
    """

    turns: int
    first: float
    interval: float
    members: int


class Line(Protocol):
    """Line of turns in a store, as one member uses it."""

    async def lease(self, want: int, alone: int) -> Lease:
        """Return the next turns: at least one, and at most this number.

        It is cancelled if it takes too long.

        Args:
            want: The number of turns that the member has a use for.
            alone: The number of members, if this one has had its share of the limit without the
                line since its last lease, else 0.

        Raises:
            ConfigurationError: The store will refuse each lease until somebody changes it.
            PayChainError: The store is away.
        """
        ...

    def close(self) -> None:
        """Leave the line."""
        ...


class LeasedTurns:
    """Turns of one process and event loop, leased from a line.

    While the store is away, the process has its share of the limit. The store is tried again in the
    background.

    Args:
        line: The line.
        limit: The limit.
        members: The number of members that is assumed before the first lease.
    """

    def __init__(self, line: Line, limit: RateLimit, members: int) -> None:
        self._line = line
        self._limit = limit
        self._interval = limit.per / limit.rate
        self._members = members
        self._has_leased = False
        self._refusal: ConfigurationError | None = None
        self._turns: deque[float] = deque()
        self._last = 0.0
        self._share: Bucket | None = None  # while the store is away
        self._retry_at = 0.0
        self._leasing: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    async def prepare(self, waiting: int) -> None:
        """Lease turns for this number of attempts if none is left.

        Raises:
            ConfigurationError: The store refuses the first lease.
        """
        while True:
            now = self._loop.time()
            while self._turns and self._turns[0] < now - _LATENESS:
                self._turns.popleft()
            if self._turns:
                return
            if self._leasing is None and now >= self._retry_at:
                self._leasing = asyncio.create_task(self._lease(waiting))
            if self._share is not None:
                return
            assert self._leasing is not None
            await asyncio.wait([self._leasing])  # a cancelled attempt leaves its lease to others
            if self._refusal is not None:
                refusal, self._refusal = self._refusal, None
                raise refusal

    def opens(self, ahead: int = 0) -> float:
        """Return the earliest time of an attempt that has this number of others ahead."""
        if ahead < len(self._turns):
            return self._turns[ahead]
        if self._share is not None:
            return self._share.opens(ahead)
        return self._last + (ahead - len(self._turns)) * self._interval

    def take(self, at: float) -> None:
        if self._turns:
            self._turns.popleft()
        elif self._share is not None:
            self._share.take(at)

    async def _lease(self, want: int) -> None:
        alone = self._members if self._share is not None and self._has_leased else 0
        try:
            async with asyncio.timeout(TIMEOUT):
                lease = await self._line.lease(want, alone)
        except (PayChainError, TimeoutError) as error:
            if isinstance(error, ConfigurationError) and not self._has_leased:
                self._refusal = error
            else:
                self._go_alone(error)
        else:
            if self._share is not None:
                about = {"members": lease.members}
                log.info("the store of the shared rate limit is back", extra={"paychainhq": about})
                self._share = None
            self._has_leased = True
            self._members = lease.members
            first = self._loop.time() + lease.first
            self._turns.extend(first + turn * lease.interval for turn in range(lease.turns))
            self._last = self._turns[-1]
        finally:
            self._leasing = None

    def _go_alone(self, error: Exception) -> None:
        now = self._loop.time()
        self._retry_at = now + random.uniform(*RETRY)  # noqa: S311 (jitter is no secret)  # nosec B311
        if self._share is None:
            log.warning(
                "the store of the shared rate limit is away: this process has its share of 1 in %d "
                "until it is back (%s)",
                self._members,
                str(error) or "timeout",
                extra={"paychainhq": {"members": self._members}},
            )
            limit = attrs.evolve(self._limit, rate=self._limit.rate / self._members, burst=1)
            self._share = Bucket(limit)
            self._share.take(max(now, self._last))

    async def close(self) -> None:
        """End a lease in progress, and leave the line."""
        if self._leasing is not None:
            self._leasing.cancel()
            await asyncio.wait([self._leasing])
        self.abandon()

    def abandon(self) -> None:
        """Leave the line, in place of `close` after the end of the event loop."""
        self._line.close()
