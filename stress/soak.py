"""Stress test of cancellation: thousands of calls, many of them cancelled at random points.

    python -m stress soak [--calls N] [--cancelled PERCENT] [--connections N] [--seed N]

A server in a separate process (`soak_server.py`) responds to each read with the requested id:
immediately, late, or in pieces, and sometimes with an error or a closed connection. No call may
receive the response of another one. At the end there must be as many tasks and open descriptors as
at the beginning, and the pool must allow as many concurrent requests as before.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator

from paychainhq import (
    ConnectionFailedError,
    PayChainHQ,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
)
from stress.processes import start


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Give the URL of a server in a separate process."""
    process = start("soak_server", stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


class Soak:
    """Calls of one client, and their outcomes."""

    def __init__(
        self, pay: PayChainHQ, calls: int, cancelled: float, chance: random.Random
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self.mixed_up: list[str] = []
        self._pay = pay
        self._left = iter(range(calls))
        self._cancelled = cancelled
        self._chance = chance

    async def caller(self) -> None:
        for number in self._left:
            call = asyncio.create_task(self._call(f"inv_{number}"))
            if self._chance.random() < self._cancelled:
                await self._wait_a_little()
                call.cancel()
            await asyncio.wait([call])
            self.outcomes["cancelled" if call.cancelled() else call.result()] += 1

    async def _wait_a_little(self) -> None:
        """Wait for some turns of the loop, or for some milliseconds.

        Cancellation then reaches every suspension point of a call.
        """
        if self._chance.random() < 0.7:
            for _ in range(self._chance.randrange(30)):
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(self._chance.random() * 0.01)

    async def _call(self, invoice_id: str) -> str:
        try:
            invoice = await self._pay.invoices.get(invoice_id)
        except (ConnectionFailedError, RequestTimeoutError, ServerError) as error:
            return type(error).__name__
        if invoice.id != invoice_id:
            self.mixed_up.append(f"{invoice_id} got {invoice.id}")
        return "succeeded"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


async def soak(url: str, calls: int, cancelled: float, connections: int, seed: int) -> list[str]:
    """Run the calls, print the outcomes, and return the problems found."""
    tasks, files, started = len(asyncio.all_tasks()), descriptors(), time.monotonic()
    retry = RetryPolicy(attempts=2, first=0.001, cap=0.01)
    async with PayChainHQ(
        api_key="k", base_url=url, max_connections=connections, retry=retry, timeout=30
    ) as pay:
        job = Soak(pay, calls, cancelled, random.Random(seed))
        async with asyncio.TaskGroup() as group:
            for _ in range(2 * connections):
                group.create_task(job.caller())
        whole = Soak(pay, 20 * connections, 0.0, random.Random(seed))
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(whole.caller())
    for _ in range(100):
        await asyncio.sleep(0.01)
        if (len(asyncio.all_tasks()), descriptors()) == (tasks, files):
            break
    left_tasks, left_files = len(asyncio.all_tasks()) - tasks, descriptors() - files
    counts = ", ".join(f"{count} {outcome}" for outcome, count in job.outcomes.most_common())
    print(
        f"{calls} calls over {connections} connections in {time.monotonic() - started:.1f} s: "
        f"{counts}"
    )
    print(
        f"responses mixed up: {len(job.mixed_up)}; tasks left: {left_tasks}; descriptors left: "
        f"{left_files}"
    )
    problems = job.mixed_up + whole.mixed_up
    if left_tasks or left_files:
        problems.append(f"{left_tasks} tasks and {left_files} descriptors are left")
    if sum(whole.outcomes.values()) != 20 * connections or "cancelled" in whole.outcomes:
        problems.append(f"the pool is not whole: {whole.outcomes}")
    return problems


def main(arguments: list[str]) -> int:
    """Run the test; return 1 if a problem was found."""
    parser = argparse.ArgumentParser(
        prog="python -m stress soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--cancelled", type=float, default=30.0, help="percent of the calls")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    with serving() as url:
        # A first loop opens its descriptors before they are counted.
        asyncio.run(asyncio.sleep(0))
        problems = asyncio.run(
            soak(url, given.calls, given.cancelled / 100, given.connections, given.seed)
        )
    gc.collect()
    for problem in problems[:20]:
        print("problem:", problem)
    return 1 if problems else 0
