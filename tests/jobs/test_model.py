"""Jobs against a model: any requests and any faults, and one invoice for each valid reference."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from paychainhq import (
    BadRequestError,
    IdempotencyKeyMismatchError,
    InvalidArgumentError,
    InvoiceRequest,
    NotFoundError,
    Outcome,
    PayChainHQ,
    RetryPolicy,
)
from paychainhq._jobs import retry_queue
from paychainhq.emulator import API_KEY, Emulator
from paychainhq.middleware import throttle
from paychainhq.models import Invoice

POLICY = RetryPolicy(attempts=3, first=0.001, cap=0.002, attempt_timeout=0.15)

# The expected end of a request: refused by the client, refused by the server, or accepted.
AMOUNTS: dict[Any, type[Exception] | None] = {
    "5": None,
    5: None,
    Decimal("5.00"): None,
    "0.000001": None,
    "-1": InvalidArgumentError,
    "1e3": InvalidArgumentError,
    1.5: InvalidArgumentError,
    "0.0000001": BadRequestError,
}
TOKENS: dict[str, type[Exception] | None] = {"USDC": None, "XRP": BadRequestError}
CUSTOMERS: dict[str | None, type[Exception] | None] = {
    None: None,
    "cus_123": None,
    "cus_nobody": NotFoundError,
}
REFERENCES = ["a", "b", "c", "d", "Bestellung Ä/1", None, " "]


def mostly(good: list[Any], all_: list[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from(good * 4 + all_)


requests = st.builds(
    InvoiceRequest,
    amount=mostly(["5", 5], list(AMOUNTS)),
    token=mostly(["USDC"], list(TOKENS)),
    chain=st.just("eth"),
    customer_id=mostly([None], list(CUSTOMERS)),
    reference=mostly(REFERENCES[:4], REFERENCES),
)
# Transient failures and harmless repeats: handled or not, before, during or after the response.
faults = st.sampled_from(
    [
        408,
        425,
        429,
        500,
        502,
        503,
        "429:0",
        "in_progress",
        "drop",
        "reset",
        "truncate",
        "slow:0.01",
        "slow:0.2",
        "silence",
    ]
)
plans = st.lists(st.tuples(st.integers(0, 6), faults, st.integers(1, 3)), max_size=5)


@attrs.frozen
class Expected:
    """The model's expectation for a request: the error that refuses it, or the body's content."""

    error: type[Exception] | None
    body: tuple[str, str | None] | None


def expected(request: InvoiceRequest) -> Expected:
    named = request.reference is not None and request.reference.strip()
    refusals = [
        None if named else InvalidArgumentError,
        AMOUNTS[request.amount],
        TOKENS[request.token],
        CUSTOMERS[request.customer_id],
    ]
    # The client validates before the server, which checks the token and the amount before it reads
    # the customer.
    found = [
        kind for kind in (InvalidArgumentError, BadRequestError, NotFoundError) if kind in refusals
    ]
    return (
        Expected(found[0], None)
        if found
        else Expected(None, (str(request.amount), request.customer_id))
    )


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_queue, "_SHORTEST_PROBE_DELAY", 0.001)
    monkeypatch.setattr(retry_queue, "_LONGEST_PROBE_DELAY", 0.005)
    # No request fails for ever here, so none is given up, not for its timeouts either, which
    # usually count as three failures. It is set aside nevertheless.
    monkeypatch.setattr(retry_queue, "_ROUNDS", 1000)
    monkeypatch.setattr(retry_queue, "RequestTimeoutError", ())
    monkeypatch.setattr(retry_queue.Repeat, "is_proven", property(lambda self: self.rounds >= 1))
    monkeypatch.setattr(throttle, "_PAUSE", 0.002)


def copies(given: list[InvoiceRequest]) -> list[InvoiceRequest]:
    """Return copies that differ by identity, also where the same request was drawn twice."""
    return [attrs.evolve(request) for request in given]


async def run(
    emulator: Emulator,
    given: list[InvoiceRequest],
    concurrency: int,
    plan: Iterator[tuple[int, Any, int]],
) -> list[Outcome[InvoiceRequest, Invoice]]:
    """Run a job, with faults injected after the numbers of outcomes in the plan."""
    due = sorted(plan, key=lambda planned: planned[0])
    outcomes: list[Outcome[InvoiceRequest, Invoice]] = []

    def play() -> None:
        while due and due[0][0] <= len(outcomes):
            _, kind, times = due.pop(0)
            emulator.fault("invoices.create", kind, times)

    async with PayChainHQ(
        api_key=API_KEY, business_id="biz_123", base_url=emulator.url, retry=POLICY
    ) as pay:
        play()
        async for outcome in pay.invoices.create_many(given, concurrency=concurrency):
            outcomes.append(outcome)
            play()
    return outcomes


async def stored(emulator: Emulator) -> dict[str, Decimal]:
    """Return the amount of every created invoice, by its id."""
    async with PayChainHQ(api_key=API_KEY, business_id="biz_123", base_url=emulator.url) as pay:
        return {
            invoice.id: invoice.amount.display
            async for invoice in pay.invoices.list(limit=7)
            if invoice.id != "inv_123"
        }


def settle(
    outcomes: list[Outcome[InvoiceRequest, Invoice]], given: list[InvoiceRequest]
) -> dict[str | None, Invoice]:
    """Check every outcome against the model, and return the one invoice of each reference."""
    assert sorted(map(id, (outcome.request for outcome in outcomes))) == sorted(map(id, given))
    made: dict[str | None, Invoice] = {}
    bodies: dict[str | None, set[Any]] = defaultdict(set)
    mismatched: dict[str | None, set[Any]] = defaultdict(set)
    for outcome in outcomes:
        request = outcome.request
        assert isinstance(request, InvoiceRequest)
        model = expected(request)
        if model.error is InvalidArgumentError:
            assert isinstance(outcome.error, InvalidArgumentError)
            assert outcome.error.sent == "no"
        elif model.error is not None:
            # If the reference was used already, the server may report that first.
            assert isinstance(outcome.error, (model.error, IdempotencyKeyMismatchError))
        elif outcome.ok:
            assert outcome.result is not None
            assert made.setdefault(request.reference, outcome.result).id == outcome.result.id
            assert outcome.result.amount.display == Decimal(request.amount)
            assert outcome.result.customer_id == request.customer_id
            bodies[request.reference].add(model.body)
        else:
            assert isinstance(outcome.error, IdempotencyKeyMismatchError)
            mismatched[request.reference].add(model.body)
    for reference in {*bodies, *mismatched}:
        assert len(bodies[reference]) == 1, "exactly one of the bodies of a reference is accepted"
        assert not bodies[reference] & mismatched[reference]
    return made


@settings(max_examples=40, deadline=None)
@given(
    drawn=st.lists(requests, max_size=14),
    plan=plans,
    concurrency=st.sampled_from([1, 2, 5, 32]),
    again=plans,
)
def test_a_job_against_a_model(
    drawn: list[InvoiceRequest],
    plan: list[tuple[int, Any, int]],
    concurrency: int,
    again: list[tuple[int, Any, int]],
) -> None:
    """One outcome for each request, one invoice for each valid reference, also after a repeat."""

    async def both() -> None:
        with Emulator() as emulator:
            first = settle(
                await run(emulator, given := copies(drawn), concurrency, iter(plan)), given
            )
            created = await stored(emulator)
            assert created == {invoice.id: invoice.amount.display for invoice in first.values()}
            second = settle(
                await run(emulator, given := copies(drawn), concurrency, iter(again)), given
            )
            assert {reference: invoice.id for reference, invoice in second.items()} == {
                reference: invoice.id for reference, invoice in first.items()
            }
            assert await stored(emulator) == created
            event(f"invoices: {len(created)}")

    asyncio.run(both())
