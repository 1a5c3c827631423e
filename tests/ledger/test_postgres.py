"""Ledger in PostgreSQL: its tables, its errors, its round trips, and lost connections."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import billiard
import psycopg
import pytest
from psycopg import sql

from paychainhq import ConfigurationError, IdempotencyKeyMismatchError, LedgerError
from paychainhq.ledger import PostgresLedger
from paychainhq.ledger.contract.parts import CREATE, NO, OK, intent, states
from paychainhq.ledger.postgres.connection import Connection
from stress.ledger import terminate
from tests.security.leaks import PASSWORD, all_forms, shown, traced
from tests.support import postgres as support
from tests.support.client import INVOICE, client, invoice
from tests.support.postgres import Database
from tests.support.raw_server import RawServer, http_response

ROOT = Path(__file__).parents[2]


@pytest.fixture
def schema(postgres: Database) -> str:
    return postgres.schema()


@pytest.fixture
def ledger(postgres: Database, schema: str) -> Iterator[PostgresLedger]:
    with PostgresLedger(postgres.dsn, schema=schema) as made:
        yield made


def execute(postgres: Database, schema: str, statement: str) -> list[tuple[object, ...]]:
    """Execute a statement in which {} is the schema."""
    with postgres.connect() as connection:
        cursor = connection.execute(sql.SQL(statement).format(sql.Identifier(schema)))
        return cursor.fetchall() if cursor.description else []


@pytest.mark.usefixtures("face")
async def test_a_call_is_recorded(ledger: PostgresLedger) -> None:
    """A repeat gets the recorded result, and another body under the key is refused."""
    async with (
        RawServer(http_response(INVOICE)) as server,
        client(server.url, idempotency=ledger) as pay,
    ):
        made = await invoice(pay, idempotency_key="order-7")
        assert await invoice(pay, idempotency_key="order-7") == made
        with pytest.raises(IdempotencyKeyMismatchError):
            await invoice(pay, idempotency_key="order-7", description="another")
    assert len(server.requests) == 1
    assert states(ledger) == {"order-7": "finished"}


# --- errors: one clear one each, and nothing is sent ---


def no_server(postgres: Database) -> PostgresLedger:
    return PostgresLedger("host=/nonexistent", patience=0)


def no_database(postgres: Database) -> PostgresLedger:
    return PostgresLedger(f"{postgres.dsn} dbname=another", patience=600)


def no_schema(postgres: Database) -> PostgresLedger:
    return PostgresLedger(postgres.dsn, schema="another")


def no_tables(postgres: Database) -> PostgresLedger:
    return PostgresLedger(postgres.dsn, schema=postgres.schema(migrated=False))


def earlier_tables(postgres: Database) -> PostgresLedger:
    schema = postgres.schema()
    execute(postgres, schema, "DELETE FROM {}.paychainhq_schema")
    return PostgresLedger(postgres.dsn, schema=schema)


def later_tables(postgres: Database) -> PostgresLedger:
    schema = postgres.schema()
    execute(postgres, schema, "INSERT INTO {}.paychainhq_schema (version) VALUES (99)")
    return PostgresLedger(postgres.dsn, schema=schema)


def no_rights(postgres: Database) -> PostgresLedger:
    schema = postgres.schema()
    role = sql.Identifier(f"stranger {schema} {postgres.name}")
    with postgres.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        for rights in ("USAGE ON SCHEMA {}", "SELECT ON {}.paychainhq_schema"):
            grant = sql.SQL(f"GRANT {rights} TO {{}}")
            connection.execute(grant.format(sql.Identifier(schema), role))
    dsn = f"host={postgres.cluster.folder} dbname={postgres.name}"
    return PostgresLedger(f"{dsn} user='{role._obj[0]}'", schema=schema, patience=600)


def a_replica(postgres: Database) -> PostgresLedger:
    options = "-c default_transaction_read_only=on"
    return PostgresLedger(f"{postgres.dsn} options='{options}'", patience=0)


def a_replica_by_way_of_a_proxy(postgres: Database) -> PostgresLedger:
    options = "-c default_transaction_read_only=on"
    dsn = f"{postgres.dsn} target_session_attrs=any options='{options}'"
    return PostgresLedger(dsn, schema=postgres.schema(), patience=0)


PROBLEMS: dict[Callable[[Database], PostgresLedger], str] = {
    no_server: "unusable: .*/nonexistent",
    no_database: '"another" does not exist',
    no_schema: r"call `migrate\(\)`",
    no_tables: r"call `migrate\(\)`",
    earlier_tables: r"version 0, .* version 1: call `migrate\(\)`",
    later_tables: "version 99, .* version 1: update the package",
    no_rights: "permission denied .*; grant the role",
    a_replica: "read-only",
    a_replica_by_way_of_a_proxy: "name the primary",
}


@pytest.mark.usefixtures("face")
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.__name__)
async def test_an_unusable_ledger_is_one_clear_error(
    postgres: Database, problem: Callable[[Database], PostgresLedger]
) -> None:
    """The call raises `LedgerError` with the cause, and nothing is sent."""
    with problem(postgres) as ledger:
        async with (
            RawServer(http_response(INVOICE)) as server,
            client(server.url, idempotency=ledger) as pay,
        ):
            with pytest.raises(LedgerError, match=PROBLEMS[problem]) as caught:
                await invoice(pay, idempotency_key="order-7")
        assert (caught.value.sent, caught.value.idempotency_key) == ("no", "order-7")
        assert "\n" not in str(caught.value)
        assert server.requests == []
        with pytest.raises(LedgerError, match=PROBLEMS[problem]):
            ledger.claims.claim("evt_1", "a", 60)


@pytest.mark.parametrize("dsn", [f"postgresql//me:{PASSWORD}@host/payments", f"{PASSWORD} = = 1"])
def test_an_invalid_connection_string_is_refused(dsn: str) -> None:
    """The error quotes nothing of it, since it may hold a password."""
    with pytest.raises(LedgerError, match="dsn must be a connection string") as caught:
        PostgresLedger(dsn)
    assert shown(traced(caught.value) + all_forms(caught.value)) == []


def test_the_password_is_not_shown() -> None:
    """Neither the ledger nor an error of a connection that fails shows it."""
    ledger = PostgresLedger(f"host=/nonexistent password={PASSWORD}", patience=0)
    with pytest.raises(LedgerError) as caught:
        ledger.claims.settle("evt_1")
    assert shown(traced(caught.value) + all_forms(caught.value) + repr(vars(ledger))) == []
    assert shown(repr(ledger) + repr(vars(ledger._connection))) == []


def test_without_psycopg_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the constructor needs psycopg."""
    for name in [name for name in sys.modules if name.startswith("paychainhq.ledger.postgres.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'paychainhq\[postgres\]'"):
        PostgresLedger("")


def test_a_closed_ledger_refuses(ledger: PostgresLedger) -> None:
    """Closing twice is harmless; a later use is an error."""
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        asyncio.run(ledger.begin(intent("k")))
    with pytest.raises(LedgerError, match="closed"):
        ledger.claims.settle("evt_1")


# --- migration ---


def test_migrations_at_once_and_again(postgres: Database) -> None:
    """Several deployments may migrate at once, and a later one changes nothing."""
    schema = postgres.schema(migrated=False)
    failures: list[Exception] = []

    def migrate() -> None:
        try:
            PostgresLedger(postgres.dsn, schema=schema).migrate()
        except LedgerError as error:
            failures.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    migrate()
    assert failures == []
    assert execute(postgres, schema, "SELECT version FROM {}.paychainhq_schema") == [(1,)]


def test_tables_of_another_tool(postgres: Database) -> None:
    """The printed SQL makes the tables that `migrate` makes; then nothing is left to migrate."""
    schema = postgres.schema(migrated=False)
    with postgres.connect() as connection:
        connection.execute(PostgresLedger.migration(schema).encode())
    with PostgresLedger(postgres.dsn, schema=schema) as ledger:
        ledger.migrate()
        assert asyncio.run(ledger.begin(intent("k"))) is None


def test_the_search_path_is_the_default(postgres: Database) -> None:
    """Without `schema`, tables are made and found on the role's search path."""
    url = postgres.url()
    with PostgresLedger(url) as ledger:
        ledger.migrate()
        assert asyncio.run(ledger.begin(intent("k"))) is None
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT key, state FROM paychainhq_entries").fetchall()
    assert found == [("k", "unfinished")]


def test_the_documented_rights_suffice(postgres: Database) -> None:
    """A role with the rights of docs/scale-out.md uses every method but `migrate`."""
    url = postgres.url()
    PostgresLedger(url).migrate()
    grants = (ROOT / "docs" / "scale-out.md").read_text(encoding="utf-8")
    grants = grants.partition("```sql\n")[2].partition("```")[0]
    role = f"worker_{postgres.name}"
    with psycopg.connect(url, autocommit=True) as connection:
        (schema,) = connection.execute("SELECT current_schema").fetchone() or ()
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}".encode())
        connection.execute(grants.replace(" worker;", f" {role};").encode())
    with PostgresLedger(url.replace("postgres@", f"{role}@")) as ledger:
        for answered in (NO, OK):
            made = intent("k")
            assert asyncio.run(ledger.begin(made)) is None
            asyncio.run(ledger.finish(made, answered))
        assert asyncio.run(ledger.begin(intent("k"))) is not None
        claims = ledger.claims
        assert claims.claim("a", "a", 60) == claims.claim("b", "a", 60) == "claimed"
        claims.release("a", "a")
        claims.settle("b")
        asyncio.run(ledger.begin(intent("other")))
        ledger.forget(CREATE, "other")
        assert states(ledger) == {"k": "finished"}
        ledger.compact(older_than=0)
    with psycopg.connect(url.replace("postgres@", f"{role}@")) as connection:
        connection.execute("SELECT * FROM paychainhq_entries")


