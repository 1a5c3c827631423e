"""Fault tests of the PostgreSQL ledger: a short round of each."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import psycopg
import pytest

from paychainhq.ledger import PostgresLedger
from paychainhq.ledger.contract.parts import OK, intent, states
from stress import cost
from stress.ledger import terminate
from stress.postgres import FAST, Cluster, temporary
from tests.support.postgres import require


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("ledger --kills 2 --restarts 1 --seconds 0.3 --fast", " 0 missing; "),
        ("inbox --events 150 --kills 4 --processes 3 --seed 7 --fast", "150 took effect 1 times"),
    ],
)
def test_nothing_is_lost_and_nothing_done_twice(command: str, expected: str) -> None:
    """Terminated connections, crashes, a failover, and killed receivers."""
    require("initdb")
    done = subprocess.run(
        [sys.executable, "-m", "stress", *command.split()],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert expected in done.stdout


def test_costs_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """Both ledgers are measured in one run; on a busy machine, a bar may be missed."""
    require("initdb")
    assert cost.main(["--orders", "200", "--rounds", "1"]) in (0, 1)
    assert capsys.readouterr().out.count(" of its throughput\n") == 2


async def test_an_answer_waits_for_the_replica_on_each_connection() -> None:
    """The connection is lost while its commit waits for a replica, which is missing here.

    The answer is written by then, but it is not acknowledged before the replica has it.
    """
    require("initdb")
    waiting = """SELECT pid FROM pg_stat_activity
        WHERE application_name = 'paychainhq-ledger' AND wait_event = 'SyncRep'"""
    with temporary("one") as [folder]:
        cluster = Cluster(folder, FAST)
        cluster.create()
        cluster.start()
        PostgresLedger(cluster.dsn).migrate()
        with (
            psycopg.connect(cluster.dsn, autocommit=True) as connection,
            PostgresLedger(cluster.dsn) as ledger,
        ):

            async def blocked(finished: asyncio.Task[None], lost: object = None) -> object:
                """Return the process of the server in which the commit waits; None if it ends."""
                while not finished.done():
                    found = connection.execute(waiting).fetchone()
                    if found not in (None, lost):
                        return found
                    await asyncio.sleep(0.01)
                return None

            made = [intent(f"{number}") for number in range(3000)]
            await asyncio.gather(*map(ledger.begin, made))
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
            for one in made:  # until the setting is in effect
                finished = asyncio.create_task(ledger.finish(one, OK))
                lost = await blocked(finished)
                if lost is not None:
                    break
            terminate(cluster.dsn)
            assert await blocked(finished, lost) is not None
            connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
            connection.execute("SELECT pg_reload_conf()")
            await finished
            assert states(ledger)[one.key] == "finished"
