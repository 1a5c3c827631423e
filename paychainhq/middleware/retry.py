"""Retry middleware: further attempts after transient failures, where they are safe."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

from paychainhq._core.operation import Operation
from paychainhq._core.statistics import Counters
from paychainhq._http.messages import Next, Request, Response, log_facts
from paychainhq._http.responses import request_id, retry_after
from paychainhq._http.transient import is_transient_response
from paychainhq._http.waits import Stopwatch
from paychainhq.errors import (
    ConnectionFailedError,
    PayChainError,
    ProxyAuthenticationError,
    RequestTimeoutError,
    UntrustedServerError,
)
from paychainhq.middleware.per_operation import PerOperation

log = logging.getLogger("paychainhq")


class RetryBudget:
    """Bound on the retries of each operation, so that retries do not multiply an outage.

    Each operation begins with `capacity` retries, and earns one for ten of its own successes. So a
    broken operation spends no retries of the others.
    """

    _GAIN = 0.1

    def __init__(self, capacity: float = 100.0) -> None:
        self.capacity = capacity
        self._left = PerOperation(lambda: [capacity])
        self._untouched = True

    def earn(self, operation: Operation[Any]) -> None:
        """Record that a call has succeeded."""
        if self._untouched:
            return
        left = self._left.of(operation)
        if left[0] < self.capacity:
            left[0] = min(self.capacity, left[0] + self._GAIN)

    def left(self) -> dict[str, float]:
        """Return the retries left to each operation that lacks some, by its name."""
        return {name: left for name, (left,) in self._left.states().items() if left < self.capacity}

    def spend(self, operation: Operation[Any]) -> bool:
        """Spend a retry, and return whether one was left."""
        self._untouched = False
        left = self._left.of(operation)
        if left[0] < 1:
            return False
        left[0] -= 1
        return True


class Retry:
    """Retry middleware: sends a request again after a transient failure, if that is safe.

    Safe are a read, a mutation with an idempotency key, and a request that was provably not sent.
    The waits have full jitter, and end within the deadline.
    """

    def __init__(self, budget: RetryBudget, counters: Counters) -> None:
        self._budget = budget
        self._counters = counters

    async def __call__(self, request: Request, send: Next) -> Response:
        policy = request.retry
        ceiling: float | None = None
        response: Response | None = None
        while True:
            earlier, response = response, None
            failure: PayChainError | None = None
            wait: float | None = None
            made = len(request.attempts)
            try:
                response = await send(request)
            # A retry would reach the same server, or send the same password.
            except (UntrustedServerError, ProxyAuthenticationError):
                raise
            except (ConnectionFailedError, RequestTimeoutError) as error:
                failure = error
                if earlier is not None and made == len(request.attempts):
                    # no turn before the deadline: the earlier response is the result
                    return earlier
            if response is not None:
                if not is_transient_response(response):
                    self._budget.earn(request.operation)
                    return response
                self._counters.rate_limited += response.status == 429
                wait = retry_after(response)
            if ceiling is None:
                ceiling = min(policy.first, policy.cap) if policy else 0.0
            backoff = random.uniform(0, ceiling)  # noqa: S311 (jitter is no secret)  # nosec B311
            wait = backoff if wait is None else wait + backoff
            if (
                policy is None
                # without a new attempt, the limiter has refused
                or not made < len(request.attempts) < policy.attempts
                or not (request.repeatable or request.sent == "no")
                or asyncio.get_running_loop().time() + wait >= request.deadline
                or not self._budget.spend(request.operation)
            ):
                if failure is not None:
                    raise failure
                assert response is not None
                return response
            self._counters.retries += 1
            log.info(
                "%s: attempt %d of %d: %s; retry in %.2f s",
                request.operation.name,
                len(request.attempts),
                policy.attempts,
                request.attempts[-1],
                wait,
                extra=log_facts(
                    request,
                    request_id=None if response is None else request_id(response),
                    wait=wait,
                ),
            )
            with Stopwatch(request, asyncio.get_running_loop().time, "backoff"):
                await asyncio.sleep(wait)
            ceiling = min(ceiling * 2, policy.cap)
