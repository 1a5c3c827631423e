"""References that look alike are one reference, or are refused."""

from __future__ import annotations

import pytest

from paychainhq import InvalidArgumentError
from paychainhq._core.idempotency import key_for_reference
from paychainhq.typing import CustomerRequestDict, InvoiceRequestDict
from tests.support.calls import CALLS, refused_fields
from tests.support.client import INVOICE, client
from tests.support.raw_server import RawServer, http_response
from tests.support.samples import BY_NAME

pytestmark = pytest.mark.usefixtures("face")

# Signs before and after a name: spaces of every kind, line ends, invisible marks and joiners.
UNSEEN = [
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\x00",
    "\x1b",
    "\x7f",
    "\x85",
    "\xa0",
    "\xad",
    "\u1680",
    "\u2003",
    "\u2028",
    "\u2029",
]
UNSEEN += [
    "\u200b",
    "\u200d",
    "\u200e",
    "\u202e",
    "\u202f",
    "\u2060",
    "\u3000",
    "\ufeff",
    "\U000e0001",
]
BAD = [
    *(sign + "r4" for sign in UNSEEN),
    *("r4" + sign for sign in UNSEEN),
    "r\n4",
    "r\x004",
    "r\x854",
    "",
    " ",
    "\ufeff",
]
GOOD = [
    "r4",
    "order 4",
    "Größe/4",
    "注文-4",
    "👩\u200d💻",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "a\xa0b",
    "e\u0301",
    "\u0661",
    "❤\ufe0f",
    "4" * 300,
]


@pytest.mark.parametrize("reference", BAD, ids=ascii)
async def test_a_reference_with_unseen_characters(reference: str) -> None:
    """Unseen characters at an end, or control characters anywhere, are refused unsent."""
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        given: InvoiceRequestDict = {
            "amount": "1",
            "token": "USDC",
            "chain": "eth",
            "reference": reference,
        }
        errors = [outcome.error async for outcome in pay.invoices.create_many([given])]
        customer: CustomerRequestDict = {"external_ref": "c", "reference": reference}
        errors += [outcome.error async for outcome in pay.customers.create_many([customer])]
    assert server.requests == []
    assert len(errors) == 2
    for error in errors:
        assert isinstance(error, InvalidArgumentError)
        assert error.argument == "reference"
        assert error.sent == "no"
        assert str(error).isprintable()


@pytest.mark.parametrize("reference", GOOD, ids=ascii)
async def test_a_reference_of_visible_characters(reference: str) -> None:
    """Any other reference is kept as it is: inner spaces, joiners, and each form of a letter."""
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        given: InvoiceRequestDict = {
            "amount": "1",
            "token": "USDC",
            "chain": "eth",
            "reference": reference,
        }
        async for outcome in pay.invoices.create_many([given]):
            assert outcome.ok, outcome.error
    assert server.requests[0].headers["idempotency-key"] == key_for_reference(
        "invoices.create", "biz_123", reference
    )


@pytest.mark.parametrize("reference", [bad for bad in BAD if bad.strip()], ids=ascii)
async def test_an_external_reference_with_unseen_characters(reference: str) -> None:
    """The reference of a customer has the same rules."""
    await refused_fields("customers.create", {"external_ref": reference}, "external_ref")


async def test_an_external_reference_of_visible_characters() -> None:
    """The reference of a customer is sent unchanged."""
    async with (
        RawServer(http_response(BY_NAME["customers.create"].response)) as server,
        client(server.url) as pay,
    ):
        for reference in GOOD:
            await pay.customers.create(reference)
    assert [request.json["externalRef"] for request in server.requests] == GOOD


@pytest.mark.parametrize("sign", UNSEEN, ids=ascii)
async def test_other_names_with_unseen_characters(sign: str) -> None:
    """Idempotency keys and ids have no such character at any place."""
    for name in ("sign-first", "sign-last", "si-sign-gn"):
        bad = name.replace("sign", sign, 1)
        await refused_fields("invoices.create", {"idempotency_key": bad}, "idempotency_key")
        await refused_fields("invoices.create", {"business_id": bad}, "business_id")
        await refused_fields("invoices.get", {"invoice_id": bad}, "invoice_id")


def test_samples_of_the_calls() -> None:
    """The documented reference is accepted."""
    assert CALLS["customers.create"]["external_ref"] == "customer_001"
