"""Kills between any two statements: the ledger's file keeps every promised entry."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paychainhq.ledger import Answer, SQLiteLedger
from paychainhq.ledger.contract.parts import intent

# The states of a key in rank: a promise of a later state includes the earlier ones.
UNKNOWN, BEGUN, FINISHED = 0, 1, 2


@attrs.frozen
class Snapshot:
    """The files of a killed process, with the states promised and requested until then."""

    file: Path
    promised: dict[str, int]
    requested: dict[str, int]


class Recorder:
    """A trace callback that copies the file before each executed statement."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.snapshots: list[Snapshot] = []
        self.promised: dict[str, int] = {}
        self.requested: dict[str, int] = {}

    def __call__(self, statement: str) -> None:
        folder = self.path.parent / f"snapshot-{len(self.snapshots)}"
        folder.mkdir()
        for suffix in ("", "-wal"):
            source = self.path.with_name(self.path.name + suffix)
            if source.exists():
                shutil.copy(source, folder / source.name)
        self.snapshots.append(
            Snapshot(folder / self.path.name, dict(self.promised), dict(self.requested))
        )


def states(path: Path) -> dict[str, int]:
    with SQLiteLedger(path) as ledger:
        return {
            entry.key: FINISHED if entry.state == "finished" else BEGUN
            for entry in ledger.entries()
        }


async def record(
    ledger: SQLiteLedger, recorder: Recorder, groups: list[list[tuple[str, bool]]]
) -> None:
    """Record groups of keys at once, finished or only begun; note requested and promised states."""

    async def one(key: str, finish: bool) -> None:
        recorder.requested[key] = max(recorder.requested.get(key, UNKNOWN), BEGUN)
        made = intent(key)
        await ledger.begin(made)
        recorder.promised[key] = max(recorder.promised.get(key, UNKNOWN), BEGUN)
        if finish:
            recorder.requested[key] = FINISHED
            await ledger.finish(made, Answer(200, None, b"{}"))
            recorder.promised[key] = FINISHED

    for group in groups:
        await asyncio.gather(*(one(key, finish) for key, finish in group))


group = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.booleans()),
    min_size=1,
    max_size=4,
    unique_by=lambda item: item[0],
)


@given(groups=st.lists(group, min_size=1, max_size=3))
@settings(max_examples=15, deadline=None)
def test_a_kill_between_any_two_statements(
    groups: list[list[tuple[str, bool]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The file opens, and has each promised entry and none that was not requested."""
    path = tmp_path_factory.mktemp("crash") / "ledger.db"
    recorder = Recorder(path)
    real: Any = sqlite3.connect

    def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = real(*args, **kwargs)
        connection.set_trace_callback(recorder)
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", traced)
        with SQLiteLedger(path) as ledger:
            asyncio.run(record(ledger, recorder, groups))
    assert len(recorder.snapshots) > 10
    for snapshot in recorder.snapshots:
        found = states(snapshot.file)
        assert {
            key for key, state in snapshot.promised.items() if found.get(key, UNKNOWN) < state
        } == set()
        assert {
            key for key, state in found.items() if snapshot.requested.get(key, UNKNOWN) < state
        } == set()
