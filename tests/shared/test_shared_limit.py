"""Clients with a shared rate limit in PostgreSQL: totals, lost stores, forks, loops, closing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from paychainhq import ConfigurationError, LedgerError, RateLimit
from paychainhq.shared import SharedRateLimit
from stress.limit import Setup, run_round
from stress.postgres import FAST, Cluster, temporary
from tests.security.leaks import PASSWORD, all_forms, shown, traced
from tests.support.client import INVOICE, client, invoice
from tests.support.postgres import Database, require
from tests.support.raw_server import RawServer, http_response

pytestmark = pytest.mark.usefixtures("face")
no_face = pytest.mark.async_only("makes no client of its own")

LIMIT = RateLimit(50, burst=1)


@pytest.fixture
def dsn(postgres: Database) -> str:
    """Return the address of a new schema with the tables of a line."""
    address = postgres.url()
    SharedRateLimit(LIMIT, address).migrate()
    return address


@pytest.fixture
def tidy(postgres: Database) -> Iterator[None]:
    """Verify that each client closes its connection."""
    yield
    until = time.monotonic() + 20
    while connections(postgres):
        assert time.monotonic() < until
        time.sleep(0.05)


def connections(postgres: Database) -> int:
    with postgres.connect() as connection:
        rows = connection.execute(
            "SELECT FROM pg_stat_activity WHERE application_name = 'paychainhq-limit'"
            " AND datname = current_database()"
        ).fetchall()
    return len(rows)


async def invoices(pay: Any, number: int) -> None:
    await asyncio.gather(*(invoice(pay) for _ in range(number)))


@pytest.mark.usefixtures("tidy")
async def test_clients_share_the_limit(dsn: str) -> None:
    """Two clients with one name take at least the time of all their requests."""
    async with RawServer(http_response(INVOICE)) as server:
        limit = SharedRateLimit(LIMIT, dsn, name="live")
        async with (
            client(server.url, rate_limit=limit) as one,
            client(server.url, rate_limit=SharedRateLimit(LIMIT, dsn, name="live")) as two,
            client(server.url, rate_limit=SharedRateLimit(LIMIT, dsn, name="other")) as other,
        ):
            began = time.monotonic()
            await invoices(other, 1)
            await asyncio.gather(invoices(one, 20), invoices(two, 20))
        assert time.monotonic() - began >= 39 / 50 - 0.1  # turns may be late by this
        assert len(server.requests) == 41


@pytest.mark.usefixtures("tidy")
@pytest.mark.async_only("event loops of its own")
def test_one_limit_in_several_event_loops(dsn: str) -> None:
    limit = SharedRateLimit(LIMIT, dsn)

    async def run() -> None:
        async with (
            RawServer(http_response(INVOICE)) as server,
            client(server.url, rate_limit=limit) as pay,
        ):
            await invoices(pay, 3)
            assert len(server.requests) == 3

    asyncio.run(run())
    asyncio.run(run())


async def test_a_schema_by_way_of_a_pooler(postgres: Database) -> None:
    """A pgbouncer in transaction mode, and a schema whose name must be quoted."""
    schema = postgres.schema(migrated=False)
    assert SharedRateLimit.migration(schema).count("CREATE ") == 3
    dsn = f"{postgres.pooled} application_name=pooled"  # the pooler keeps these connections
    limit = SharedRateLimit(LIMIT, dsn, schema=schema, prepare_threshold=None)
    limit.migrate()
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, rate_limit=limit) as one,
        client(server.url, rate_limit=limit) as two,
    ):
        began = time.monotonic()
        await asyncio.gather(invoices(one, 10), invoices(two, 10))
        assert time.monotonic() - began >= 19 / 50 - 0.1


async def test_missing_tables_are_one_clear_error(postgres: Database) -> None:
    """The first call raises, and nothing is sent; after the migration, calls succeed."""
    limit = SharedRateLimit(LIMIT, postgres.url())
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, rate_limit=limit) as pay,
    ):
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=r"call `migrate\(\)` once"):
                await invoice(pay)
        assert server.requests == []
        limit.migrate()
        limit.migrate()
        await invoice(pay)


@pytest.mark.parametrize("members", [1, 10])
async def test_the_store_cannot_be_reached(members: int, caplog: pytest.LogCaptureFixture) -> None:
    """The client has its share of the limit from the start, and the log says so once."""
    limit = SharedRateLimit(
        RateLimit(100), f"host=/nonexistent password={PASSWORD}", members=members
    )
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, rate_limit=limit) as pay,
    ):
        began = time.monotonic()
        await invoices(pay, 8)
        assert time.monotonic() - began >= 7 * members / 100 - 0.1
    assert caplog.text.count("the store of the shared rate limit is away") == 1
    assert shown(caplog.text + repr(limit)) == []


@pytest.mark.usefixtures("tidy")
async def test_a_lease_that_hangs(
    dsn: str, postgres: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The client goes on without the line, leaves no connection behind, and returns."""
    caplog.set_level("INFO", "paychainhq")
    limit = SharedRateLimit(RateLimit(1000, burst=10), dsn, name="stuck")
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, rate_limit=limit) as pay,
    ):
        await invoice(pay)
        with postgres.connect() as holder, holder.transaction():
            schema = dsn.rpartition("%3D")[2]
            holder.execute(f"SELECT FROM {schema}.paychainhq_lines FOR UPDATE".encode())
            for _ in range(3):
                await invoices(pay, 3)
                await asyncio.sleep(0.4)
            until = time.monotonic() + 20
            while connections(postgres) > 1:
                assert time.monotonic() < until
                await asyncio.sleep(0.05)
        while "is back" not in caplog.text:
            assert time.monotonic() < until
            await invoice(pay)
            await asyncio.sleep(0.1)


