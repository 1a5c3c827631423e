"""Cases of claims: one holder at a time, done for good, free again when the lease has expired."""

from __future__ import annotations

import threading
import time
from collections import Counter

from paychainhq.ledger.contract.parts import Cases, FullLedger


class ClaimCases(Cases):
    """Cases of claims."""

    def test_one_holder_has_a_claim_until_it_is_done(self, ledger: FullLedger) -> None:
        """Another holder gets "held", and later "done"; other names are free."""
        claims = ledger.claims
        assert [claims.claim("e", holder, 600) for holder in ("a", "b")] == ["claimed", "held"]
        claims.settle("e")
        assert [claims.claim("e", holder, 600) for holder in ("a", "b")] == ["done", "done"]
        assert claims.claim("another", "b", 600) == "claimed"

    def test_a_released_claim_is_free(self, ledger: FullLedger) -> None:
        """Only its holder can release a claim, and a claim that is done stays done."""
        claims = ledger.claims
        claims.claim("e", "a", 600)
        claims.release("e", "b")
        assert claims.claim("e", "b", 600) == "held"
        claims.release("e", "a")
        assert claims.claim("e", "b", 600) == "claimed"
        claims.settle("e")
        claims.release("e", "b")
        assert claims.claim("e", "a", 600) == "done"
        claims.release("unknown", "a")

    def test_a_lease_expires(self, ledger: FullLedger) -> None:
        """The former holder cannot release the claim any more."""
        claims = ledger.claims
        assert claims.claim("e", "a", 0.01) == "claimed"
        time.sleep(0.05)
        assert claims.claim("e", "b", 600) == "claimed"
        claims.release("e", "a")
        assert claims.claim("e", "c", 600) == "held"

    def test_a_claim_is_settled_without_its_lease(self, ledger: FullLedger) -> None:
        """An event is done even if its claim was lost, released, or never made."""
        claims = ledger.claims
        claims.claim("lost", "a", 0.01)
        time.sleep(0.05)
        claims.claim("lost", "b", 600)
        claims.claim("released", "a", 600)
        claims.release("released", "a")
        for name in ("lost", "released", "never claimed"):
            claims.settle(name)
            claims.settle(name)
            claims.release(name, "b")
            assert claims.claim(name, "c", 600) == "done"

    def test_old_claims_that_are_done_are_compacted(self, ledger: FullLedger) -> None:
        """A held claim stays, however old it is."""
        claims = ledger.claims
        for name in ("done", "held"):
            claims.claim(name, "a", 600)
        claims.settle("done")
        ledger.compact(older_than=3600)
        assert claims.claim("done", "b", 600) == "done"
        time.sleep(0.05)
        assert ledger.compact(older_than=0.01) == 0
        assert [claims.claim(name, "b", 600) for name in ("done", "held")] == ["claimed", "held"]

    def test_one_of_many_threads_gets_a_claim(self, ledger: FullLedger) -> None:
        """Each of 50 names is claimed exactly once by four threads."""
        won: list[str] = []

        def work(number: int) -> None:
            won.extend(
                name
                for name in map(str, range(50))
                if ledger.claims.claim(name, str(number), 600) == "claimed"
            )

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(won) == {str(name): 1 for name in range(50)}
