"""Rule of the line: limiters of several members in simulated time, the rule in PostgreSQL.

The rule reads the time of the server. Here a function of the same name comes first in the search
path, and returns the time of the simulation.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import attrs
import psycopg
import pytest
from psycopg import sql

from paychainhq import LedgerError, RateLimit, Request, Response
from paychainhq.ledger.postgres.connection import prepared
from paychainhq.middleware.leased_turns import Lease, LeasedTurns
from paychainhq.middleware.rate_limit import Limiter
from paychainhq.operations import OPERATIONS
from paychainhq.shared.statements import LEASE, migration
from tests.support.clocks import run_timeless
from tests.support.postgres import Database

OK = Response(200, {}, b"")
LIMIT = RateLimit(380, burst=19)
CLOCK = """CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql
    AS $$ SELECT to_timestamp(current_setting('simulated.now')::float8) $$"""
_numbers = count()

Connection = psycopg.Connection[Any]


@pytest.fixture
def store(postgres: Database) -> Iterator[Connection]:
    """Return a connection to an empty line with a simulated clock."""
    with postgres.connect() as connection:
        name = sql.Identifier(f"line_{next(_numbers)}")
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        connection.execute(sql.SQL("SET search_path TO {}, pg_catalog").format(name))
        connection.execute(CLOCK)
        connection.execute(migration(None).encode())
        yield connection


@attrs.define
class Fleet:
    """Members of a line, and the times of their requests.

    Attributes:
        sent: The times of the requests, by member.
        leases: The number of leases.
        away: Times between which the store is away.
    """

    store: Connection
    limit: RateLimit
    away: tuple[float, float] = (0, 0)
    sent: dict[int, list[float]] = attrs.field(factory=dict)
    leases: int = 0

    async def run(self, tasks: int, first: float, last: float) -> None:
        """Run a new member between two times; then it vanishes with the turns that it has."""
        member = len(self.sent)
        sent = self.sent[member] = []
        loop = asyncio.get_running_loop()
        await asyncio.sleep(first + random.random() / 10)
        turns = LeasedTurns(_Line(self, str(member)), self.limit, 10)
        limiter = Limiter([], 100, turns)

        async def send(_: Request) -> Response:
            sent.append(loop.time())
            await asyncio.sleep(0.03 * random.uniform(0.5, 1.5))
            return OK

        async def work() -> None:
            while True:
                await limiter(_request(), send)

        working = [asyncio.create_task(work()) for _ in range(tasks)]
        await asyncio.sleep(last - loop.time())
        for task in working:
            task.cancel()
        await asyncio.wait(working)
        await turns.close()

    def rate(self, first: float, last: float) -> float:
        """Return the requests per second between two times."""
        return sum(first <= at < last for at in self.times()) / (last - first)

    def times(self) -> list[float]:
        return sorted(at for sent in self.sent.values() for at in sent)

    def burst(self) -> float:
        """Return the most requests in any period beyond those that the limit permits in it."""
        pace = self.limit.rate / self.limit.per
        level = most = before = 0.0
        for at in self.times():  # a leaking bucket
            level = max(0.0, level - (at - before) * pace) + 1
            before = at
            most = max(most, level)
        return most


@attrs.frozen
class _Line:
    fleet: Fleet
    member: str

    async def lease(self, want: int, alone: int) -> Lease:
        fleet = self.fleet
        await asyncio.sleep(0.001 * random.uniform(0.5, 1.5))
        now = asyncio.get_running_loop().time()
        if fleet.away[0] <= now < fleet.away[1]:
            raise LedgerError("away")
        fleet.leases += 1
        fleet.store.execute("SELECT set_config('simulated.now', %s, false)", (str(1e9 + now),))
        arguments = {
            "name": "line",
            "member": self.member,
            "want": want,
            "alone": alone,
            "rate": fleet.limit.rate / fleet.limit.per,
            "burst": fleet.limit.burst,
        }
        row = fleet.store.execute(prepared(LEASE, None), arguments).fetchone()
        assert row is not None
        return Lease(*row)

    def close(self) -> None:
        pass


def _request() -> Request:
    return Request(
        operation=OPERATIONS["prices.list"],
        path="/",
        headers={},
        body=None,
        idempotency_key=None,
        deadline=1e9,
        retry=None,
    )


def simulate(fleet: Fleet, *members: tuple[int, float, float]) -> None:
    """Run members: tasks, begin and end of each."""
    random.seed(1)

    async def run() -> None:
        await asyncio.gather(*(fleet.run(*member) for member in members))

    run_timeless(run())


@pytest.mark.parametrize(
    ("limit", "members", "tasks", "seconds"),
    [
        (LIMIT, 8, 16, 8),
        (LIMIT, 1, 100, 8),
        (LIMIT, 60, 4, 8),
        (RateLimit(20, burst=1), 8, 4, 40),
        (RateLimit(2, burst=2), 5, 3, 100),
        (RateLimit(90, per=60, burst=5), 3, 3, 100),
    ],
)
def test_the_total_is_exact_and_shared_evenly(
    store: Connection, limit: RateLimit, members: int, tasks: int, seconds: int
) -> None:
    """Few leases serve all requests, and no member has its turns from another one's share."""
    fleet = Fleet(store, limit)
    simulate(fleet, *[(tasks, 0, seconds)] * members)
    pace = limit.rate / limit.per
    assert fleet.rate(seconds / 4, seconds) == pytest.approx(pace, rel=0.01)
    assert fleet.burst() <= (limit.burst or 0) + 1.01
    counts = [len(sent) - bisect_left(sent, seconds / 4) for sent in fleet.sent.values()]
    assert max(counts) <= 1.2 * min(counts) + 2
    most = 0.35 if pace * 0.1 / members > 4 else 1.1
    assert fleet.leases <= most * len(fleet.times()) + members


