"""Minimal server: a bare protocol with canned responses, in a separate process on a separate core.

`python -m benchmarks.server` prints its two ports, plain and TLS, and serves until its standard
input is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

import orjson
import uvloop

from benchmarks import machine, work

CERTIFICATE = Path(__file__).parents[1] / "tests" / "data" / "localhost.pem"
_LENGTH = b"ontent-"


def _response(data: object) -> bytes:
    body = orjson.dumps(data)
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 15 Nov 2026 12:00:00 "
        b"GMT\r\n"
        b"x-request-id: req_0123456789abcdef\r\nContent-Length: %d\r\n\r\n"
    )
    return head % len(body) + body


_CREATED = _response(work.ANSWER)


@functools.lru_cache(maxsize=200_000)
def _read(target: str, open_invoices: int) -> bytes:
    """Return the response to a GET: one invoice, or a page of the list.

    All open invoices are pending; there are ten times as many paid ones.
    """
    parts = urlsplit(target)
    if parts.path != work.INVOICES:
        return _response(work.READ | {"id": parts.path.rpartition("/")[2]})
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    numbers = {"pending": open_invoices, "paid": 10 * open_invoices}
    status = query.get("status")
    total = sum(numbers.values()) if status is None else numbers.get(status, 0)
    return _response(
        work.page(int(query.get("page", "1")), min(int(query.get("limit", "20")), 100), total)
    )


def _body_length(head: bytes) -> int:
    """Return the Content-Length; the header's name may be in any case."""
    at = head.find(_LENGTH)
    while head[at + 7 : at + 14].lower() != b"length:":
        at = head.index(_LENGTH, at + 7)
    return int(head[at + 14 :].partition(b"\r")[0])


class Canned(asyncio.Protocol):
    """Connection: a POST creates an invoice, a GET reads one or a page."""

    def __init__(self, open_invoices: int) -> None:
        self._open_invoices = open_invoices
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._pending + data
        while (end := data.find(b"\r\n\r\n") + 4) > 3:
            if data.startswith(b"GET"):
                response = _read(data[4 : data.index(b" ", 4)].decode("ascii"), self._open_invoices)
            else:
                end += _body_length(data[:end])
                if len(data) < end:
                    break
                response = _CREATED
            self._transport.write(response)
            data = data[end:]
        self._pending = data


async def _serve(open_invoices: int) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERTIFICATE)
    loop = asyncio.get_running_loop()
    ports = []
    for context in (None, tls):
        server = await loop.create_server(
            lambda: Canned(open_invoices), "127.0.0.1", 0, ssl=context, backlog=512
        )
        ports.append(server.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextlib.contextmanager
def running(*, open_invoices: int = 100) -> Iterator[tuple[work.Target, work.Target]]:
    """Run the server on the first core, and provide its plain and TLS addresses."""
    core, _ = machine.cores()
    command = [sys.executable, "-m", "benchmarks.server", str(core), str(open_invoices)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        plain, tls = process.stdout.readline().split()
        try:
            yield (
                work.Target(f"http://127.0.0.1:{plain}"),
                work.Target(f"https://127.0.0.1:{tls}", cafile=str(CERTIFICATE)),
            )
        finally:
            process.stdin.close()


if __name__ == "__main__":
    machine.stay_on(int(sys.argv[1]))
    uvloop.run(_serve(int(sys.argv[2])))
