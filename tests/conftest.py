"""Fixtures and settings of all tests."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from paychainhq.ledger import MemoryLedger, SQLiteLedger
from tests.support import faces
from tests.support.often import often
from tests.support.postgres import Database, shared_database

# A busy machine must not fail a test.
settings.register_profile(
    "patient",
    parent=settings.get_profile(settings.get_current_profile_name()),
    deadline=None,
    max_examples=often(100),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")


if os.environ.get("TEST_LOOP") == "uvloop":

    def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
        """Run the async tests on uvloop: `TEST_LOOP=uvloop`."""
        import uvloop

        return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def untouched_logger() -> Iterator[None]:
    """Restore the level of the package's logger after each test and documentation example."""
    logger = logging.getLogger("paychainhq")
    level = logger.level
    yield
    logger.setLevel(level)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with the fixture `face` in both faces, unless it is `async_only`."""
    if "face" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("async_only")
        metafunc.parametrize("face", faces.FACES[:1] if only else faces.FACES, indirect=True)


@pytest.fixture
def face(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the face that `tests.support.faces.PayChainHQ` makes, and return its name."""
    monkeypatch.setattr(faces, "current", request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Database]:
    """Return a database of a private PostgreSQL server."""
    with shared_database() as database:
        yield database


@pytest.fixture(params=["memory", "file"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryLedger | SQLiteLedger]:
    """Return an empty ledger of each kind in turn."""
    if request.param == "memory":
        yield MemoryLedger()
    else:
        with SQLiteLedger(tmp_path / "ledger.db") as made:
            yield made
