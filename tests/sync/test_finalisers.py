"""Iterations collected while the loop waits for a lock of the collecting thread."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from paychainhq import InvoiceRequest, Request, Response
from paychainhq._http.messages import Next
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq_sync import PayChainHQ, _engine

SOURCES: dict[str, Callable[[PayChainHQ], Any]] = {
    "items": lambda pay: iter(pay.invoices.list(limit=2)),
    "pages": lambda pay: pay.invoices.list(limit=2).pages(),
    "job": lambda pay: pay.invoices.create_many(orders(30), concurrency=2),
    "watch": lambda pay: pay.invoices.watch(["inv_123"], interval=0.01),
}


def orders(count: int) -> list[InvoiceRequest]:
    return [
        InvoiceRequest(amount="5", token="USDC", chain="eth", reference=f"order-{n}")
        for n in range(count)
    ]


@pytest.mark.parametrize("how", ["dropped", "in a cycle"])
@pytest.mark.parametrize("source", SOURCES)
def test_a_collected_iteration_does_not_wait_for_the_loop(
    paychain_emulator: Emulator, source: str, how: str
) -> None:
    """A thread may hold a lock that the loop waits for, such as that of a logging handler."""
    lock, waiting = threading.Lock(), threading.Event()

    async def wanting(request: Request, send: Next) -> Response:
        if request.operation.name == "networks.list":
            waiting.set()
            with lock:
                pass
        return await send(request)

    with PayChainHQ(
        api_key=API_KEY,
        business_id=BUSINESS_ID,
        base_url=paychain_emulator.url,
        timeout=60,
        middleware=[wanting],
    ) as pay:
        assert len(list(pay.invoices.create_many(orders(10)))) == 10
        items = SOURCES[source](pay)
        next(items)
        other = threading.Thread(target=pay.networks.list)
        with lock:
            other.start()
            assert waiting.wait(30)
            if how == "in a cycle":
                items = [items]
                items.append(items)
            del items
            gc.collect()
            assert other.is_alive()
        other.join(30)
        assert not other.is_alive()
        assert pay.networks.list()
        assert _left_running() == []


def _left_running() -> list[str]:
    import asyncio

    async def tasks() -> list[str]:
        found: list[str] = []
        for _ in range(1000):
            await asyncio.sleep(0)
            found = [
                repr(task)
                for task in asyncio.all_tasks() - {asyncio.current_task()}
                if "_serve" not in repr(task)
            ]
            if not found:
                break
        return found

    return _engine.complete(tasks()).result()


@pytest.mark.parametrize("source", SOURCES)
def test_the_end_of_a_block_waits(paychain_emulator: Emulator, source: str) -> None:
    """The end of a `with` block and `close` leave no task, and the iteration has ended."""
    with PayChainHQ(
        api_key=API_KEY, business_id=BUSINESS_ID, base_url=paychain_emulator.url, timeout=60
    ) as pay:
        assert len(list(pay.invoices.create_many(orders(10)))) == 10
        with SOURCES[source](pay) as items:
            next(items)
        assert list(items) == []
        items.close()
        unused = SOURCES[source](pay)
        unused.close()
        assert list(unused) == []
        assert _left_running() == []


def test_an_iteration_is_for_one_thread_at_a_time(paychain_emulator: Emulator) -> None:
    """A second thread is refused, and the first continues."""
    with PayChainHQ(
        api_key=API_KEY, business_id=BUSINESS_ID, base_url=paychain_emulator.url, timeout=60
    ) as pay:
        reading, refused = threading.Event(), threading.Event()

        def slow() -> Any:
            reading.set()
            assert refused.wait(30)
            yield orders(1)[0]

        job = pay.invoices.create_many(slow())
        taken: list[Any] = []
        thread = threading.Thread(target=lambda: taken.extend(job))
        thread.start()
        assert reading.wait(30)
        for use in (lambda: next(job), job.close):
            with pytest.raises(ValueError, match="already in use"):
                use()
        refused.set()
        thread.join(30)
        assert [outcome.ok for outcome in taken] == [True]
