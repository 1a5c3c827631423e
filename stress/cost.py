"""Cost of a PostgreSQL ledger on loopback, beside an SQLite ledger in the same run.

    python -m stress cost [--orders N] [--rounds N]

Each round begins and finishes the orders on one ledger after the other. The medians of the ratios
are compared with their bars. Ledgers that wait for the disk are compared with each other, and so
are those that do not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import time
from collections.abc import Callable

from paychainhq.ledger import Answer, Intent, PostgresLedger, SQLiteLedger
from paychainhq.ledger.batches import BatchedLedger
from stress.postgres import Cluster, temporary

TASKS = 64
CREATED = Answer(201, "req_0123456789abcdef", b'{"id":"inv_1","status":"pending"}' + b" " * 767)
MOST_CPU, LEAST_THROUGHPUT = 1.3, 0.5


async def measure(ledger: BatchedLedger, orders: int) -> tuple[float, float]:
    """Return the CPU and the time, both in microseconds per order, of this process."""
    run = os.urandom(6).hex()
    numbers = iter(range(orders))

    async def work() -> None:
        for number in numbers:
            made = Intent(
                "invoices.create",
                f"pc1-{run}{number:012x}",
                f"{number:064x}",
                f"{number:032x}",
                f"{number:016x}",
            )
            assert await ledger.begin(made) is None
            await asyncio.sleep(0)
            await ledger.finish(made, CREATED)

    cpu, clock = time.process_time(), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(TASKS)))
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    return cpu / orders * 1e6, clock / orders * 1e6


def main(arguments: list[str]) -> int:
    """Print the costs; return 1 if a ratio misses its bar."""
    parser = argparse.ArgumentParser(
        prog="python -m stress cost", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args(arguments)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with temporary("one", "two") as [server, folder]:
        cluster = Cluster(server, port=port)
        cluster.create()
        cluster.start()
        folder.mkdir()
        dsn = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
        PostgresLedger(dsn).migrate()
        kinds: dict[tuple[str, bool], Callable[[], BatchedLedger]] = {
            ("SQLite", False): lambda: SQLiteLedger(folder / "ledger.db"),
            ("PostgreSQL", False): lambda: PostgresLedger(dsn, durable=False),
            ("SQLite", True): lambda: SQLiteLedger(folder / "durable.db", durable=True),
            ("PostgreSQL", True): lambda: PostgresLedger(dsn),
        }
        costs: dict[tuple[str, bool], list[tuple[float, float]]] = {kind: [] for kind in kinds}
        for _ in range(given.rounds):
            for kind, make in kinds.items():
                with make() as ledger:
                    costs[kind].append(asyncio.run(measure(ledger, given.orders)))
    for (name, durable), found in costs.items():
        cpu, clock = (statistics.median(values) for values in zip(*found, strict=True))
        print(
            f"{name}, durable={durable}: {cpu:.1f} us CPU per order, {1e6 / clock:,.0f} orders per "
            "second"
        )
    missed = False
    for durable in (False, True):
        pairs = list(zip(costs["PostgreSQL", durable], costs["SQLite", durable], strict=True))
        cpu = statistics.median(ours[0] / theirs[0] for ours, theirs in pairs)
        throughput = statistics.median(theirs[1] / ours[1] for ours, theirs in pairs)
        print(
            f"PostgreSQL / SQLite, durable={durable}: {cpu:.2f} of its CPU, {throughput:.2f} of "
            "its throughput"
        )
        missed = missed or cpu > MOST_CPU or throughput < LEAST_THROUGHPUT
    return int(missed)
