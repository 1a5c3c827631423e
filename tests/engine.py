"""Helpers of the engine's tests: a fast retry policy, clients of a test server, and two clocks that
skip waits.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs

from paychainhq import PayChainError, ResponseInfo, RetryPolicy
from paychainhq.models.base import Model
from tests.faces import PayChainHQ
from tests.samples import BY_NAME

T = TypeVar("T")

KEY = "pk_test_of_the_engine"
QUICK = RetryPolicy(first=0.001, cap=0.002, attempt_timeout=20)  # on a busy machine, too
HASTY = attrs.evolve(QUICK, attempt_timeout=2)  # for a server that is silent
INVOICE = BY_NAME["invoices.create"].response
CREATED_KEY = BY_NAME["api_keys.create"].response
PRICES = BY_NAME["prices.list"].response


def client(url: str, **settings: Any) -> PayChainHQ:
    """Return a client with a standard key and short retry waits."""
    return PayChainHQ(
        **{
            "api_key": KEY,
            "business_id": "biz_123",
            "base_url": url,
            "retry": QUICK,
            "timeout": 20,
            **settings,
        }
    )


def invoice(pay: PayChainHQ, **arguments: Any) -> Coroutine[Any, Any, Any]:
    return pay.invoices.create("150", "USDC", "eth", "base-mainnet", **arguments)


def error_body(code: str, message: str = "no", **more: Any) -> dict[str, Any]:
    """Return the documented envelope of an error."""
    return {"error": {"code": code, "message": message, **more}}


def info(result: Model) -> ResponseInfo:
    """Return the response metadata of a fetched result."""
    assert result.response is not None
    return result.response


def states(error: PayChainError) -> list[int | str | None]:
    """Return the result of each attempt: a status, or an error."""
    return [
        attempt.status if attempt.error is None else attempt.error for attempt in error.attempts
    ]


class Clock:
    """Clock of the running loop; a sleep advances it instead of waiting, and is recorded in
    `waits`.
    """

    def __init__(self) -> None:
        self.ahead = 0.0
        self.waits: list[float] = []

    def now(self) -> float:
        return time.monotonic() + self.ahead


@contextmanager
def skipping_clock() -> Iterator[Clock]:
    """Skip the sleeps of the running loop (and of no other), while sockets work as usual."""
    loop, clock, sleep = asyncio.get_running_loop(), Clock(), asyncio.sleep

    async def skip(seconds: float) -> None:
        if asyncio.get_running_loop() is not loop or seconds <= 0:
            await sleep(seconds)
            return
        clock.waits.append(seconds)
        clock.ahead += seconds
        await sleep(0)

    asyncio.sleep, loop.time = skip, clock.now  # type: ignore[assignment, method-assign]
    try:
        yield clock
    finally:
        asyncio.sleep = sleep
        del loop.time


class _Selector(selectors.DefaultSelector):
    """Selector that advances the time instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class _TimelessLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._moving = _Selector()
        super().__init__(self._moving)

    def time(self) -> float:
        return self._moving.now


def run_timeless(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine without sockets on a loop whose time begins at 0 and passes only while all
    tasks wait.
    """
    with asyncio.Runner(loop_factory=_TimelessLoop) as runner:
        return runner.run(work)
