"""Telemetry that records all it receives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

import attrs

from paychainhq import Statistics
from paychainhq.telemetry import (
    AttemptEnd,
    CallEnd,
    DeliveryEnd,
    Endpoint,
    JobEnd,
    RoundEnd,
    Telemetry,
)

T = TypeVar("T")

# The begun observation of this context, as a tracer would keep its span.
current: ContextVar[Recorded | None] = ContextVar("recorded", default=None)


@attrs.define(eq=False, slots=False)
class Recorded:
    """Observation: its facts at its begin and at its end, and the one that surrounds it.

    Attributes:
        what: The hook.
        facts: The facts at its begin.
        headers: Headers for an attempt.
        parent: The surrounding observation, or None.
        end_of: The facts at its end, or None.
    """

    what: str
    facts: tuple[Any, ...]
    recorder: Recorder = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict)
    parent: Recorded | None = None
    ended: Any = None

    def attempt(self, number: int, path: str) -> Recorded:
        headers = self.recorder.headers(number)
        return self.recorder.begin("attempt", number, path, headers=headers, parent=self)

    def end(self, end: Any) -> None:
        assert self.ended is None
        self.ended = end
        if self.what in ("call", "delivery"):
            # The end is in the context of the begin, unlike that of a job.
            assert current.get() is self
            current.set(self.parent)


class Recorder(Telemetry):
    """Telemetry that keeps its observations, in the order of their begin.

    Args:
        headers: Returns the headers to add to an attempt, by its number.
    """

    def __init__(self, headers: Callable[[int], Mapping[str, str]] = lambda _: {}) -> None:
        self.headers = headers
        self.seen: list[Recorded] = []
        self.clients: list[tuple[str, Callable[[], Statistics | None]]] = []

    def begin(
        self,
        what: str,
        *facts: Any,
        headers: Mapping[str, str] | None = None,
        parent: Recorded | None = None,
    ) -> Recorded:
        made = Recorded(what, facts, self, headers or {}, parent or current.get())
        self.seen.append(made)
        if what != "attempt":
            current.set(made)
        return made

    def client(self, origin: str, statistics: Callable[[], Statistics | None], /) -> None:
        self.clients.append((origin, statistics))

    def call(self, endpoint: Endpoint, /) -> Recorded:
        return self.begin("call", endpoint)

    def job(self, name: str, /) -> Recorded:
        return self.begin("job", name)

    def round(self, name: str, /) -> Recorded:
        return self.begin("round", name)

    def delivery(self) -> Recorded:
        return self.begin("delivery")

    def of(self, what: str) -> list[Recorded]:
        """Return the observations of one hook."""
        return [seen for seen in self.seen if seen.what == what]

    def _ends(self, what: str, kind: type[T]) -> list[T]:
        ends = [seen.ended for seen in self.of(what)]
        assert all(type(end) is kind for end in ends)
        return ends

    def calls(self) -> list[CallEnd]:
        return self._ends("call", CallEnd)

    def attempts(self) -> list[AttemptEnd]:
        return self._ends("attempt", AttemptEnd)

    def jobs(self) -> list[JobEnd]:
        return self._ends("job", JobEnd)

    def rounds(self) -> list[RoundEnd]:
        return self._ends("round", RoundEnd)

    def deliveries(self) -> list[DeliveryEnd]:
        return self._ends("delivery", DeliveryEnd)
