"""Stream of changes: server-sent events for the inspector and for other processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import attrs
from aiohttp import web

from paychainhq.emulator.request_context import RequestContext, dump

Change = tuple[str, str]
"""Kind and id of a changed object."""

# A reader with more unread changes than this is disconnected, and so is one that accepts no data
# for so many seconds.
_UNREAD = 20_000
_PATIENCE_S = 10.0
_KEEP_ALIVE_S = 15.0
_BATCH = 50


@attrs.define(eq=False)
class _Reader:
    unread: dict[Change, None] = attrs.Factory(dict)
    wake: asyncio.Event = attrs.Factory(asyncio.Event)
    dropped: bool = False

    def take(self) -> list[Change]:
        batch = [change for change, _ in zip(self.unread, range(_BATCH), strict=False)]
        for change in batch:
            del self.unread[change]
        if not self.unread:
            self.wake.clear()
        return batch


class Changes:
    """Changes of the state, for any number of readers.

    A reader gets each changed object once, in its state at the time of sending, however often it
    has changed in between. So memory is bounded, and no reader delays the server.

    Args:
        show: The function that returns the JSON of a changed object, or None if it is gone.
    """

    def __init__(self, show: Callable[[str, str], object]) -> None:
        self._show = show
        self._readers: set[_Reader] = set()

    def add(self, kind: str, changed_id: str) -> None:
        for reader in self._readers:
            reader.unread[kind, changed_id] = None
            reader.dropped |= len(reader.unread) > _UNREAD
            reader.wake.set()

    def close(self) -> None:
        """Disconnect all readers."""
        for reader in self._readers:
            reader.dropped = True
            reader.wake.set()

    async def stream(self, context: RequestContext, instance_id: str) -> web.StreamResponse:
        """Send changes until the reader disconnects, is too slow, or the emulator stops."""
        headers = {**context.headers("text/event-stream"), "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        reader = _Reader()
        self._readers.add(reader)
        try:
            await response.prepare(context.request)
            await self._write(response, _event("ready", {"instanceId": instance_id}))
            while not reader.dropped:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_KEEP_ALIVE_S):
                        await reader.wake.wait()
                shown = [(kind, self._show(kind, key)) for kind, key in reader.take()]
                text = b"".join(_event(kind, data) for kind, data in shown if data is not None)
                await self._write(response, text or b": keep-alive\n\n")
        except (ConnectionError, TimeoutError):
            pass  # the reader is gone, or does not read
        finally:
            self._readers.discard(reader)
            if context.request.transport is not None:
                context.request.transport.abort()
        return response

    async def _write(self, response: web.StreamResponse, text: bytes) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            await response.write(text)


def _event(kind: str, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), dump(data))
