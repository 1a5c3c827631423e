"""Cases of entries: states, transitions, concurrency, reading and removing."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from paychainhq.ledger.base import Answer
from paychainhq.ledger.contract.parts import CREATE, NO, OK, Cases, FullLedger, intent, run, states


class EntryCases(Cases):
    """Cases of intents and answers."""

    # --- states ---

    def test_an_intent_is_new_once(self, ledger: FullLedger) -> None:
        """A second `begin` returns the unfinished entry with the time of the first."""
        before = time.time()
        assert run(ledger.begin(intent("k"))) is None
        entry = run(ledger.begin(intent("k")))
        assert entry is not None
        assert (entry.operation, entry.key, entry.fingerprint, entry.credential) == (
            CREATE,
            "k",
            "f",
            "c",
        )
        assert entry.state == "unfinished"
        assert before - 2 <= entry.started_at <= time.time() + 2

    def test_an_entry_ages(self, ledger: FullLedger) -> None:
        """The age is that of the moment at which the entry is read."""
        run(ledger.begin(intent("k")))
        time.sleep(0.05)
        entry = run(ledger.begin(intent("k")))
        assert entry is not None
        time.sleep(0.05)
        (again,) = ledger.entries()
        assert 0.04 < entry.age < again.age - 0.04 < 3600

    def test_a_key_belongs_to_its_operation(self, ledger: FullLedger) -> None:
        """Two operations may use one key."""
        assert run(ledger.begin(intent("k"))) is None
        assert run(ledger.begin(intent("k", operation="invoices.cancel"))) is None

    def test_a_response_is_kept_unchanged(self, ledger: FullLedger) -> None:
        """A finished entry holds status, request id and every byte of the body, under any key."""
        body, odd = bytes(range(256)), "a\\b\"c{d},e'f NULL \u00fc"
        made = intent(odd)
        run(ledger.begin(made))
        run(ledger.finish(made, Answer(299, None, body)))
        entry = run(ledger.begin(intent(odd, "another")))
        assert entry is not None
        assert (entry.key, entry.state, entry.fingerprint) == (odd, "finished", "f")
        assert entry.answer == Answer(299, None, body)

    def test_a_response_without_an_entry_is_ignored(self, ledger: FullLedger) -> None:
        """A key that was not begun, or was forgotten, gets no entry."""
        made = intent("k")
        run(ledger.finish(made, OK))
        assert run(ledger.begin(made)) is None
        ledger.forget(CREATE, "k")
        run(ledger.finish(made, OK))
        assert states(ledger) == {}

    # --- transitions ---

    def test_a_success_is_final(self, ledger: FullLedger) -> None:
        """Neither a refusal nor another success of any attempt replaces a success."""
        first, second = intent("k"), intent("k")
        run(ledger.begin(first))
        run(ledger.begin(second))
        run(ledger.finish(second, OK))
        for made in (first, second):
            run(ledger.finish(made, NO))
            run(ledger.finish(made, Answer(200, "req_2", b"later")))
        (entry,) = ledger.entries()
        assert entry.answer == OK

    def test_a_refusal_of_the_attempt_that_began_is_recorded(self, ledger: FullLedger) -> None:
        """The entry is refused; another body or credential may then begin it again."""
        made = intent("k")
        run(ledger.begin(made))
        run(ledger.finish(made, NO))
        assert states(ledger) == {"k": "refused"}
        assert run(ledger.begin(intent("k", "g", credential="d"))) is None
        entry = run(ledger.begin(intent("k", "g", credential="d")))
        assert entry is not None
        assert (entry.state, entry.fingerprint, entry.credential) == ("unfinished", "g", "d")

    def test_a_late_refusal_changes_nothing_once_another_attempt_was_sent(
        self, ledger: FullLedger
    ) -> None:
        """An attempt that finds the entry unfinished takes it over."""
        first, second = intent("k"), intent("k")
        run(ledger.begin(first))
        assert run(ledger.begin(second)) is not None
        run(ledger.finish(first, NO))
        assert states(ledger) == {"k": "unfinished"}

    @pytest.mark.parametrize("difference", [{"fingerprint": "g"}, {"credential": "d"}])
    def test_only_the_same_request_takes_over(
        self, ledger: FullLedger, difference: dict[str, str]
    ) -> None:
        """Another body or credential is not sent, so the first attempt's refusal counts."""
        first = intent("k")
        run(ledger.begin(first))
        entry = run(ledger.begin(intent("k", **difference)))
        assert entry is not None
        assert (entry.fingerprint, entry.credential) == ("f", "c")
        run(ledger.finish(first, NO))
        assert states(ledger) == {"k": "refused"}

    @pytest.mark.parametrize("late", [OK, NO])
    def test_a_late_response_is_not_stored_under_another_body(
        self, ledger: FullLedger, late: Answer
    ) -> None:
        """An entry that began again with another body ignores responses to the first one."""
        first = intent("k")
        run(ledger.begin(first))
        run(ledger.finish(first, NO))
        run(ledger.begin(intent("k", "g")))
        run(ledger.finish(first, late))
        (entry,) = ledger.entries()
        assert (entry.state, entry.fingerprint) == ("unfinished", "g")

    def test_a_success_of_any_attempt_counts(self, ledger: FullLedger) -> None:
        """A late success of the same body finishes an entry that was refused or taken over."""
        first, second, third = intent("k"), intent("k"), intent("r")
        run(ledger.begin(first))
        run(ledger.begin(second))
        run(ledger.finish(first, OK))
        run(ledger.begin(third))
        run(ledger.finish(third, NO))
        run(ledger.finish(intent("r"), OK))
        assert states(ledger) == {"k": "finished", "r": "finished"}

    # --- concurrency ---

    def test_one_of_many_tasks_begins(self, ledger: FullLedger) -> None:
        """One of twenty tasks gets a new or refused key as new."""

        async def begin_together(fingerprint: str) -> int:
            found = await asyncio.gather(
                *(ledger.begin(intent("k", fingerprint)) for _ in range(20))
            )
            return found.count(None)

        assert run(begin_together("f")) == 1
        (entry,) = ledger.entries()
        assert entry.attempt is not None
        run(ledger.finish(intent("k", attempt=entry.attempt), NO))
        assert run(begin_together("g")) == 1

    def test_many_threads_with_loops_of_their_own(self, ledger: FullLedger) -> None:
        """Each thread's entries are finished."""

        async def work(thread: int) -> None:
            for number in range(50):
                made = intent(f"{thread}-{number}")
                assert await ledger.begin(made) is None
                await ledger.finish(made, OK)

        threads = [
            threading.Thread(target=lambda thread=thread: run(work(thread))) for thread in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(ledger.entries("finished"))) == 200

    # --- reading and removing ---

    def test_entries_are_read_compacted_and_forgotten(self, ledger: FullLedger) -> None:
        """Entries are read oldest first; only finished and refused ones are compacted.

        A missing entry cannot be forgotten.
        """

        async def fill() -> None:
            made = [intent(f"k{number}") for number in range(30)]
            for one in made:
                await ledger.begin(one)
            for number, one in enumerate(made[:20]):
                await ledger.finish(one, OK if number % 2 else NO)

        run(fill())
        assert [entry.key for entry in ledger.entries()] == [f"k{number}" for number in range(30)]
        assert [
            len(list(ledger.entries(state))) for state in ("unfinished", "finished", "refused")
        ] == [10, 10, 10]
        assert ledger.compact(older_than=3600) == 0
        time.sleep(0.05)
        assert ledger.compact(older_than=0.01) == 20
        ledger.forget(CREATE, "k25")
        with pytest.raises(LookupError):
            ledger.forget(CREATE, "k25")
        assert len(list(ledger.entries())) == 9

    def test_answers_keep_their_own_time(self, ledger: FullLedger) -> None:
        """A success that replaces a refusal is as old as the success."""
        made = intent("k")
        run(ledger.begin(made))
        run(ledger.finish(made, NO))
        time.sleep(0.3)
        run(ledger.finish(intent("k"), OK))
        # A busy machine may need longer, and then removes an entry that is old enough.
        assert ledger.compact(older_than=3600) == 0
        assert states(ledger) == {"k": "finished"}
        time.sleep(0.05)
        assert ledger.compact(older_than=0.01) == 1
        assert states(ledger) == {}

    def test_a_compacted_key_begins_anew(self, ledger: FullLedger) -> None:
        """A removed entry leaves nothing: its key may stand for another request."""
        made = intent("k")
        run(ledger.begin(made))
        run(ledger.finish(made, OK))
        time.sleep(0.05)
        assert ledger.compact(older_than=0.01) == 1
        assert run(ledger.begin(intent("k", "g"))) is None
        run(ledger.finish(made, OK))
        assert states(ledger) == {"k": "unfinished"}
