"""Rules of a ledger entry: the table covers every case, and both ledgers follow it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paychainhq.ledger import Answer, Entry, MemoryLedger, PostgresLedger, SQLiteLedger
from paychainhq.ledger.base import State
from paychainhq.ledger.contract.parts import CREATE, intent
from paychainhq.ledger.rules import RULES, Event, changed, event_of
from tests.support.often import often
from tests.support.postgres import Database

DONE = Answer(200, "req_1", b'{"id":"inv_1"}')
REFUSED = Answer(400, None, b"{}")
MINE = intent("k", "f", credential="mine", attempt="1")


def entry(state: State) -> Entry:
    answers: dict[State, Answer | None] = {"unfinished": None, "finished": DONE, "refused": REFUSED}
    return Entry(CREATE, "k", "f", 0.0, answers[state], "mine", "1")


def test_the_table_has_each_state_and_event() -> None:
    """The table has one row for each state and event that can occur."""
    events = set(get_args(Event))
    wanted = {(state, event) for state in get_args(State) for event in events}
    assert set(RULES) == wanted | {
        (None, event) for event in events if not event.endswith("_other")
    }


def test_the_table_keeps_finished_entries() -> None:
    """No event leads out of `finished`, and only a success leads into it."""
    assert {RULES["finished", event] for event in get_args(Event)} == {("finished", "none")}
    assert {
        event
        for (_, event), (after, change) in RULES.items()
        if after == "finished" and change != "none"
    } == {"success"}


@pytest.mark.parametrize("row", RULES, ids=lambda row: f"{row[0]}-{row[1]}")
def test_the_state_after_an_event_is_that_of_the_table(row: tuple[State | None, Event]) -> None:
    """The change of a row leads to the state of the row."""
    state, event = row
    before = None if state is None else entry(state)
    kind, _, other = event.partition("_")
    given = {
        "begin": intent("k", "g", credential="mine") if other else MINE,
        "success": intent("k", "g", attempt="1") if other else intent("k", "f", attempt="2"),
        "refusal": intent("k", "f", attempt="2") if other else MINE,
    }[kind]
    answer = {"begin": None, "success": DONE, "refusal": REFUSED}[kind]
    assert event_of(before, given, answer) == event
    after = changed(before, given, answer, 5.0)
    assert (None if after is None else after.state) == RULES[row][0]


@pytest.mark.parametrize(
    ("given", "event"),
    [
        (intent("k", "f", credential="mine"), "begin"),
        (intent("k", "g", credential="mine"), "begin_other"),
        (intent("k", "f", credential="theirs"), "begin_other"),
    ],
)
def test_the_event_of_a_begin_depends_on_body_and_credential(given: Any, event: Event) -> None:
    """The attempt of a `begin` is always a new one."""
    assert event_of(entry("unfinished"), given) == event


# --- both ledgers against the table ---

keys = st.sampled_from(["a", "b"])
calls = st.builds(  # an attempt has one body and one credential
    lambda key, body, credential, number: intent(
        key, body, credential=credential, attempt=f"{body} {credential} {number}"
    ),
    keys,
    st.sampled_from(["f", "g"]),
    st.sampled_from(["c", "d"]),
    st.integers(1, 3),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), calls),
        st.tuples(st.just("begin together"), st.lists(calls, min_size=2, max_size=4)),
        st.tuples(
            st.just("finish"),
            st.tuples(calls, st.sampled_from([200, 201, 299, 300, 400, 404, 199])),
        ),
        st.tuples(st.just("forget"), keys),
        st.tuples(st.just("compact"), st.sampled_from([0.0, 5.0, 50.0])),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 10.0])),
        st.tuples(st.just("reopen"), st.none()),
    ),
    max_size=30,
)


def test_a_postgres_ledger_follows_the_table(postgres: Database) -> None:
    """The same for a ledger that has a clock of its own."""

    async def follow(ledger: PostgresLedger, steps: list[tuple[str, Any]]) -> None:
        model: dict[str, Entry] = {}

        def begin(asked: Any) -> Entry | None:
            found = model.get(asked.key)
            after = changed(found, asked, None, 0.0)
            assert after is not None
            model[asked.key] = after
            return None if found is None or found.state == "refused" else found

        for step, value in steps:
            if step == "begin":
                assert timeless(await ledger.begin(value)) == begin(value)
            elif step == "begin together":
                found = await asyncio.gather(*(ledger.begin(asked) for asked in value))
                assert list(map(timeless, found)) == [begin(asked) for asked in value]
            elif step == "finish":
                asked, status = value
                answer = Answer(status, None, str(status).encode())
                await ledger.finish(asked, answer)
                after = changed(model.get(asked.key), asked, answer, 0.0)
                if after is not None:
                    model[asked.key] = after
            elif step == "forget" and model.pop(value, None) is not None:
                ledger.forget(CREATE, value)
        assert {entry.key: timeless(entry) for entry in ledger.entries()} == model
        for key in model:
            ledger.forget(CREATE, key)

    with PostgresLedger(postgres.dsn, schema=postgres.schema()) as ledger:

        @given(steps=steps)
        @settings(max_examples=often(160), deadline=None)
        def follows(steps: list[tuple[str, Any]]) -> None:
            asyncio.run(follow(ledger, steps))

        follows()


def timeless(entry: Entry | None) -> Entry | None:
    return entry and attrs.evolve(entry, started_at=0.0)


@pytest.mark.parametrize("kind", ["memory", "file"])
@given(steps=steps)
@settings(max_examples=80, deadline=None)
def test_a_ledger_follows_the_table(
    kind: str, steps: list[tuple[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Entries follow from the rules and all earlier calls, in batches and after a reopening too."""
    path = tmp_path_factory.mktemp("model") / "ledger.db"
    model: dict[str, Entry] = {}
    answered: dict[str, float] = {}
    now = 1_000_000.0

    def begin(given: Any) -> Entry | None:
        found = model.get(given.key)
        after = changed(found, given, None, now)
        assert after is not None
        model[given.key] = after
        return None if found is None or found.state == "refused" else found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: now)

        async def run() -> None:
            nonlocal now
            ledger: MemoryLedger | SQLiteLedger = (
                MemoryLedger() if kind == "memory" else SQLiteLedger(path)
            )
            for step, value in steps:
                if step == "begin":
                    assert await ledger.begin(value) == begin(value)
                elif step == "begin together":
                    found = await asyncio.gather(*(ledger.begin(given) for given in value))
                    assert found == [begin(given) for given in value]
                elif step == "finish":
                    given, status = value
                    answer = Answer(status, None, str(status).encode())
                    await ledger.finish(given, answer)
                    after = changed(model.get(given.key), given, answer, now)
                    if after is not None and after is not model.get(given.key):
                        model[given.key], answered[given.key] = after, now
                elif step == "forget":
                    if model.pop(value, None) is None:
                        with pytest.raises(LookupError):
                            ledger.forget(CREATE, value)
                    else:
                        ledger.forget(CREATE, value)
                elif step == "compact":
                    old = [
                        key
                        for key, entry in model.items()
                        if entry.answer is not None and answered[key] < now - value
                    ]
                    assert ledger.compact(older_than=value) == len(old)
                    for key in old:
                        del model[key]
                elif step == "wait":
                    now += value
                elif isinstance(ledger, SQLiteLedger):
                    ledger.close()
                    ledger = SQLiteLedger(path)
            assert {entry.key: entry for entry in ledger.entries()} == model
            if isinstance(ledger, SQLiteLedger):
                ledger.close()

        asyncio.run(run())