@pytest.mark.parametrize("problem", [no_server, no_schema, later_tables])
def test_a_migration_that_fails(
    postgres: Database, problem: Callable[[Database], PostgresLedger]
) -> None:
    """A failed migration is a `LedgerError` too."""
    with problem(postgres) as ledger, pytest.raises(LedgerError):
        ledger.migrate()


# --- cost ---


async def test_round_trips(ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of new keys takes one round trip; one that has known keys takes two."""
    trips: list[bytes] = []
    execute = Connection.execute

    def counting(self: Connection, query: bytes, arguments: Any) -> Any:
        trips.append(query)
        return execute(self, query, arguments)

    monkeypatch.setattr(Connection, "execute", counting)

    def count(act: Callable[[], object]) -> int:
        trips.clear()
        act()
        return len(trips)

    made = [intent(f"k{number}") for number in range(40)]
    answers = [(one, OK if number % 4 else NO) for number, one in enumerate(made[:20])]
    write = ledger._store.write
    assert count(lambda: write(made[:20], [])) == 1
    assert count(lambda: write(made[20:], answers)) == 1
    assert count(lambda: write([], [(one, OK) for one in made[30:]])) == 1
    again = [intent(f"k{number}") for number in range(50)]
    assert count(lambda: write(again, [])) == 2
    assert states(ledger) == {
        f"k{number}": "finished"
        if (number < 20 and number % 4) or 30 <= number < 40
        else "unfinished"
        for number in range(50)
    }


async def test_begin_and_finish_leave_no_dead_rows(postgres: Database, schema: str) -> None:
    """Rows are only inserted: nothing is left for vacuum."""
    with PostgresLedger(postgres.dsn, schema=schema) as ledger:
        for number in range(200):
            made = intent(f"k{number}")
            await ledger.begin(made)
            await ledger.finish(made, OK if number % 4 else NO)
    statistics = """SELECT sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_del), sum(n_dead_tup)
        FROM pg_stat_user_tables WHERE schemaname = {} AND relname <> 'paychainhq_schema'"""
    with postgres.connect() as connection:
        query = sql.SQL(statistics).format(sql.Literal(schema))
        while (found := connection.execute(query).fetchone()) and found[0] != 400:
            await asyncio.sleep(0.05)  # the server counts a while after the connection has ended
    assert found == (400, 0, 0, 0)


# --- lost connections ---


async def test_a_terminated_connection_is_reopened(
    postgres: Database, ledger: PostgresLedger
) -> None:
    """Entries, claims and reads go on, and nothing is missing."""
    for number in range(5):
        made = intent(f"k{number}")
        assert await ledger.begin(made) is None
        terminate(postgres.dsn)
        await ledger.finish(made, OK)
        terminate(postgres.dsn)
        assert ledger.claims.claim(f"e{number}", "a", 60) == "claimed"
    terminate(postgres.dsn)
    assert set(states(ledger).values()) == {"finished"}


async def test_a_statement_whose_response_is_lost_is_repeated(
    ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement may be executed twice: its own attempt and holder are recognized."""
    real = psycopg.Connection.execute
    lost: set[str] = set()

    def losing(self: Any, query: Any, arguments: Any = None, **options: Any) -> Any:
        cursor = real(self, query, arguments, **options)
        if (name := f"{query} {arguments}") not in lost:
            lost.add(name)
            raise psycopg.OperationalError("the response is lost")
        return cursor

    monkeypatch.setattr(psycopg.Connection, "execute", losing)
    one, two = intent("one"), intent("two")
    for made, given in ((one, OK), (two, NO)):
        entry = await ledger.begin(made)
        assert entry is not None
        assert (entry.state, entry.attempt) == ("unfinished", made.attempt)
        await ledger.finish(made, given)
    claims = ledger.claims
    assert claims.claim("e", "a", 60) == "claimed"
    claims.release("e", "a")
    assert claims.claim("e", "b", 60) == "claimed"
    claims.settle("e")
    assert claims.claim("e", "a", 60) == "done"
    assert states(ledger) == {"one": "finished", "two": "refused"}
    with pytest.raises(LookupError):  # the repeated removal finds nothing
        ledger.forget(CREATE, "one")
    ledger.compact(older_than=0)
    assert states(ledger) == {}


