"""Ledger wrapper that limits concurrent sends while other tasks write their entries."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from paychainhq.ledger.base import Answer, Entry, Intent, Ledger


class SendSlots:
    """Ledger of a job, in which recorded intents wait for a slot before they are sent.

    Recording an intent takes longer than sending it. If the same limit held for both, a job would
    have few requests in progress, and few entries in each batch.

    Args:
        ledger: The ledger that stores the entries.
        size: A function that returns the number of slots.

    Attributes:
        loop: The event loop of the tasks, if known: reading the current task is then cheaper.
    """

    def __init__(self, ledger: Ledger, size: Callable[[], int]) -> None:
        self.resend_within = ledger.resend_within
        self.loop: asyncio.AbstractEventLoop | None = None
        self._ledger = ledger
        self._size = size
        self._inside: set[asyncio.Task[object] | None] = set()
        self._waiting: deque[tuple[asyncio.Task[object] | None, asyncio.Future[None]]] = deque()

    # Both return the ledger's coroutine: each request would pay for one of their own.

    def begin(self, intent: Intent) -> Coroutine[Any, Any, Entry | None]:
        """Record an intent. Its request waits for a slot in `enter`."""
        return self._ledger.begin(intent)

    def finish(self, intent: Intent, answer: Answer) -> Coroutine[Any, Any, None]:
        """Release the slot of the current task, and record the answer."""
        self.leave()
        return self._ledger.finish(intent, answer)

    async def enter(self) -> None:
        """Wait for a slot."""
        task = asyncio.current_task(self.loop)
        if len(self._inside) < self._size():
            self._inside.add(task)
        else:
            slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((task, slot))
            await slot

    def leave(self) -> None:
        """Release the slot of the current task, if any. Cancelled waiters receive none."""
        self._inside.discard(asyncio.current_task(self.loop))
        while self._waiting and len(self._inside) < self._size():
            task, slot = self._waiting.popleft()
            if not slot.done():
                self._inside.add(task)
                slot.set_result(None)
