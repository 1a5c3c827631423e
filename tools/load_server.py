"""A server with a rate limit and an outage: what `tools/load.py` asks, in a process of its own.

It takes so many requests a second (a token bucket for all its callers together) and answers the
others with the documented 429. In the outage it refuses connections at first, and later answers
503. It tells what it saw when its standard input is closed.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from typing import Any, cast

import attrs

_OFTEN = 0.01


@attrs.frozen
class Plan:
    """What is to happen, and when; times are those of `time.monotonic`, which all processes share.

    Attributes:
        rate: Requests that the server takes in a second.
        burst: Requests that it takes at once after a pause.
        latency: Mean seconds to an answer.
        retry_after: What its 429s say in `Retry-After`, or None.
        begin: When the load begins.
        seconds: How long it lasts before the outage, and again after it.
        outage: How long that lasts; connections are refused in its first half, and requests met by
            503 in the second.
        processes: How many processes ask.
        tasks: How many tasks each of them has.
    """

    rate: float
    burst: float
    latency: float
    retry_after: int | None
    begin: float
    seconds: float
    outage: float
    processes: int
    tasks: int

    @property
    def down(self) -> float:
        return self.begin + self.seconds

    @property
    def up(self) -> float:
        return self.down + self.outage

    @property
    def end(self) -> float:
        return self.up + self.seconds


def _answer(status: int, body: dict[str, Any], *headers: str) -> bytes:
    data = json.dumps(body).encode()
    lines = ["Content-Type: application/json", f"Content-Length: {len(data)}", *headers]
    return "\r\n".join([f"HTTP/1.1 {status} Something", *lines, "", ""]).encode() + data


def _refusal(status: int, code: str, *headers: str) -> bytes:
    return _answer(status, {"error": {"code": code, "message": "not now", "details": []}}, *headers)


def invoice(key: str) -> str:
    """The id of the invoice that a key is answered with."""
    return f"inv_{key}"


class Shop:
    """What all connections share: the bucket, the invoices, and the count of what was answered in
    each second.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seen: Counter[str] = Counter()
        self.invoices: set[str] = set()
        self.stalls: Counter[int] = Counter()
        self.connections: set[asyncio.Transport] = set()
        self._tokens, self._filled = plan.burst, time.monotonic()
        waits = () if plan.retry_after is None else (f"Retry-After: {plan.retry_after}",)
        self._limited = _refusal(429, "RATE_LIMIT_EXCEEDED", *waits)
        self._unavailable = _refusal(503, "SERVICE_UNAVAILABLE")

    def answer(self, key: str) -> bytes:
        now, plan = time.monotonic(), self.plan
        self._tokens = min(plan.burst, self._tokens + (now - self._filled) * plan.rate)
        self._filled = now
        if plan.down <= now < plan.up:
            kind, answer = "unavailable", self._unavailable
        elif self._tokens < 1:
            kind, answer = "limited", self._limited
        else:
            self._tokens -= 1
            kind = "again" if key in self.invoices else "accepted"
            self.invoices.add(key)
            answer = _answer(200, {"id": invoice(key), "status": "pending", "amount": "1.00"})
        self.seen[f"{int(now - plan.begin)} {kind}"] += 1
        return answer

    async def watch(self) -> None:
        """Note how late this process is at the most in each second, in milliseconds: a busy machine
        is no fault of the callers.
        """
        while True:
            before = time.monotonic()
            await asyncio.sleep(_OFTEN)
            now = time.monotonic()
            second = int(now - self.plan.begin)
            self.stalls[second] = max(self.stalls[second], round(1000 * (now - before - _OFTEN)))


class Connection(asyncio.Protocol):
    """One connection: whatever is asked creates an invoice, once for each key."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._shop.connections.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._shop.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        data = self._pending + data
        while (head := data.find(b"\r\n\r\n") + 4) > 3:
            headers = dict(
                line.split(": ", 1) for line in data[: head - 4].decode("latin-1").split("\r\n")[1:]
            )
            end = head + int(headers["Content-Length"])
            if len(data) < end:
                break
            answer = self._shop.answer(headers["Idempotency-Key"])
            wait = self._shop.plan.latency * random.uniform(0.5, 1.5)
            asyncio.get_running_loop().call_later(wait, self._write, answer)
            data = data[end:]
        self._pending = data

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve(plan: Plan) -> Shop:
    """Print the port, and serve until the standard input is closed, away from it for the first half
    of the outage.
    """
    loop, shop = asyncio.get_running_loop(), Shop(plan)
    server = await loop.create_server(lambda: Connection(shop), "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    print(port, flush=True)

    async def go_away() -> None:
        nonlocal server
        await asyncio.sleep(plan.down - time.monotonic())
        server.close()
        for transport in list(shop.connections):
            transport.abort()
        await asyncio.sleep(plan.outage / 2)
        server = await loop.create_server(lambda: Connection(shop), "127.0.0.1", port, backlog=1024)

    tasks = [asyncio.create_task(go_away()), asyncio.create_task(shop.watch())]
    await loop.run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    server.close()
    return shop


if __name__ == "__main__":
    done = asyncio.run(serve(Plan(**json.loads(sys.argv[1]))))
    json.dump(
        {"seen": done.seen, "invoices": len(done.invoices), "stalls": done.stalls}, sys.stdout
    )
