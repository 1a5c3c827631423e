"""Server of the load test, with a rate limit and an outage.

A token bucket, shared by all clients, accepts requests; the others get the documented 429. In the
first half of the outage connections are refused, in the second half requests get a 503. The counts
are printed when standard input is closed.
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

_LAG_INTERVAL = 0.01


@attrs.frozen
class Plan:
    """Plan of a round; times are those of `time.monotonic`, which all processes share.

    Attributes:
        rate: Accepted requests per second.
        burst: Size of the token bucket.
        latency: Mean seconds until a response.
        retry_after: Seconds in `Retry-After` of a 429, or None.
        begin: Start of the load.
        seconds: Duration of the load before the outage, and again after it.
        outage: Seconds of the outage.
        processes: Number of client processes.
        tasks: Tasks in each of them.
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


def _response(status: int, body: dict[str, Any], *headers: str) -> bytes:
    data = json.dumps(body).encode()
    lines = ["Content-Type: application/json", f"Content-Length: {len(data)}", *headers]
    return "\r\n".join([f"HTTP/1.1 {status} Something", *lines, "", ""]).encode() + data


def _refusal(status: int, code: str, *headers: str) -> bytes:
    return _response(
        status, {"error": {"code": code, "message": "not now", "details": []}}, *headers
    )


def invoice(key: str) -> str:
    """Return the id of the invoice for an idempotency key."""
    return f"inv_{key}"


class Shop:
    """State of all connections: token bucket, invoices, and counts of responses by second."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seen: Counter[str] = Counter()
        self.invoices: set[str] = set()
        self.lags: Counter[int] = Counter()
        self.connections: set[asyncio.Transport] = set()
        self._tokens, self._filled = plan.burst, time.monotonic()
        waits = () if plan.retry_after is None else (f"Retry-After: {plan.retry_after}",)
        self._limited = _refusal(429, "RATE_LIMIT_EXCEEDED", *waits)
        self._unavailable = _refusal(503, "SERVICE_UNAVAILABLE")

    def respond(self, key: str) -> bytes:
        """Return the response to a request with this key, and count it."""
        now, plan = time.monotonic(), self.plan
        self._tokens = min(plan.burst, self._tokens + (now - self._filled) * plan.rate)
        self._filled = now
        if plan.down <= now < plan.up:
            kind, response = "unavailable", self._unavailable
        elif self._tokens < 1:
            kind, response = "limited", self._limited
        else:
            self._tokens -= 1
            kind = "repeated" if key in self.invoices else "accepted"
            self.invoices.add(key)
            response = _response(200, {"id": invoice(key), "status": "pending", "amount": "1.00"})
        self.seen[f"{int(now - plan.begin)} {kind}"] += 1
        return response

    async def measure_lag(self) -> None:
        """Record the greatest lag of this process in each second, in milliseconds.

        A high lag means a busy machine, and explains a poor round.
        """
        while True:
            before = time.monotonic()
            await asyncio.sleep(_LAG_INTERVAL)
            now = time.monotonic()
            second = int(now - self.plan.begin)
            self.lags[second] = max(self.lags[second], round(1000 * (now - before - _LAG_INTERVAL)))


class Connection(asyncio.Protocol):
    """Connection on which each request creates an invoice, once per key."""

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
            response = self._shop.respond(headers["Idempotency-Key"])
            wait = self._shop.plan.latency * random.uniform(0.5, 1.5)
            asyncio.get_running_loop().call_later(wait, self._write, response)
            data = data[end:]
        self._pending = data

    def _write(self, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(response)


async def serve(plan: Plan) -> Shop:
    """Print the port, and serve until stdin is closed, except in the outage's first half."""
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

    tasks = [asyncio.create_task(go_away()), asyncio.create_task(shop.measure_lag())]
    await loop.run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    server.close()
    return shop


if __name__ == "__main__":
    done = asyncio.run(serve(Plan(**json.loads(sys.argv[1]))))
    json.dump({"seen": done.seen, "invoices": len(done.invoices), "lags": done.lags}, sys.stdout)
