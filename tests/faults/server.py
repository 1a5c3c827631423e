"""Server with injected faults on its own thread, which counts the executed requests."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import defaultdict
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import attrs

from tests.faults.behaviours import name_of, right
from tests.support.raw_server import Behaviour, RawServer, Recorded

T = TypeVar("T")

THREAD = "fault-server"
CERTIFICATE = Path(__file__).parents[1] / "data" / "localhost.pem"


@attrs.define
class Seen:
    """Server's record of one call.

    Attributes:
        arrived: The number of complete requests that it read.
        keys: The idempotency keys of these requests.
        taken: The key of each executed mutation, or the number of the request without one: each of
            these is an effect.
    """

    arrived: int = 0
    keys: set[str] = attrs.field(factory=set)
    taken: set[str | int] = attrs.field(factory=set)


class FaultServer:
    """Server that injects a fault into the first request, or all requests, of each call.

    Args:
        fault: The behaviour for a request.
        lasting: Whether the fault applies to every request, and not only to the first of each call.
        taken: Whether the server executes the request before the fault.
        warm: The behaviour for requests that only open connections.
        tls: Whether it uses TLS, with a certificate that the system does not trust.
        restarts_at: The number of the request during which it drops all connections and restarts.
    """

    def __init__(
        self,
        fault: Behaviour,
        *,
        lasting: bool,
        taken: bool = True,
        warm: Behaviour | None = None,
        tls: bool = False,
        restarts_at: int | None = None,
    ) -> None:
        self._fault = fault
        self._lasting = lasting
        self._taken = taken
        self._warm = warm
        self._tls = tls
        self._restarts_at = restarts_at
        self._total = 0
        self._return: asyncio.Task[None] | None = None
        self.seen: defaultdict[str, Seen] = defaultdict(Seen)

    def __enter__(self) -> Self:
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(ready)), name=THREAD, daemon=True
        )
        self._thread.start()
        ready.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._listening.url.rpartition(":")[2])

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def leave(self) -> None:
        """Close every connection and the port."""
        await self._listening.__aexit__()

    async def come_back(self, after: float) -> None:
        """Schedule listening on the same port after `after` seconds, without waiting for it."""
        self._return = asyncio.create_task(self._listen_again(after))

    async def _listen_again(self, after: float) -> None:
        await asyncio.sleep(after)
        self._listening = await self._raw(self.port).__aenter__()

    async def _restart(self) -> None:
        await self.leave()
        await self._listen_again(0.03)

    async def _run(self, ready: Future[None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._listening = await self._raw(0).__aenter__()
        ready.set_result(None)
        await self._stop.wait()
        if self._return is not None:
            await self._return
        await self.leave()

    def _raw(self, port: int) -> RawServer:
        context = None
        if self._tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(CERTIFICATE)
        return RawServer(self._meet, port=port, tls=context)

    async def _meet(self, request: Recorded, writer: asyncio.StreamWriter) -> None:
        name = name_of(request)
        if self._warm is not None and name.startswith("warm"):
            await act(self._warm, request, writer)
            return
        seen, key = self.seen[name], request.headers.get("idempotency-key")
        seen.arrived += 1
        if key is not None:
            seen.keys.add(key)
        faulty = self._lasting or seen.arrived == 1
        if request.method != "GET" and (self._taken or not faulty):
            seen.taken.add(key or seen.arrived)
        self._total += 1
        if self._restarts_at is not None:
            if self._total == self._restarts_at:
                self._return = asyncio.create_task(self._restart())
            await asyncio.sleep(0.02)  # so that others are in progress when the server stops
        await act(self._fault if faulty else right, request, writer)


async def act(behaviour: Behaviour, request: Recorded, writer: asyncio.StreamWriter) -> None:
    if isinstance(behaviour, bytes):
        writer.write(behaviour)
    else:
        await behaviour(request, writer)
