"""Contract of a ledger: tests that every ledger passes, for pytest.

A ledger joins with a class that defines the fixture `open_ledger`: a function that opens the same
ledger each time it is called. A forked child calls it again.

    class TestMyLedger(SharedLedgerContract):
        @pytest.fixture
        def open_ledger(self, tmp_path):
            return lambda: MyLedger(tmp_path / "ledger")
"""

from __future__ import annotations

from paychainhq.ledger.contract.claims import ClaimCases
from paychainhq.ledger.contract.entries import EntryCases
from paychainhq.ledger.contract.parts import FullLedger, Open, intent
from paychainhq.ledger.contract.processes import HostCases, ProcessCases

__all__ = [
    "FullLedger",
    "LedgerContract",
    "Open",
    "RemoteLedgerContract",
    "SharedLedgerContract",
    "intent",
]


class LedgerContract(EntryCases, ClaimCases):
    """Cases of any ledger."""


class SharedLedgerContract(LedgerContract, ProcessCases):
    """Cases of a ledger that the processes of one machine may share."""


class RemoteLedgerContract(SharedLedgerContract, HostCases):
    """Cases of a ledger that several hosts may share."""
