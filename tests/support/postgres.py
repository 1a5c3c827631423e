"""PostgreSQL for the tests: one private server per run, with a database for each worker."""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

import attrs
import psycopg
import pytest
from psycopg import sql

from paychainhq.ledger import PostgresLedger
from stress.postgres import FAST, Cluster, find

NEEDED = "NEED_POSTGRES" in os.environ  # then nothing is skipped
# The workers of a run hold the lock. However they end, the servers are stopped after the last one.
KEEPER = """
import fcntl, os, pathlib, shutil, signal, sys
from stress.postgres import Cluster
folder = pathlib.Path(sys.argv[1])
with (folder / "used").open() as used:
    fcntl.flock(used, fcntl.LOCK_EX)
bouncer = folder / "pgbouncer.pid"
if bouncer.exists():
    os.kill(int(bouncer.read_text()), signal.SIGKILL)
Cluster(folder).stop()
shutil.rmtree(folder)
"""


def require(program: str) -> None:
    """Skip the test, or fail it in continuous integration, if a program is not installed."""
    if find(program) is None:
        message = f"{program} is not installed (Debian: postgresql, pgbouncer)"
        pytest.fail(message) if NEEDED else pytest.skip(message)


@attrs.define
class Database:
    """Database of one worker.

    Attributes:
        cluster: The server.
        name: The name of the database.
    """

    cluster: Cluster
    name: str
    _numbers: Iterator[int] = attrs.field(factory=count)

    @property
    def dsn(self) -> str:
        return f"host={self.cluster.folder} user=postgres dbname={self.name}"

    @property
    def pooled(self) -> str:
        """Connection string by way of a pgbouncer in transaction mode."""
        require("pgbouncer")
        with _locked(self.cluster.folder / "start"):
            self.cluster.start_bouncer()
        return f"{self.dsn} port=6432"

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.dsn, autocommit=True)

    def url(self) -> str:
        """Return the address of a new schema, in which tables are made and found."""
        name = f"plain_{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        folder = quote(str(self.cluster.folder), safe="")
        return f"postgresql://postgres@/{self.name}?host={folder}&options=-csearch_path%3D{name}"

    def schema(self, *, migrated: bool = True) -> str:
        """Create a schema with a new name, and the tables in it."""
        name = f'schema {next(self._numbers)}"%s'
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        if migrated:
            PostgresLedger(self.dsn, schema=name).migrate()
        return name


@contextmanager
def shared_database() -> Iterator[Database]:
    """Create a database on the server of this run, which the first worker starts."""
    require("initdb")
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"paychainhq-{run[:12]}"
    folder.mkdir(exist_ok=True)
    cluster = Cluster(folder, FAST)
    with (folder / "used").open("w") as used:
        with _locked(folder / "start"):
            fcntl.flock(used, fcntl.LOCK_SH)
            if not (folder / "data").exists():
                cluster.create()
                cluster.start()
                arguments = [sys.executable, "-c", KEEPER, str(folder)]
                environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
                # Not a `Popen`, which must be waited for. Ctrl-C does not reach its process group.
                os.posix_spawn(sys.executable, arguments, environment, setpgroup=0)
            name = f"worker_{os.getpid()}"
            with psycopg.connect(cluster.dsn, autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield Database(cluster, name)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
