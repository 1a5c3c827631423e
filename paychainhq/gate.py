"""Gate of a job: a ledger whose intents wait for their turn to be sent, so that more are being
recorded than are under way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any

from paychainhq.concurrency import Level
from paychainhq.ledger.base import Answer, Entry, Intent, Ledger


class Gate:
    """Ledger for a job: it lets as many tasks go on to send as the level says; the others record
    meanwhile.

    Recording takes a task longer than the server does, so a job whose tasks did both in turn would
    have few requests under way, and few entries in each transaction.

    Args:

        ledger: The ledger that records.
        level: How many tasks may be between the record of an intent and the server's answer to it.

    Attributes:

        loop: The event loop of the tasks, if it is known: that saves a search for it.
    """

    def __init__(self, ledger: Ledger, level: Level) -> None:
        self.resend_within = ledger.resend_within
        self.loop: asyncio.AbstractEventLoop | None = None
        self._ledger = ledger
        self._level = level
        self._inside: set[asyncio.Task[object] | None] = set()
        self._waiting: deque[tuple[asyncio.Task[object] | None, asyncio.Future[None]]] = deque()

    # Both return the ledger's coroutine: one of their own would be paid for by each request.

    def begin(self, intent: Intent) -> Coroutine[Any, Any, Entry | None]:
        """Record an intent; what is then to be sent waits for its turn in `enter`."""
        return self._ledger.begin(intent)

    def finish(self, intent: Intent, answer: Answer) -> Coroutine[Any, Any, None]:
        """Give the turn to the next, and record the answer."""
        self.leave()
        return self._ledger.finish(intent, answer)

    async def enter(self) -> None:
        """Wait for the turn of the current task."""
        task = asyncio.current_task(self.loop)
        if len(self._inside) < self._level.value:
            self._inside.add(task)
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((task, turn))
            await turn

    def leave(self) -> None:
        """Give up the turn of the current task, if it has one; a task that was cancelled while it
        waited gets none.
        """
        self._inside.discard(asyncio.current_task(self.loop))
        while self._waiting and len(self._inside) < self._level.value:
            task, turn = self._waiting.popleft()
            if not turn.done():
                self._inside.add(task)
                turn.set_result(None)
