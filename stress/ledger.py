"""Fault test of a PostgreSQL ledger: entries that were acknowledged are there afterwards.

    python -m stress ledger [--kills N] [--restarts N] [--seconds S] [--fast]

Tasks begin and finish entries while the server's connections are terminated, the server is stopped
without a last write and started again, and a synchronous replica takes over from it.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import psycopg

from paychainhq.errors import LedgerError
from paychainhq.ledger import Answer, Intent, PostgresLedger
from stress.postgres import FAST, Cluster, temporary

TASKS = 32


@attrs.define
class Acknowledged:
    """Entries of a run, as the ledger acknowledged them.

    Attributes:
        begun: The keys of acknowledged intents.
        done: The keys of acknowledged answers.
        repeated: The number of intents that were found written, after a lost connection.
        errors: The errors of the ledger.
        longest: The longest wait in seconds.
    """

    begun: set[str] = attrs.field(factory=set)
    done: set[str] = attrs.field(factory=set)
    repeated: int = 0
    errors: list[str] = attrs.field(factory=list)
    longest: float = 0.0


def disturbed(dsn: str, disturb: Callable[[], None]) -> Acknowledged:
    """Begin and finish entries until a function, which runs in a thread, has returned."""
    acknowledged = Acknowledged()
    is_over = False

    async def work(task: int, ledger: PostgresLedger) -> None:
        number = 0
        while not is_over:
            number += 1
            made = Intent("invoices.create", f"{task}-{number}", "f", "c", f"{task} {number}")
            started = time.monotonic()
            try:
                acknowledged.repeated += await ledger.begin(made) is not None
                acknowledged.begun.add(made.key)
                await ledger.finish(made, Answer(201, "req", b"{}"))
                acknowledged.done.add(made.key)
            except LedgerError as error:
                acknowledged.errors.append(str(error))
            acknowledged.longest = max(acknowledged.longest, time.monotonic() - started)

    async def run() -> None:
        nonlocal is_over
        with PostgresLedger(dsn, patience=60) as ledger:
            tasks = [asyncio.create_task(work(task, ledger)) for task in range(TASKS)]
            try:
                await asyncio.to_thread(disturb)
            finally:
                is_over = True
                await asyncio.gather(*tasks)

    asyncio.run(run())
    return acknowledged


def check(name: str, acknowledged: Acknowledged, dsn: str) -> None:
    """Compare the entries with what was acknowledged; raise SystemExit if some are missing."""
    with PostgresLedger(dsn) as ledger:
        states = {entry.key: entry.state for entry in ledger.entries()}
    missing = acknowledged.begun - states.keys()
    unfinished = {key for key in acknowledged.done if states.get(key) != "finished"}
    print(
        f"{name}: {len(acknowledged.begun)} intents acknowledged, {len(missing)} missing; "
        f"{len(acknowledged.done)} answers acknowledged, {len(unfinished)} missing; "
        f"{acknowledged.repeated} intents written twice, {len(acknowledged.errors)} errors, "
        f"longest wait {acknowledged.longest:.1f} s",
        flush=True,
    )
    if missing or unfinished or acknowledged.errors or not acknowledged.done:
        raise SystemExit(
            "\n".join(["the ledger lost entries, or failed", *acknowledged.errors[:5]])
        )


def terminate(dsn: str) -> None:
    """Terminate the connections of ledgers to a database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'paychainhq-ledger' AND datname = current_database()"
        )


def faults(
    first: Path, second: Path, *, kills: int, restarts: int, pause: float, settings: tuple[str, ...]
) -> None:
    """Terminate connections, crash the server, and let its synchronous replica take over."""
    settings = (*settings, "wal_retrieve_retry_interval=100ms")
    primary, replica = Cluster(first, settings), Cluster(second, settings)
    primary.create()
    primary.start()
    replica.create_replica_of(primary)
    replica.start()
    with psycopg.connect(primary.dsn, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")
        synchronous = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"
        while not connection.execute(synchronous).rowcount:
            time.sleep(0.05)
    PostgresLedger(primary.dsn).migrate()

    def disturb() -> None:
        for _ in range(kills):
            time.sleep(pause)
            terminate(primary.dsn)
        for _ in range(restarts):
            time.sleep(pause)
            primary.stop()
            primary.start()
        time.sleep(pause)
        primary.stop()
        time.sleep(pause)
        replica.promote()
        time.sleep(pause)

    acknowledged = disturbed(f"host={first},{second} user=postgres dbname=postgres", disturb)
    check(f"{kills} terminations, {restarts} crashes, 1 failover", acknowledged, replica.dsn)


def main(arguments: list[str]) -> int:
    """Run the faults; a failed check raises SystemExit."""
    parser = argparse.ArgumentParser(
        prog="python -m stress ledger", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="between two faults")
    parser.add_argument("--fast", action="store_true", help="without fsync, for a short run")
    given = parser.parse_args(arguments)
    with temporary("one", "two") as [first, second]:
        faults(
            first,
            second,
            kills=given.kills,
            restarts=given.restarts,
            pause=given.seconds,
            settings=FAST if given.fast else (),
        )
    return 0
