"""Ways from a client to the server, and their faults: names, TLS, proxies, a closed port.

A way is a context manager: it takes the server and the number of times that its fault occurs, and
yields the client's settings.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from aiohttp.abc import AbstractResolver, ResolveResult

from paychainhq import Next, Request, Response
from paychainhq.emulator.server import stop_listening
from tests.faults.server import CERTIFICATE, FaultServer
from tests.support.raw_server import http_response

Way = Callable[[FaultServer, float], AbstractContextManager[dict[str, Any]]]

_AWAY = 0.03


@contextmanager
def plain(server: FaultServer, times: float) -> Iterator[dict[str, Any]]:
    """Connect directly, over http."""
    yield {"base_url": f"http://127.0.0.1:{server.port}"}


@contextmanager
def nobody_there(server: FaultServer, times: float) -> Iterator[dict[str, Any]]:
    """Close the port, for a moment or permanently."""
    server.start(server.leave()).result()
    returning: list[Future[None]] = []

    async def begin(request: Request, send: Next) -> Response:
        if times < math.inf and not returning:  # the moment begins with the first call
            returning.append(server.start(server.come_back(_AWAY)))
        return await send(request)

    yield {"base_url": f"http://127.0.0.1:{server.port}", "middleware": [begin]}


# --- names ---


class Resolver(AbstractResolver):
    """Resolver that fails a number of times, and then returns this machine."""

    def __init__(self, times: float, *, silent: bool) -> None:
        self.left = times
        self.silent = silent

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self.left:
            self.left -= 1
            if self.silent:
                await asyncio.Event().wait()
            raise OSError(None, "DNS lookup failed")
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


def unresolved(*, silent: bool) -> Way:
    """Resolve the server's name with an error or without a response."""

    @contextmanager
    def way(server: FaultServer, times: float) -> Iterator[dict[str, Any]]:
        # All waiters share one lookup, so that each of them gets the same failure.
        resolver = Resolver(1 if times < math.inf else times, silent=silent)
        with patch("aiohttp.connector.DefaultResolver", lambda *_, **__: resolver):
            yield {"base_url": f"http://faults.localhost:{server.port}"}

    return way


# --- TLS ---


@contextmanager
def untrusted(server: FaultServer, times: float) -> Iterator[dict[str, Any]]:
    """Present a certificate that is not trusted."""
    yield {"base_url": f"https://localhost:{server.port}"}


@contextmanager
def no_tls(server: FaultServer, times: float) -> Iterator[dict[str, Any]]:
    """Connect with TLS to a server that expects a request in plain text."""
    yield {"base_url": f"https://localhost:{server.port}", "ssl": trusting()}


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


# --- proxies ---


class Proxy:
    """Proxy that forwards every tunnel, and every request in plain text, to one port.

    Args:
        port: The target port.
        refuses: The number of connections that it refuses.
        breaks: The number of connections that it resets in the middle of the server's first bytes.
    """

    def __init__(self, port: int, *, refuses: float = 0, breaks: float = 0) -> None:
        self._port = port
        self._refuses = refuses
        self._breaks = breaks
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        await stop_listening(self._server)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _ in range(5):
            await asyncio.sleep(0)  # connections close one loop turn later

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far_writer: asyncio.StreamWriter | None = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if self._refuses:
                self._refuses -= 1
                writer.write(http_response(b"", 503))
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
            if head.startswith(b"CONNECT"):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                far_writer.write(head)
            sending = asyncio.create_task(_pump(reader, far_writer))
            self._tasks.add(sending)
            if self._breaks:
                self._breaks -= 1
                writer.write((await far_reader.read(65_536))[:40])
                await writer.drain()
                await asyncio.sleep(0.02)
                writer.transport.abort()
            await _pump(far_reader, writer)
        except asyncio.CancelledError:  # unsent data is dropped
            writer.transport.abort()
            if far_writer is not None:
                far_writer.transport.abort()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # one side has closed
        finally:
            self._tasks.discard(task)
            writer.close()
            if far_writer is not None:
                far_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    except (asyncio.CancelledError, ConnectionError):
        pass
    finally:
        writer.close()


def through_proxy(*, tunnel: bool = False, refuses: bool = False, breaks: bool = False) -> Way:
    """Connect through a proxy: in plain text, or by a tunnel that carries TLS."""

    @contextmanager
    def way(server: FaultServer, times: float) -> Iterator[dict[str, Any]]:
        proxy = Proxy(server.port, refuses=times if refuses else 0, breaks=times if breaks else 0)
        port = server.start(proxy.start()).result()
        secure = {"base_url": f"https://localhost:{server.port}", "ssl": trusting()}
        yield {
            **(secure if tunnel else {"base_url": f"http://127.0.0.1:{server.port}"}),
            "proxy": f"http://127.0.0.1:{port}",
        }
        server.start(proxy.stop()).result()

    return way
