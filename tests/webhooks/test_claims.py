"""Claims: one holder at a time, done for good, free again when the lease has expired."""

from __future__ import annotations

import gc
import random
import threading
import time
import weakref
from collections import Counter
from pathlib import Path

import pytest

import paychainhq_sync.webhooks
from paychainhq import LedgerError, webhooks
from paychainhq.ledger import Intent, MemoryLedger, SQLiteLedger

AnyLedger = MemoryLedger | SQLiteLedger


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list of one number, the seconds by which the clock is set ahead."""
    moved, real = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: real() + moved[0])
    return moved


def test_one_holder_has_the_claim_until_it_is_done(ledger: AnyLedger) -> None:
    """Another holder gets "held", and later "done"."""
    claims = ledger.claims
    assert [claims.claim("e", holder, 10) for holder in ("a", "b", "a")] == [
        "claimed",
        "held",
        "held",
    ]
    claims.settle("e")
    assert [claims.claim("e", holder, 10) for holder in ("a", "b")] == ["done", "done"]
    assert claims.claim("another", "b", 10) == "claimed"


def test_a_lease_expires(ledger: AnyLedger, ahead: list[float]) -> None:
    """The former holder cannot release the claim any more, but it can still be settled."""
    claims = ledger.claims
    claims.claim("e", "a", 10)
    ahead[0] = 9
    assert claims.claim("e", "b", 10) == "held"
    ahead[0] = 11
    assert claims.claim("e", "b", 10) == "claimed"
    claims.release("e", "a")
    assert claims.claim("e", "c", 10) == "held"
    claims.settle("e")
    ahead[0] = 10_000
    assert claims.claim("e", "c", 10) == "done"


def test_old_claims_that_are_done_are_compacted(ledger: AnyLedger, ahead: list[float]) -> None:
    """A held claim stays, however old it is."""
    claims = ledger.claims
    claims.claim("old", "a", 10)
    claims.settle("old")
    claims.claim("held", "a", 10**6)
    ahead[0] = 1000
    claims.claim("new", "a", 10)
    claims.settle("new")
    assert ledger.compact(older_than=500) == 0
    assert [claims.claim(name, "b", 10) for name in ("old", "held", "new")] == [
        "claimed",
        "held",
        "done",
    ]


def test_one_of_many_threads_gets_the_claim(ledger: AnyLedger) -> None:
    """Each of 50 names is claimed exactly once by eight threads."""
    won: list[str] = []

    def work(number: int) -> None:
        names = [str(name) for name in range(50)]
        random.Random(number).shuffle(names)
        won.extend(
            name for name in names if ledger.claims.claim(name, str(number), 100) == "claimed"
        )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(won) == {str(name): 1 for name in range(50)}


def test_claims_outlive_the_ledger(tmp_path: Path) -> None:
    """Claims are in the file; a closed ledger refuses new ones."""
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        ledger.claims.claim("done", "a", 10)
        ledger.claims.settle("done")
        ledger.claims.claim("held", "a", 1000)
    with pytest.raises(LedgerError, match="closed"):
        ledger.claims.claim("new", "a", 10)
    with SQLiteLedger(tmp_path / "ledger.db") as again:
        assert [again.claims.claim(name, "b", 10) for name in ("done", "held", "new")] == [
            "done",
            "held",
            "claimed",
        ]


def test_an_unheld_claim_can_be_settled(ledger: AnyLedger) -> None:
    """An event is recorded as done even if its claim was released, compacted, or never made."""
    claims = ledger.claims
    claims.claim("given up", "a", 10)
    claims.release("given up", "a")
    for name in ("given up", "never claimed"):
        claims.settle(name)
        claims.settle(name)
        assert claims.claim(name, "b", 10) == "done"


def test_parts_keep_their_ledger(tmp_path: Path) -> None:
    """Claims, entries and a job's ledger keep the file open, and close it when they are gone.

    Nothing else refers to the ledger in this test.
    """
    path = tmp_path / "ledger.db"
    with SQLiteLedger(path) as ledger:
        intents = [
            Intent("invoices.create", f"k{number}", "f", "c", "a") for number in range(1200)
        ]  # more than one read returns
        ledger._store.write(intents, [])
    claims = SQLiteLedger(path).claims
    entries = SQLiteLedger(path).entries()
    next(entries)
    gc.collect()
    assert claims.claim("e", "a", 10) == "claimed"
    assert len(list(entries)) == 1199
    file = weakref.ref(claims._file)
    assert file() is not None
    del claims, entries
    assert file() is None, "no reference cycle keeps the file"


@pytest.mark.parametrize("receiver", [webhooks.Receiver, paychainhq_sync.webhooks.Receiver])
def test_a_receiver_keeps_its_ledger(tmp_path: Path, receiver: type[webhooks.Receiver]) -> None:
    """Views of a receiver and its feeds keep it alive in turn, without a reference cycle."""
    path = tmp_path / "ledger.db"
    made = receiver(secrets="whsec_1", ledger=SQLiteLedger(path))
    ledger = weakref.ref(made._ledger)
    parts: list[object] = [
        getattr(made, name)
        for name in ("starlette", "aiohttp", "django", "flask")
        if hasattr(made, name)
    ]
    parts.append(made.invoice_ids())
    del made
    gc.collect()
    while parts:
        assert ledger() is not None
        parts.pop()
    assert ledger() is None