async def test_a_claim_does_not_wait_for_the_handler_of_another_process(
    postgres: Database, ledger: PostgresLedger, schema: str
) -> None:
    """The handler's transaction has locked its claim; another delivery gets "held" at once."""
    claims = ledger.claims
    assert claims.claim("evt_1", "a", 60) == "claimed"
    with postgres.connect() as connection, connection.transaction():
        update = sql.SQL("UPDATE {}.paychainhq_claims SET done_at = clock_timestamp()")
        connection.execute(update.format(sql.Identifier(schema)))
        assert claims.claim("evt_1", "b", 60) == "held"
    assert claims.claim("evt_1", "b", 60) == "done"


# --- forks ---


def test_celery_prefork(postgres: Database, schema: str) -> None:
    """The processes of Celery's prefork pool use a ledger that was used before the fork."""
    ledger = PostgresLedger(postgres.dsn, schema=schema)
    assert asyncio.run(ledger.begin(intent("before"))) is None

    def work(number: int) -> None:
        async def run() -> None:
            made = intent(f"child {number}")
            assert await ledger.begin(made) is None
            await ledger.finish(made, OK)

        asyncio.run(run())

    processes = [billiard.Process(target=work, args=(number,)) for number in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forks beside the ledger's thread
        for process in processes:
            process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert asyncio.run(ledger.begin(intent("after"))) is None
    assert set(states(ledger)) == {"before", "after", "child 0", "child 1", "child 2"}
    ledger.close()


A_HIDDEN_FORK = """
import asyncio, ctypes, os, sys
from paychainhq.ledger import Intent, PostgresLedger
ledger = PostgresLedger(sys.argv[1], schema=sys.argv[2])
def begin(key):
    return asyncio.run(ledger.begin(Intent("invoices.create", key, "f", "c", key)))
assert ledger.claims.claim("e", "a", 600) == "claimed"
child = ctypes.CDLL(None).fork()
if child == 0:
    os._exit(0 if begin("child") is None and ledger.claims.claim("e", "b", 600) == "held" else 1)
assert os.waitpid(child, 0)[1] == 0
assert begin("parent") is None and begin("child") is not None
ledger.close()
"""


def test_a_fork_unknown_to_python(postgres: Database, schema: str) -> None:
    """A child of C's `fork` opens a connection of its own; the parent keeps the first one."""
    command = [sys.executable, "-W", "error", "-c", A_HIDDEN_FORK, postgres.dsn, schema]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_missing_server_skips_its_tests_or_fails_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Continuous integration sets NEED_POSTGRES, and then nothing is skipped."""
    monkeypatch.setattr(support, "NEEDED", False)
    with pytest.raises(pytest.skip.Exception, match="initdb-of-mars is not installed"):
        support.require("initdb-of-mars")
    monkeypatch.setattr(support, "NEEDED", True)
    with pytest.raises(pytest.fail.Exception, match="initdb-of-mars is not installed"):
        support.require("initdb-of-mars")
