"""Raw HTTP server on a real socket, which records requests and sends scripted responses.

Also a loader for the tools.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
import ssl
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import attrs

from paychainhq import InvoiceRequest, Outcome
from paychainhq.emulator.server import stop_listening


@attrs.frozen
class Recorded:
    """Request as received; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body as JSON, or None without a body."""
        return json.loads(self.body) if self.body else None


Behaviour = bytes | Callable[[Recorded, asyncio.StreamWriter], Awaitable[None]]
"""Behaviour for a request: bytes to write, or a coroutine function that writes or closes."""


def http_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """Return an HTTP response with a JSON body; bytes are the body itself."""
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    given = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} Something\r\n{head}\r\n".encode() + body


def reference(outcome: Outcome[InvoiceRequest, Any]) -> str | None:
    """Return the reference of an outcome's request."""
    assert isinstance(outcome.request, InvoiceRequest)
    return outcome.request.reference


async def close(_: Recorded, writer: asyncio.StreamWriter) -> None:
    """Close the connection without a response."""
    writer.close()


async def reset(_: Recorded, writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()


async def silence(_: Recorded, writer: asyncio.StreamWriter) -> None:
    """Send nothing until the server ends."""
    await asyncio.Event().wait()


def cut(whole: bytes, missing: int = 1) -> Behaviour:
    """Return a behaviour that sends a response without its last bytes, and closes."""

    async def behave(_: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(whole[:-missing])
        writer.close()

    return behave


class RawServer:
    """Server that sends the next response of its script, repeating the last one."""

    def __init__(
        self, *script: Behaviour, port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.script = list(script)
        self.requests: list[Recorded] = []
        self.accepted = 0
        self.url = ""
        self._port = port
        self._tls = tls
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, ssl=self._tls, backlog=1024
        )
        self.url = ("https" if self._tls else "http") + "://{}:{}".format(
            *self._server.sockets[0].getsockname()
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop_listening(self._server)
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.accepted += 1
        try:
            while not writer.is_closing():
                request = await _read(reader)
                self.requests.append(request)
                behaviour = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                if isinstance(behaviour, bytes):
                    writer.write(behaviour)
                else:
                    await behaviour(request, writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass  # the client or the server closed the connection
        finally:
            self._connections.discard(task)
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Recorded:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert len(headers) == len(lines), f"a header came twice: {lines}"
    return Recorded(
        method, target, headers, await reader.readexactly(int(headers.get("content-length", 0)))
    )


def load_tool(name: str) -> ModuleType:
    """Import a script of `tools/`, which is not a package."""
    spec = importlib.util.spec_from_file_location(
        name, Path(__file__).parents[2] / "tools" / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its classes resolve their annotations there
    spec.loader.exec_module(module)
    return module
