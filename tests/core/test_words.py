"""Misspelt words: one warning with the nearest known word, and any other text stays valid."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import paychainhq_sync.webhooks
from paychainhq import InvalidArgumentError, webhooks
from paychainhq._core import validators, words
from paychainhq._core.words import word
from paychainhq.ledger import MemoryLedger
from paychainhq.models import Chain, InvoiceStatus
from tests.support.client import INVOICE, client
from tests.support.raw_server import RawServer, http_response

PAGE = {
    "data": [],
    "pagination": {"page": 1, "limit": 20, "total": 0, "totalPages": 0, "hasMore": False},
}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Forget earlier warnings: each is given once in a process."""
    words._warn.cache_clear()
    yield
    words._warn.cache_clear()


status = word(lambda: InvoiceStatus)


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("paidd", "paid"),
        ("Paid", "paid"),
        ("canceled", "cancelled"),
        ("expird", "expired"),
        ("partially-paid", "partially_paid"),
        ("PENDING", "pending"),
        ("pendign", "pending"),
    ],
)
def test_a_misspelt_status(given: str, near: str) -> None:
    """The value is kept, and the warning names the known word."""
    with pytest.warns(UserWarning, match=f"^status '{given}' is not .*: did you mean '{near}'"):
        assert status("status", given) == given


@pytest.mark.parametrize("given", [*InvoiceStatus, "open", "refunded", "settled", "x", "ab" * 50])
def test_other_statuses(given: str) -> None:
    """A known word, and one that resembles none, pass silently."""
    assert status("status", given) == given


@given(st.text(min_size=1))
def test_any_text_stays_valid(value: str) -> None:
    """No text is refused for being unknown, however it looks."""
    check = word(lambda: Chain, ethereum="eth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wanted = validators.text("chain", value)
        except InvalidArgumentError:
            with pytest.raises(InvalidArgumentError):
                check("chain", value)
        else:
            assert check("chain", value) == wanted


def test_a_warning_is_given_once() -> None:
    """The second use of the same word is silent."""
    with pytest.warns(UserWarning, match="paidd"):
        status("status", "paidd")
    assert status("status", "paidd") == "paidd"


@pytest.mark.usefixtures("face")
async def test_calls_warn_and_are_sent() -> None:
    """`list` and `create` send the word as it is."""
    async with (
        RawServer(http_response(PAGE), http_response(INVOICE)) as server,
        client(server.url) as pay,
    ):
        with pytest.warns(UserWarning, match=r"status 'paidd' .* 'paid'"):
            assert [item async for item in pay.invoices.list(status="paidd")] == []
        with pytest.warns(UserWarning, match=r"chain 'Ethereum' .* 'eth'"):
            await pay.invoices.create("1", "USDC", "Ethereum")
        await pay.invoices.create("1", "USDC", "bsc")
        await pay.invoices.update_status("inv_1", "expire")
    assert "status=paidd" in server.requests[0].target
    assert b'"chain":"Ethereum"' in server.requests[1].body


@pytest.mark.parametrize("package", [webhooks, paychainhq_sync.webhooks])
def test_the_names_of_events(package: Any) -> None:
    """A handler of a misspelt event is registered with a warning; no text is no name."""
    receiver = package.Receiver(secrets="s", ledger=MemoryLedger())
    with pytest.warns(UserWarning, match=r"event 'invoice\.paidd' .* 'invoice\.paid'"):
        receiver.on("invoice.paidd")
    for name in ("invoice.paid", "invoice.expired", "withdrawal.completed", "anything"):
        receiver.on(name)
    for wrong in (5, "", None):
        with pytest.raises(InvalidArgumentError):
            receiver.on(wrong)
