"""Server on a thread of its own, and programs in processes of their own."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.raw_server import Behaviour, RawServer, Recorded, http_response

CERTIFICATE = Path(__file__).parents[1] / "data" / "localhost.pem"


async def echo(request: Recorded, writer: asyncio.StreamWriter) -> None:
    """Return an invoice with the id of the request's path."""
    writer.write(
        http_response({"id": request.target.rpartition("/")[2], "status": "pending", "amount": "1"})
    )


class ThreadedServer:
    """`RawServer` for blocking code, with a count of the connections it has accepted."""

    def __init__(self, *script: Behaviour, tls: bool = False) -> None:
        self._script = script
        self._tls = tls
        self.url = ""

    def __enter__(self) -> Self:
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), daemon=True)
        self._thread.start()
        ready.result()
        return self

    async def _run(self, ready: Future[None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        context = None
        if self._tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(CERTIFICATE)
        async with RawServer(*self._script, tls=context) as self.server:
            self.url = (
                self.server.url.replace("127.0.0.1", "localhost") if self._tls else self.server.url
            )
            ready.set_result(None)
            await self._stop.wait()

    @property
    def requests(self) -> list[Recorded]:
        return self.server.requests

    @property
    def accepted(self) -> int:
        return self.server.accepted

    def wait_for_requests(self, count: int) -> None:
        """Wait until `count` requests have arrived."""

        async def come() -> None:
            while len(self.requests) < count:
                await asyncio.sleep(0.001)

        asyncio.run_coroutine_threadsafe(come(), self._loop).result(30)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


def run_program(
    source: str, *arguments: str, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with warnings as errors, and return its output."""
    process = start_program(source, *arguments)
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start_program(source: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a program with warnings as errors and pipes as its standard streams."""
    command = [sys.executable, "-W", "error", "-c", source, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=Path(__file__).parents[2]
    )
