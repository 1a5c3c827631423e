"""Memory and throughput of a long job: `python -m benchmarks.memory 1000000`."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import machine, server
from benchmarks.peers.paychainhq_async import client, requests
from benchmarks.work import Target

_CONCURRENCY = 32


async def measured(
    target: Target, count: int, *, sample_every: int, ledger: Path | None = None
) -> list[dict[str, float]]:
    """Run one job through `create_many`, from a generator, and sample the process periodically.

    Args:
        target: The server.
        count: The number of requests of the job.
        sample_every: The number of outcomes between two samples.
        ledger: The file of a ledger, or None for a job without one.

    Returns:
        At each sample: `done`, `rss_mib`, and `elapsed_s` and `cpu_s` since the beginning.
    """
    options: dict[str, Any] = {}
    if ledger is not None:
        from paychainhq.ledger import SQLiteLedger

        options["ledger"] = SQLiteLedger(ledger)
    samples = []
    done = 0
    async with client(target) as pay:
        began, started = machine.cpu_seconds(), time.perf_counter()
        async for outcome in pay.invoices.create_many(
            requests(count), concurrency=_CONCURRENCY, **options
        ):
            if not outcome.ok:
                raise RuntimeError(f"a request failed: {outcome.error}")
            done += 1
            if done % sample_every == 0:
                elapsed, cpu = time.perf_counter() - started, machine.cpu_seconds() - began
                rss = round(machine.resident_mib(), 2)
                samples.append(
                    {
                        "done": done,
                        "rss_mib": rss,
                        "elapsed_s": round(elapsed, 3),
                        "cpu_s": round(cpu, 3),
                    }
                )
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument(
        "--ledger", action="store_true", help="with the SQLite ledger, in a temporary file"
    )
    given = parser.parse_args()
    machine.stay_on(machine.cores()[1])
    with server.running() as (plain, _), tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "jobs.db" if given.ledger else None
        print(
            json.dumps(
                asyncio.run(
                    measured(plain, given.count, sample_every=given.count // 100, ledger=ledger)
                )
            )
        )


if __name__ == "__main__":
    main()
