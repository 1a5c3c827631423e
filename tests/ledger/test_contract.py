"""Contract of a ledger, over each backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from paychainhq.ledger import MemoryLedger, PostgresLedger, SQLiteLedger
from paychainhq.ledger.contract import (
    LedgerContract,
    Open,
    RemoteLedgerContract,
    SharedLedgerContract,
)
from tests.support.postgres import Database


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def open_ledger(self) -> Open:
        ledger = MemoryLedger()
        return lambda: ledger


class TestSQLiteLedger(SharedLedgerContract):
    @pytest.fixture(params=[False, True], ids=["fast", "durable"])
    def open_ledger(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
        with ExitStack() as opened:
            yield lambda: opened.enter_context(
                SQLiteLedger(tmp_path / "ledger.db", durable=request.param)
            )


class TestPostgresLedger(RemoteLedgerContract):
    @pytest.fixture(params=["direct", "pgbouncer"])
    def open_ledger(self, request: pytest.FixtureRequest, postgres: Database) -> Iterator[Open]:
        schema = postgres.schema()

        def opening() -> PostgresLedger:
            if request.param == "direct":
                return PostgresLedger(postgres.dsn, schema=schema)
            return PostgresLedger(
                postgres.pooled, schema=schema, durable=False, prepare_threshold=None
            )

        with ExitStack() as opened:
            yield lambda: opened.enter_context(opening())
