"""Feed of the invoice ids of webhooks, for `invoices.watch`."""

from __future__ import annotations

import asyncio
from threading import Lock


class Feed:
    """Async iterable of invoice ids, without repeats of an id that is still unread.

    Args:
        source: The object that adds the ids. This reference keeps it alive.
    """

    def __init__(self, source: object) -> None:
        self._source = source
        self._unread: dict[str, None] = {}
        self._lock = Lock()
        self._reader: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    def add(self, invoice_id: str) -> None:
        """Add an id, in any thread."""
        with self._lock:
            self._unread[invoice_id] = None
            reader, self._reader = self._reader, None
        if reader is not None and not reader[0].is_closed():
            reader[0].call_soon_threadsafe(_wake, reader[1])

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> str:
        while True:
            with self._lock:
                if self._unread:
                    invoice_id = next(iter(self._unread))
                    del self._unread[invoice_id]
                    return invoice_id
                loop = asyncio.get_running_loop()
                added: asyncio.Future[None] = loop.create_future()
                self._reader = (loop, added)
            await added


def _wake(added: asyncio.Future[None]) -> None:
    if not added.done():
        added.set_result(None)
