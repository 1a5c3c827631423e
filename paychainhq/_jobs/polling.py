"""Polling of one resource until its status is terminal or a timeout has passed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs

from paychainhq._caller import Caller
from paychainhq._core import validators
from paychainhq._core.event_loop import running_loop
from paychainhq._http.transient import is_transient
from paychainhq.errors import PayChainError

T = TypeVar("T")


async def poll(
    caller: Caller,
    read: Callable[[Caller], Awaitable[tuple[T, bool]]],
    timeout: float,
    interval: float,
) -> tuple[T | None, bool]:
    """Return the last result (None before the first), and whether it is terminal.

    A transient failure counts as a read without a result.

    Args:
        caller: The caller of the reads. The deadline of each is the end of the timeout at the
            latest.
        read: A function that returns a result, and whether it is terminal.
        timeout: Seconds to wait; 0 makes one read with the usual deadline of a call.
        interval: Seconds between two reads.
    """
    validators.seconds("timeout", timeout, zero=True)
    validators.seconds("interval", interval)
    loop = running_loop()
    deadline = loop.time() + timeout
    last: T | None = None
    left = timeout
    while True:
        try:
            last, ended = await read(
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
