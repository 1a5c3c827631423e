"""Bare asyncio protocol with a hand-written parser: the limit for a client in Python."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

import orjson

from benchmarks.peers import Work
from benchmarks.work import BODY, INVOICES, KEY, Target


class _Connection(asyncio.Protocol):
    """Connection with one request at a time; `send` returns a future of the response body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._received = b""

    def send(self, request: bytes) -> asyncio.Future[bytes]:
        self._answer: asyncio.Future[bytes] = self._loop.create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        data = self._received + data
        head = data.find(b"\r\n\r\n")
        length = data.find(b"Content-Length: ", 0, head)
        if head < 0 or len(data) < (
            end := head + 4 + int(data[length + 16 : data.index(b"\r", length)])
        ):
            self._received = data
            return
        self._received = b""
        self._answer.set_result(data[head + 4 : end])

    def close(self) -> None:
        self._transport.abort()  # over TLS, close_notify would outlive the loop


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Work]:
    address = urlsplit(target.url)
    host, port = address.hostname or "", address.port or 0
    context = ssl.create_default_context(cafile=target.cafile) if target.cafile else None
    headers = f"Host: {address.netloc}\r\nContent-Type: application/json\r\nx-api-key: {KEY}\r\n"
    start = f"POST {INVOICES} HTTP/1.1\r\n{headers}Content-Length: ".encode()
    loop = asyncio.get_running_loop()
    idle: list[_Connection] = []

    async def create() -> object:
        if idle:
            connection = idle.pop()
        else:
            _, connection = await loop.create_connection(_Connection, host, port, ssl=context)
        body = orjson.dumps(BODY)
        response = await connection.send(b"%b%d\r\n\r\n%b" % (start, len(body), body))
        idle.append(connection)
        return orjson.loads(response)

    try:
        yield create
    finally:
        for connection in idle:
            connection.close()
