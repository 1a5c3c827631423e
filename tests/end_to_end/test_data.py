"""Results as data, as a program of either face meets them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paychainhq import NotFoundError, ReadFailure, StatusChange
from paychainhq.codec import from_json
from paychainhq.emulator import Emulator
from paychainhq.models import Amount, Invoice, Page
from paychainhq.typing import InvoiceRequestDict
from tests.support.client import client

pytestmark = pytest.mark.usefixtures("face")
ORDER: InvoiceRequestDict = {"amount": "1.50", "token": "USDC", "chain": "eth", "reference": "a"}


async def test_a_job_as_data(paychain_emulator: Emulator) -> None:
    """Outcomes become lines of JSON, from which their invoices can be read again."""
    bad: InvoiceRequestDict = {**ORDER, "amount": "-1", "reference": "b"}
    async with client(paychain_emulator.url) as pay:
        lines = {
            outcome.reference: json.loads(outcome.to_json())
            async for outcome in pay.invoices.create_many([ORDER, bad])
        }
        invoice = from_json(Invoice, lines["a"]["result"])
        assert (lines["a"]["ok"], f"{invoice.amount:.2f}") == (True, "1.50 USDC")
        assert (await pay.invoices.get(invoice.id)).amount == invoice.amount
    assert lines["b"]["ok"] is False
    assert lines["b"]["error"]["type"] == "InvalidArgumentError"
    assert lines["b"]["error"]["sent"] == "no"


async def test_a_page_as_data(paychain_emulator: Emulator) -> None:
    """A page is an envelope of the API, a sequence, and a list of rows."""
    async with client(paychain_emulator.url) as pay:
        page: Any = await pay.invoices.list(limit=1)
        data = json.loads(page.to_json())
        assert data["data"] == [invoice.to_dict() for invoice in page.items]
        assert data["pagination"] == page.pagination.to_dict()
        assert from_json(Page[Invoice], data).items == page.items
        tokens = await pay.tokens.list()
        assert tokens.to_dict()["data"] == [token.to_dict() for token in tokens]
        amounts = [invoice.amount async for invoice in pay.invoices.list()]
    total = sum(amounts)
    assert isinstance(total, Amount)
    assert total >= max(amounts)


async def test_changes_as_data(paychain_emulator: Emulator) -> None:
    """A change has its invoice, or the error of the read."""
    async with client(paychain_emulator.url) as pay:
        cancelled = await pay.invoices.create("1", "USDC", "eth", network_id="base-mainnet")
        await pay.invoices.cancel(cancelled.id)
        changes = {
            change.invoice_id: change
            async for change in pay.invoices.watch([cancelled.id, "inv_unknown"])
        }
    change, failure = changes[cancelled.id], changes["inv_unknown"]
    assert isinstance(change, StatusChange)
    assert change.to_dict()["current"] == change.to_dict()["invoice"]["status"] == "cancelled"
    assert isinstance(failure, ReadFailure)
    assert failure.to_dict()["error"]["type"] == "NotFoundError"


async def test_an_error_as_data(paychain_emulator: Emulator) -> None:
    """An error of a call has the facts for a log or a support request."""
    async with client(paychain_emulator.url) as pay:
        with pytest.raises(NotFoundError) as caught:
            await pay.invoices.get("inv_unknown")
    data = json.loads(caught.value.to_json())
    assert data["requestId"] == caught.value.request_id
    assert (data["operation"], data["status"], data["sent"]) == ("invoices.get", 404, "yes")
    assert [attempt["status"] for attempt in data["attempts"]] == [404]