def test_members_come_and_go(store: Connection) -> None:
    fleet = Fleet(store, LIMIT)
    simulate(fleet, *[(16, 0, 10)] * 3, *[(16, 3, 10)] * 3, *[(16, 0, 6)] * 3)
    for second in range(1, 10):
        assert fleet.rate(second, second + 1) == pytest.approx(
            380, rel=0.06 if second == 6 else 0.01
        )
    assert fleet.burst() <= 20.01


def test_idle_members_cost_no_throughput(store: Connection) -> None:
    """One member has all turns while the others, which were just there, have nothing to send."""
    fleet = Fleet(store, LIMIT)
    simulate(fleet, (40, 0, 6), *[(4, 0, 3)] * 5)
    assert fleet.rate(3.1, 6) == pytest.approx(380, rel=0.01)


def test_the_store_is_away(store: Connection) -> None:
    """Members have their shares, and nothing is sent beyond the limit when they return."""
    fleet = Fleet(store, LIMIT, away=(4, 8))
    simulate(fleet, *[(16, 0, 14)] * 8)
    assert fleet.rate(4, 8) == pytest.approx(380, rel=0.02)
    assert fleet.rate(8, 10) > 0.85 * 380
    assert fleet.rate(10.5, 14) == pytest.approx(380, rel=0.01)
    assert fleet.burst() <= 19 + 8 * 2


def test_the_store_is_away_from_the_start(store: Connection) -> None:
    """Each member has the share of the number of members that was configured."""
    fleet = Fleet(store, LIMIT, away=(0, 3))
    simulate(fleet, *[(16, 0, 8)] * 5)
    assert fleet.rate(0.2, 3) == pytest.approx(190, rel=0.03)
    assert fleet.rate(5, 8) == pytest.approx(380, rel=0.01)


def test_requests_of_each_second(store: Connection) -> None:
    fleet = Fleet(store, LIMIT)
    simulate(fleet, *[(16, 0, 6)] * 8)
    seconds = Counter(int(at) for at in fleet.times())
    assert all(379 <= seconds[second] <= 381 for second in range(1, 5))
