"""Client process of the load test.

`single`: each task creates one invoice after the other, and repeats a failed call after the mean
time between its calls. `job`: one `create_many` with a concurrency of the number of tasks. `auto`:
one with adaptive concurrency.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator

from paychainhq import InvoiceRequest, PayChainError, PayChainHQ
from paychainhq._core.idempotency import key_for_reference
from stress.load_server import Plan, invoice

BUSINESS = "biz_123"


class Tally(logging.Handler):
    """Counts by second of this process; attempts are counted from the package's log."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.sent: Counter[str] = Counter()
        self.done: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.wrong = 0
        self.longest = 0.0

    def second(self) -> int:
        return int(time.monotonic() - self.plan.begin)

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and str(record.msg).startswith("%s: attempt %d: "):
            self.sent[f"{self.second()} {'first' if record.args[1] == 1 else 'retry'}"] += 1

    def completed(self, task: int, key: str, got: str) -> None:
        self.done[task] += 1
        self.wrong += got != invoice(key)

    def failed(self, error: PayChainError) -> None:
        self.errors[f"{self.second()} {type(error).__name__}"] += 1


async def single(pay: PayChainHQ, plan: Plan, name: str, tally: Tally) -> None:
    """Create one invoice after the other in each task; repeat failed calls under their keys."""
    interval = plan.tasks * plan.processes / plan.rate

    async def work(task: int) -> None:
        number = 0
        while time.monotonic() < plan.end:
            key, number = f"{name}-{task}-{number}", number + 1
            begun = time.monotonic()
            while True:
                try:
                    made = await pay.invoices.create(
                        "1", "USDC", "eth", "base-mainnet", idempotency_key=key
                    )
                    break
                except PayChainError as error:
                    tally.failed(error)
                    await asyncio.sleep(interval)
            if not begun < plan.up < time.monotonic():  # an outage is no starvation
                tally.longest = max(tally.longest, time.monotonic() - begun)
            tally.completed(task, key, made.id)

    await asyncio.gather(*(work(task) for task in range(plan.tasks)))


async def job(pay: PayChainHQ, plan: Plan, name: str, tally: Tally, *, auto: bool) -> None:
    """Create invoices with one job until the load ends."""

    def requests() -> Iterator[InvoiceRequest]:
        number = 0
        while time.monotonic() < plan.end:
            yield InvoiceRequest(
                amount="1",
                token="USDC",
                chain="eth",
                network_id="base-mainnet",
                reference=f"{name}-{number}",
            )
            number += 1

    async for outcome in pay.invoices.create_many(
        requests(), concurrency="auto" if auto else plan.tasks
    ):
        assert isinstance(outcome.request, InvoiceRequest)
        if outcome.error is not None:
            tally.failed(outcome.error)
        if outcome.result is not None:
            key = key_for_reference("invoices.create", BUSINESS, outcome.request.reference or "")
            tally.completed(0, key, outcome.result.id)


async def main(url: str, kind: str, name: str, plan: Plan) -> Tally:
    tally = Tally(plan)
    log = logging.getLogger("paychainhq")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.addHandler(tally)
    async with PayChainHQ(api_key="pk_test_load", business_id=BUSINESS, base_url=url) as pay:
        await asyncio.sleep(max(0.0, plan.begin - time.monotonic()))
        if kind == "single":
            await single(pay, plan, name, tally)
        else:
            await job(pay, plan, name, tally, auto=kind == "auto")
    return tally


if __name__ == "__main__":
    of = asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], Plan(**json.loads(sys.argv[4]))))
    counts = {
        "sent": of.sent,
        "done": list(of.done.values()),
        "errors": of.errors,
        "wrong": of.wrong,
        "longest": of.longest,
    }
    json.dump(counts, sys.stdout)
