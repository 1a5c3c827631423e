"""Cases of processes and hosts that share a ledger."""

from __future__ import annotations

import asyncio
import time

import pytest

from paychainhq.ledger.contract.parts import (
    NO,
    OK,
    Cases,
    FullLedger,
    Open,
    in_processes,
    intent,
    run,
    states,
)

_DAYS = 2 * 86_400.0


def names_for(process: int, count: int) -> list[str]:
    """Return the same names for each process, in an order of its own."""
    names = [f"{number}" for number in range(count)]
    names = names[process * 7 :] + names[: process * 7]
    return names[::-1] if process % 2 else names


class ProcessCases(Cases):
    """Cases of several processes on one machine."""

    def test_entries_are_read_by_another_opening(self, open_ledger: Open) -> None:
        """Two openings of a ledger share its entries and claims."""
        first, second = open_ledger(), open_ledger()
        made = intent("k")
        assert run(first.begin(made)) is None
        assert run(second.begin(intent("k"))) is not None
        run(first.finish(made, OK))
        assert states(second) == {"k": "finished"}
        assert first.claims.claim("e", "a", 600) == "claimed"
        assert second.claims.claim("e", "b", 600) == "held"

    def test_processes_begin_each_key_once(self, open_ledger: Open) -> None:
        """Exactly one of six processes begins each key, in any order, without a deadlock."""

        async def work(process: int) -> int:
            ledger = open_ledger()
            keys = names_for(process, 200)
            found = await asyncio.gather(*(ledger.begin(intent(key)) for key in keys))
            return found.count(None)

        assert sum(in_processes(lambda process: run(work(process)), 6)) == 200

    def test_processes_begin_refused_keys_once(self, open_ledger: Open) -> None:
        """One of six processes begins a refused key again, and none gets the refusal."""

        async def refuse() -> None:
            ledger = open_ledger()
            made = [intent(key) for key in names_for(0, 50)]
            await asyncio.gather(*(ledger.begin(one) for one in made))
            await asyncio.gather(*(ledger.finish(one, NO) for one in made))

        async def work(process: int) -> int:
            ledger = open_ledger()
            keys = names_for(process, 50)
            found = await asyncio.gather(*(ledger.begin(intent(key, "g")) for key in keys))
            assert all(entry is None or entry.state == "unfinished" for entry in found)
            return found.count(None)

        run(refuse())
        assert sum(in_processes(lambda process: run(work(process)), 6)) == 50

    def test_the_refusal_of_the_last_attempt_counts(self, open_ledger: Open) -> None:
        """Processes take keys over and are refused: in the end, each key is refused."""

        async def work(process: int) -> int:
            ledger = open_ledger()
            for key in names_for(process, 30):
                made = intent(key)
                await ledger.begin(made)
                await ledger.finish(made, NO)
            return process

        in_processes(lambda process: run(work(process)), 4)
        assert set(states(open_ledger()).values()) == {"refused"}

    def test_a_forked_child_goes_on(self, ledger: FullLedger) -> None:
        """Parent and child use an opening that was used before the fork."""

        def work(process: int) -> int:
            assert run(ledger.begin(intent(f"child {process}"))) is None
            assert run(ledger.begin(intent("before"))) is not None
            return process

        assert run(ledger.begin(intent("before"))) is None
        assert ledger.claims.claim("e", "a", 600) == "claimed"
        in_processes(work, 2)
        assert run(ledger.begin(intent("after"))) is None
        assert states(ledger).keys() == {"before", "child 0", "child 1", "after"}
        assert ledger.claims.claim("e", "b", 600) == "held"

    def test_processes_claim_each_name_once(self, open_ledger: Open) -> None:
        """Exactly one of six processes gets each claim."""

        def work(process: int) -> int:
            claims = open_ledger().claims
            taken = [claims.claim(name, f"{process}", 600) for name in names_for(process, 50)]
            return taken.count("claimed")

        assert sum(in_processes(work, 6)) == 50


class HostCases(Cases):
    """Cases of several hosts, whose clocks may differ."""

    @pytest.mark.parametrize("skew", [_DAYS, -_DAYS])
    def test_ages_and_leases_do_not_depend_on_the_hosts_clock(
        self, open_ledger: Open, monkeypatch: pytest.MonkeyPatch, skew: float
    ) -> None:
        """A host whose clock is wrong gets true ages, takes no claim, and removes nothing early."""
        first, second = open_ledger(), open_ledger()
        made = intent("done")
        run(first.begin(intent("k")))
        run(first.begin(made))
        run(first.finish(made, OK))
        assert first.claims.claim("e", "a", 600) == "claimed"
        assert first.claims.claim("short", "a", 0.01) == "claimed"
        time.sleep(0.05)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + skew)
        entry = run(second.begin(intent("k")))
        assert entry is not None
        assert 0 <= entry.age < 600
        assert second.claims.claim("e", "b", 600) == "held"
        assert second.claims.claim("short", "b", 600) == "claimed"
        assert second.compact(older_than=3600) == 0
        time.sleep(0.05)
        assert second.compact(older_than=0.01) == 1
