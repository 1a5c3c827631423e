"""Send slots of a job: a ledger that limits the requests in progress, while others are recorded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from paychainhq.ledger.base import Answer, Entry, Intent, Ledger


class SendSlots:
    """Ledger of a job, in which recorded intents wait for a slot before they are sent.

    Recording an intent takes longer than sending it. A job whose tasks did both in turn would have
    few requests in progress, and few entries in each transaction.

    Args:
        ledger: The ledger that records.
        size: Returns the number of slots: the tasks that may be between the record of an intent
            and the response to it.
    """

    def __init__(self, ledger: Ledger, size: Callable[[], int]) -> None:
        self.resend_within = ledger.resend_within
        self._ledger = ledger
        self._size = size
        self._inside: set[asyncio.Task[object] | None] = set()
        self._waiting: deque[tuple[asyncio.Task[object] | None, asyncio.Future[None]]] = deque()

    async def begin(self, intent: Intent) -> Entry | None:
        """Record an intent; what is then to be sent waits for its turn in `enter`."""
        return await self._ledger.begin(intent)

    async def finish(self, intent: Intent, answer: Answer) -> None:
        """Give the turn to the next, and record the answer."""
        self.leave()
        await self._ledger.finish(intent, answer)

    async def enter(self) -> None:
        """Wait for the turn of the current task."""
        task = asyncio.current_task()
        if len(self._inside) < self._size():
            self._inside.add(task)
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((task, turn))
            await turn

    def leave(self) -> None:
        """Give up the turn of the current task, if it has one; a task that was cancelled while it
        waited gets none.
        """
        self._inside.discard(asyncio.current_task())
        while self._waiting and len(self._inside) < self._size():
            task, turn = self._waiting.popleft()
            if not turn.done():
                self._inside.add(task)
                turn.set_result(None)
