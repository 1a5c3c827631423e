"""Reception of a webhook: its outcome, observed by telemetry."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from paychainhq.telemetry import Telemetry, failure, guarded

if TYPE_CHECKING:
    from paychainhq.telemetry.facts import Outcome

# The API repeats an event after any other response than a 2xx.
_STATUSES: dict[Outcome, int] = {
    "done": 200,
    "duplicate": 200,
    "ignored": 200,
    "refused": 400,
    "failed": 500,
    "held": 503,
}


class Reception:
    """Block that receives one delivery of a webhook, which telemetry observes.

    Attributes:
        event: The text by which the event has its handler, once it is verified and decoded.
        outcome: The outcome; without one, the delivery has failed.
        error: The error of the handler, the ledger or the webhook, or None.
        handled: The seconds of the handler, or None if it has not run.
    """

    def __init__(self, telemetry: Telemetry | None) -> None:
        self._observer = None if telemetry is None else guarded(telemetry.delivery)
        self._began = time.perf_counter()
        self.event: str | None = None
        self.outcome: Outcome = "failed"
        self.error: BaseException | None = None
        self.handled: float | None = None

    @property
    def status(self) -> int:
        """Return the HTTP status of the response."""
        return _STATUSES[self.outcome]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._observer is not None:
            from paychainhq.telemetry.facts import DeliveryEnd

            end = DeliveryEnd(
                elapsed=time.perf_counter() - self._began,
                event=self.event,
                outcome=self.outcome,
                status=self.status,
                handled=self.handled,
                **failure(error or self.error),
            )
            guarded(self._observer.end, end)
        self.error = None  # its traceback refers to this block