@no_face
def test_invalid_arguments(postgres: Database) -> None:
    with pytest.raises(ConfigurationError, match="limit must be"):
        SharedRateLimit(5, postgres.dsn)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="members must be"):
        SharedRateLimit(LIMIT, postgres.dsn, members=0)
    with pytest.raises(ConfigurationError, match="name must"):
        SharedRateLimit(LIMIT, postgres.dsn, name=" ")
    with pytest.raises(LedgerError, match="connection string") as caught:
        SharedRateLimit(LIMIT, f"{PASSWORD} = = 1")
    assert shown(traced(caught.value) + all_forms(caught.value)) == []


@no_face
def test_without_psycopg_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("paychainhq.shared.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'paychainhq\[postgres\]'"):
        SharedRateLimit(LIMIT, "")


FORK = """
import logging, os, sys
from paychainhq import RateLimit
from paychainhq.shared import SharedRateLimit
from paychainhq_sync import PayChainHQ

logging.getLogger("paychainhq").addHandler(logging.NullHandler())  # a busy machine: a late lease
url, dsn = sys.argv[1:]
limit = SharedRateLimit(RateLimit(200, burst=5), dsn)
pay = PayChainHQ(api_key="pk_test_1", business_id="biz", base_url=url, rate_limit=limit)
pay.invoices.create("1", "USDC", "eth")
child = os.fork()
for _ in range(20):
    pay.invoices.create("1", "USDC", "eth")
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    pay.invoices.create("1", "USDC", "eth")
pay.close()
"""


@no_face
@pytest.mark.usefixtures("tidy")
async def test_parent_and_child_go_on_after_a_fork(dsn: str) -> None:
    async with RawServer(http_response(INVOICE)) as server:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, server.url, dsn],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert len(server.requests) == 42


@no_face
def test_processes_never_exceed_the_limit() -> None:
    """Three processes, one of them killed, one with a wrong clock, and a lost store: no 429.

    A busy machine may delay requests that have had their turns, so the server tolerates all tasks
    at once. The exact figures are those of `python -m stress limit`.
    """
    require("initdb")
    with temporary("store") as [folder]:
        cluster = Cluster(folder, FAST)
        cluster.create()
        cluster.start()
        limit = RateLimit(90, burst=5)
        SharedRateLimit(limit, cluster.dsn).migrate()
        setup = Setup(
            seconds=5,
            granted=100,
            limit=limit,
            tolerated=50,
            processes=3,
            tasks=5,
            ahead=120,
            killed=1,
            away=1.5,
        )
        seen = run_round(setup, cluster, cluster.dsn, settling=1)
    assert sum(seen.limited) == 0
    assert not seen.errors
    assert len(seen.processes) == 2
    assert 0.3 * 90 * 5 <= sum(seen.accepted) <= 90 * 5 + 50
