"""Observation of a call by telemetry."""

from __future__ import annotations

import time

from paychainhq._attempts import Attempt, sent_by
from paychainhq.telemetry import AttemptObserver, CallObserver, failure, guarded


class CallObservation:
    """Observation of one call: the observer, and the facts for its end.

    Attributes:
        observer: The observer.
        attempts: The attempts of the request, once the arguments are checked.
        waits: The waits of the request since its last attempt.
        idempotency_key: The idempotency key, or None.
        replayed: Whether a ledger had the response.
    """

    __slots__ = ("_began", "attempts", "idempotency_key", "observer", "replayed", "waits")

    def __init__(self, observer: CallObserver) -> None:
        self.observer = observer
        self._began = time.perf_counter()
        self.attempts: list[Attempt] = []
        self.waits: dict[str, float] = {}
        self.idempotency_key: str | None = None
        self.replayed = False

    def end(self, error: BaseException | None) -> None:
        """End the observation, with the error of the call if any."""
        from paychainhq.telemetry.facts import CallEnd

        elapsed = time.perf_counter() - self._began
        attempts = tuple(self.attempts)
        waited = dict(self.waits)
        for attempt in attempts:
            for reason, seconds in attempt.waited.items():
                waited[reason] = waited.get(reason, 0.0) + seconds
        end = CallEnd(
            elapsed=elapsed,
            status=getattr(error, "status", None) or (attempts[-1].status if attempts else None),
            attempts=attempts,
            sent=sent_by(attempts),
            waited=waited,
            replayed=self.replayed,
            idempotency_key=self.idempotency_key,
            **failure(error),
        )
        guarded(self.observer.end, end)


def end_attempt(
    observer: AttemptObserver,
    attempt: Attempt,
    error: type[Exception] | None,
    request_id: str | None,
) -> None:
    """End the observation of an attempt."""
    from paychainhq.telemetry.facts import AttemptEnd

    cancelled = attempt.status is None and error is None
    name = None if error is None else error.__name__
    guarded(observer.end, AttemptEnd(attempt, name, cancelled, request_id))
