"""Send slots of a job: bounded concurrent requests, while more intents are recorded."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from paychainhq import InvoiceRequest, Progress
from paychainhq._jobs.concurrency import AdaptiveConcurrency
from paychainhq.ledger import Answer, Entry, Intent, MemoryLedger, SQLiteLedger
from paychainhq.ledger.contract.parts import intent
from paychainhq.ledger.send_slots import SendSlots
from tests.support.client import INVOICE, client
from tests.support.raw_server import RawServer, http_response

OK = Answer(200, None, b"{}")


async def begun(slots: SendSlots, made: Intent) -> Entry | None:
    """Record an intent and wait for its send slot if it is to be sent, as a call does."""
    entry = await slots.begin(made)
    if entry is None or entry.answer is None:
        await slots.enter()
    return entry


def begin(slots: SendSlots, key: str) -> asyncio.Task[Entry | None]:
    return asyncio.create_task(begun(slots, intent(key)))


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_more_intents_are_recorded_than_have_a_slot() -> None:
    ledger = MemoryLedger()
    slots = SendSlots(ledger, lambda: 2)
    tasks = [begin(slots, str(number)) for number in range(5)]
    await turns()
    assert [task.done() for task in tasks] == [True, True, False, False, False]
    assert len(list(ledger.entries("unfinished"))) == 5
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_response_gives_the_slot_to_the_next_in_order() -> None:
    slots = SendSlots(MemoryLedger(), lambda: 1)
    came: list[int] = []

    async def one(number: int) -> None:
        made = intent(str(number))
        assert await begun(slots, made) is None
        came.append(number)
        await asyncio.sleep(0)
        assert came[-1] == number
        await slots.finish(made, OK)

    await asyncio.gather(*(one(number) for number in range(20)))
    assert came == list(range(20))


async def test_a_finished_entry_needs_no_slot() -> None:
    ledger = MemoryLedger()
    old = intent("old")
    await ledger.begin(old)
    await ledger.finish(old, OK)
    slots = SendSlots(ledger, lambda: 1)
    waiting = [begin(slots, "a"), begin(slots, "b")]
    await turns()
    entry = await begun(slots, intent("old"))
    assert entry is not None
    assert entry.answer == OK
    assert [task.done() for task in waiting] == [True, False]
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_slots_are_never_lost_and_never_too_many() -> None:
    """Tasks succeed, fail or are cancelled anywhere, while the concurrency changes."""
    chance = random.Random(7)
    concurrency = AdaptiveConcurrency(4, fixed=True)
    slots = SendSlots(MemoryLedger(), lambda: concurrency.value)
    under_way = most = 0

    async def one(number: int) -> None:
        nonlocal under_way, most
        try:
            made = intent(str(number))
            await begun(slots, made)
            under_way += 1
            most = max(most, under_way)
            try:
                for _ in range(number % 3):
                    await asyncio.sleep(0)
            finally:
                under_way -= 1
            if number % 5:
                await slots.finish(made, OK)
        finally:
            slots.leave()

    tasks = []
    for number in range(600):
        tasks.append(asyncio.create_task(one(number)))
        concurrency.value = chance.choice([1, 2, 4])
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
        await asyncio.sleep(0)
    concurrency.value = 4
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
    assert 2 <= most <= 4
    last = [begin(slots, f"last {number}") for number in range(4)]
    await turns()
    assert all(task.done() for task in last)


async def test_a_job_sends_no_more_at_once_than_its_concurrency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has four requests without a response, while six more intents are recorded."""
    monkeypatch.setattr("paychainhq._jobs.progress._INTERVAL", 0.0)
    reported: list[Progress] = []
    under_way = most = 0
    go_on = asyncio.Event()

    async def held(_: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await go_on.wait()
        under_way -= 1
        writer.write(http_response(INVOICE))

    async with RawServer(held) as server, client(server.url, max_connections=50) as pay:
        with SQLiteLedger(tmp_path / "ledger.db") as ledger:
            requests = [
                InvoiceRequest(amount="5", token="USDC", chain="eth", reference=f"order {number}")
                for number in range(40)
            ]
            job = pay.invoices.create_many(
                requests, ledger=ledger, concurrency=4, progress=reported.append
            )
            first = asyncio.ensure_future(anext(job))
            while under_way < 4 or len(list(ledger.entries("unfinished"))) < 10:
                await asyncio.sleep(0.01)
            assert len(list(ledger.entries())) == 10
            go_on.set()
            outcomes = [await first, *[outcome async for outcome in job]]
            assert len(list(ledger.entries("finished"))) == 40
    assert [outcome.ok for outcome in outcomes] == [True] * 40
    assert most == 4
    assert {progress.concurrency for progress in reported} <= {0, 1, 2, 3, 4}


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_the_same_reference_twice_does_not_block(concurrency: int, tmp_path: Path) -> None:
    async with RawServer(http_response(INVOICE)) as server, client(server.url) as pay:
        with SQLiteLedger(tmp_path / "ledger.db") as ledger:
            requests = [
                InvoiceRequest(amount="5", token="USDC", chain="eth", reference="the same")
                for _ in range(12)
            ]
            job = pay.invoices.create_many(requests, ledger=ledger, concurrency=concurrency)
            outcomes = [outcome async for outcome in job]
            assert [outcome.ok for outcome in outcomes] == [True] * 12
            assert len(list(ledger.entries("finished"))) == 1
