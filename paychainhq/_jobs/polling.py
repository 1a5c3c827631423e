"""Looking at one thing again and again, until it has come to its end or the time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs

from paychainhq._caller import Caller
from paychainhq._core import validators
from paychainhq._http.transient import is_transient
from paychainhq.errors import PayChainError

T = TypeVar("T")


async def poll(
    caller: Caller,
    look: Callable[[Caller], Awaitable[tuple[T, bool]]],
    timeout: float,
    interval: float,
) -> tuple[T | None, bool]:
    """Return what was last seen, and whether that is the end; failures that may pass are waited
    out.

    Args:
        caller: What is looked with; each look ends with the wait at the latest.
        look: Returns what it sees, and whether that is the end.
        timeout: Seconds to wait; 0 is one look, with the deadline of any other call.
        interval: Seconds between two looks.
    """
    validators.seconds("timeout", timeout, zero=True)
    validators.seconds("interval", interval)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    last: T | None = None
    left = timeout
    while True:
        try:
            last, ended = await look(
                attrs.evolve(caller, timeout=min(caller.timeout, left)) if timeout else caller
            )
        except PayChainError as error:
            if not is_transient(error):
                raise
        else:
            if ended:
                return last, True
        await asyncio.sleep(min(interval, max(0.0, deadline - loop.time())))
        if (left := deadline - loop.time()) <= 0:
            return last, False
