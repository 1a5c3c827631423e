"""Statistics of a client: counts and waits, without any library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import attrs

from paychainhq._data import Data


@attrs.frozen(kw_only=True)
class Statistics(Data):
    """Statistics of a client and its views, since its creation.

    Attributes:
        calls: The calls that have begun.
        failed: The calls that ended with an error or a cancellation.
        attempts: The attempts that have ended.
        retries: The retries that have begun to wait for their backoff.
        rate_limited: The responses with the status 429.
        in_flight: The attempts in progress.
        waiting: The attempts that wait for a turn, the pace or a slot.
        waits: The seconds of waits by reason: `"turn"` (the client's own limit), `"pace"` (after a
            429), `"backoff"`, `"slot"` (for a connection, or a send slot of a job), `"ledger"`.
        rates: The adaptive rates in force, in attempts a second, by operation; a paused operation
            has one.
        retry_budgets: The retries left to each operation that has not all of its 100, by operation.
        intents: The intents that a ledger has recorded.
        answers: The responses that a ledger has recorded.
        replays: The calls whose response a ledger had, so that no attempt was made.
        watched: The invoices that are being watched.
        rounds: The rounds of all watches that have ended.
        changes: The changes of all watches.
        behind: The seconds by which the most overdue watched invoice is late.
    """

    calls: int
    failed: int
    attempts: int
    retries: int
    rate_limited: int
    in_flight: int
    waiting: int
    waits: Mapping[str, float]
    rates: Mapping[str, float]
    retry_budgets: Mapping[str, float]
    intents: int
    answers: int
    replays: int
    watched: int
    rounds: int
    changes: int
    behind: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures in plain JSON types, under these names."""
        return attrs.asdict(self)


class Counters:
    """Counts of a client; as a context manager, the block of a call.

    Attributes:
        watches: Functions that return the number of a watch's invoices, and how late it is.
    """

    __slots__ = (
        "answers",
        "attempts",
        "calls",
        "changes",
        "failed",
        "intents",
        "rate_limited",
        "replays",
        "retries",
        "rounds",
        "waits",
        "watches",
    )

    def __init__(self) -> None:
        self.calls = self.failed = 0
        self.attempts = self.retries = self.rate_limited = 0
        self.intents = self.answers = self.replays = 0
        self.rounds = self.changes = 0
        self.waits: dict[str, float] = {}
        self.watches: dict[int, Callable[[], tuple[int, float]]] = {}

    def __enter__(self) -> None:
        self.calls += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.failed += 1

    def statistics(self, **of_client: Any) -> Statistics:
        """Return the statistics, with the figures that are not counts."""
        # Copies: another thread may change the originals.
        watches = [watch() for watch in list(self.watches.values())]
        return Statistics(
            calls=self.calls,
            failed=self.failed,
            attempts=self.attempts,
            retries=self.retries,
            rate_limited=self.rate_limited,
            waits=self.waits.copy(),
            intents=self.intents,
            answers=self.answers,
            replays=self.replays,
            watched=sum(watched for watched, _ in watches),
            rounds=self.rounds,
            changes=self.changes,
            behind=max((behind for _, behind in watches), default=0.0),
            **of_client,
        )

    def add(self, waits: Mapping[str, float]) -> None:
        """Add waits, in seconds by reason."""
        for reason, seconds in waits.items():
            self.waits[reason] = self.waits.get(reason, 0.0) + seconds
