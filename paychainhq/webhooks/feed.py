"""Invoice ids that webhooks have named, for `invoices.watch` to read."""

from __future__ import annotations

import asyncio
from threading import Lock


class Feed:
    """An async iterable of invoice ids; a slow reader gets each id once, however often webhooks
    name it meanwhile.

    Args:
        source: The object that names the ids, kept alive as long as they are read.
    """

    def __init__(self, source: object) -> None:
        self._source = source
        self._named: dict[str, None] = {}
        self._lock = Lock()
        self._reader: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    def name(self, invoice_id: str) -> None:
        """Name an invoice, from any thread."""
        with self._lock:
            self._named[invoice_id] = None
            reader, self._reader = self._reader, None
        if reader is not None and not reader[0].is_closed():
            reader[0].call_soon_threadsafe(_wake, reader[1])

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> str:
        while True:
            with self._lock:
                if self._named:
                    invoice_id = next(iter(self._named))
                    del self._named[invoice_id]
                    return invoice_id
                loop = asyncio.get_running_loop()
                news: asyncio.Future[None] = loop.create_future()
                self._reader = (loop, news)
            await news


def _wake(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)
