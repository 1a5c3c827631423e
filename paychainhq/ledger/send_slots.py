"""Ledger wrapper that limits concurrent sends while other tasks write their entries."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from paychainhq.ledger.base import Answer, Entry, Intent, Ledger


class SendSlots:
    """Ledger of a job, in which recorded intents wait for a slot before they are sent.

    Recording an intent takes longer than sending it. If the same limit held for both, a job would
    have few requests in progress, and few entries in each batch.

    Args:
        ledger: The ledger that stores the entries.
        size: A function that returns the number of slots.
    """

    def __init__(self, ledger: Ledger, size: Callable[[], int]) -> None:
        self.resend_within = ledger.resend_within
        self._ledger = ledger
        self._size = size
        self._inside: set[asyncio.Task[object] | None] = set()
        self._waiting: deque[tuple[asyncio.Task[object] | None, asyncio.Future[None]]] = deque()

    async def begin(self, intent: Intent) -> Entry | None:
        """Record an intent. Its request waits for a slot in `enter`."""
        return await self._ledger.begin(intent)

    async def finish(self, intent: Intent, answer: Answer) -> None:
        """Release the slot of the current task, and record the answer."""
        self.leave()
        await self._ledger.finish(intent, answer)

    async def enter(self) -> None:
        """Wait for a slot."""
        task = asyncio.current_task()
        if len(self._inside) < self._size():
            self._inside.add(task)
        else:
            slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((task, slot))
            await slot

    def leave(self) -> None:
        """Release the slot of the current task, if any. Cancelled waiters receive none."""
        self._inside.discard(asyncio.current_task())
        while self._waiting and len(self._inside) < self._size():
            task, slot = self._waiting.popleft()
            if not slot.done():
                self._inside.add(task)
                slot.set_result(None)
