"""Emulator for programs and tests: the server on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import closing
from os import PathLike
from types import TracebackType
from typing import Self, TypeVar

from paychainhq._core.credentials import DashboardSession
from paychainhq._core.settings import is_loopback
from paychainhq.emulator.auth import DASHBOARD_HEADER, DASHBOARD_SESSION
from paychainhq.emulator.control import Control
from paychainhq.emulator.methods import Methods
from paychainhq.emulator.routing import GATEWAY
from paychainhq.emulator.server import Server
from paychainhq.emulator.state import State
from paychainhq.emulator.traffic import Traffic

T = TypeVar("T")


class Emulator(Methods):
    """Local PayChainHQ on a real socket, which runs inside its `with` (or `async with`) block.

    The server has a thread and an event loop of its own: async and blocking clients can use it, and
    its methods can be called from any thread.

    Args:
        state: A SQLite file for the state, created if missing; None keeps the state in memory.
        port: The port to listen on; 0 selects a free one.
        host: The address to listen on.
        allow_remote: Accept a `host` beyond loopback. The emulator does not restrict any caller
            that reaches it.
        allowed_hosts: Further hosts that requests may name, such as the name of its container:
            `"name"` (with any port) or `"name:port"`. Requests with any other `Host` are refused,
            as are those of web pages of another origin.
        rate_limit: The limit of `set_rate_limit`, such as `(400, 1)`: 400 requests per second.
        latency: The latency of `set_latency`, in seconds.
        allow_remote_webhooks: Send webhooks to hosts beyond loopback.

    Attributes:
        dashboard: A valid session for `PayChainHQ(dashboard=...)`. Assumption: its header is the
            emulator's own.

    Raises:
        ValueError: `host` is not loopback, `rate_limit` or `latency` is invalid, or (on entering)
            the file was written by another version of the emulator.
        sqlite3.Error: The file is not a database (on entering).
        OSError: The port is in use (on entering).
        OverflowError: The port is out of range (on entering).
    """

    def __init__(
        self,
        state: str | PathLike[str] | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        allow_remote: bool = False,
        allowed_hosts: Iterable[str] = (),
        rate_limit: tuple[int, float] | None = None,
        latency: float = 0.0,
        allow_remote_webhooks: bool = False,
    ) -> None:
        if not allow_remote and not is_loopback(host):
            raise ValueError(f"{host} is not loopback: listening on it requires allow_remote=True")
        self.dashboard = DashboardSession({DASHBOARD_HEADER: DASHBOARD_SESSION})
        self._state_path = state
        self._host = host
        self._allowed_hosts = tuple(allowed_hosts)
        self._allow_remote_webhooks = allow_remote_webhooks
        self._traffic = Traffic()
        self._traffic.set_latency(latency)
        self._traffic.set_rate_limit(*(rate_limit or (None,)))
        self._port = port
        self._bound_port = port
        self._thread: threading.Thread | None = None
        self._server: Server
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    # --- start and stop ---

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("this emulator is already running")
        listening: Future[int] = Future()
        thread = threading.Thread(
            target=self._serve, args=(listening,), name="paychainhq-emulator", daemon=True
        )
        thread.start()
        error = listening.exception()
        if error is not None:
            thread.join()
            raise error
        self._bound_port, self._thread = listening.result(), thread
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None

    # Starting and stopping take milliseconds and do not use the caller's loop, so blocking it is
    # acceptable.
    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def _serve(self, listening: Future[int]) -> None:
        try:
            asyncio.run(self._run(listening))
        except BaseException as error:
            if listening.done():
                raise
            listening.set_exception(error)

    async def _run(self, listening: Future[int]) -> None:
        with closing(State(self._state_path)) as state:
            self._server, self._loop, self._stop = (
                Server(
                    state,
                    self._traffic,
                    self._allowed_hosts,
                    allow_remote_webhooks=self._allow_remote_webhooks,
                ),
                asyncio.get_running_loop(),
                asyncio.Event(),
            )
            try:
                listening.set_result(await self._server.start(self._host, self._port))
                await self._stop.wait()
            finally:
                await self._server.stop()

    @property
    def url(self) -> str:
        """Base URL, such as `http://127.0.0.1:43121`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._bound_port}"

    @property
    def gateway_url(self) -> str:
        """Base URL of the payment gateway of seed 004, for `paychainhq.gateway.Gateway`."""
        return f"{self.url}{GATEWAY}"

    @property
    def instance_id(self) -> str:
        """Id of this run, which `GET /_emulator` returns."""
        return self._read(lambda control: self._server.instance_id)

    def _read(self, call: Callable[[Control], T]) -> T:
        if self._thread is None:
            raise RuntimeError("this emulator is not running: use it inside its with block")

        async def run() -> T:
            self._server.outbox.wake()
            return call(self._server.control)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _act(self, call: Callable[[Control], T]) -> T:
        try:
            return self._read(call)
        finally:
            self._read(lambda control: self._server.note())
