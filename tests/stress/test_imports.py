"""Short run of the stress test of `paychainhq invoices import`."""

from __future__ import annotations

from stress import imports


def test_a_file_is_imported_once_through_kills_and_interrupts() -> None:
    """Each good row has one invoice, and each row one result, after stops at any moment."""
    assert imports.main(["--rows", "1000", "--kills", "2", "--interrupts", "1", "--seed", "7"]) == 0
