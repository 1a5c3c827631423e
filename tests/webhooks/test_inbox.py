"""Handlers that record their event as done in their own transaction, as documented."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.postgres import Database

ROOT = Path(__file__).parents[2]


def test_documented_handlers_take_effect_once(postgres: Database) -> None:
    """With psycopg, asyncpg, SQLAlchemy and Django: once, and not at all for another's event."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.webhooks.inbox_handlers"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": postgres.url()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 4
    assert all(result == [[200, 200, 503], 1, 1] for result in found.values()), found
