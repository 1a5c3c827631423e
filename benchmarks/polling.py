"""Polling of open invoices, by list pages and by single reads.

python -m benchmarks.polling 100 1000 10000
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
from collections import Counter
from typing import Any

from benchmarks import machine, server, slices
from benchmarks.peers import Job
from benchmarks.peers.paychainhq_async import client
from benchmarks.work import BUSINESS, KEY, Target
from paychainhq import PayChainHQ
from paychainhq._http.messages import Next, Request, Response

_PAGE = 100
_CONCURRENCY = 16
_INTERVAL = 0.05


async def _listed(pay: PayChainHQ, count: int) -> None:
    """Read all open invoices page by page, as models."""
    seen = 0
    async for _ in pay.invoices.list(status="pending", limit=_PAGE):
        seen += 1
    assert seen == count


async def _read(pay: PayChainHQ, count: int, concurrency: int) -> None:
    """Read all open invoices one by one."""
    left = iter(range(count))

    async def worker() -> None:
        for number in left:
            await pay.invoices.get(f"inv_{number}")

    await asyncio.gather(*(worker() for _ in range(concurrency)))


def compared(
    runner: asyncio.Runner, pay: PayChainHQ, count: int, rounds: int
) -> dict[str, list[float]]:
    """Return the CPU microseconds per invoice of a pass by list and by reads, for each round."""
    ways = {
        "list": Job(lambda count, _: _listed(pay, count)),
        "reads": Job(lambda count, concurrency: _read(pay, count, concurrency)),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    for _ in range(rounds + 1):
        for name in order:
            cpu, _ = slices.spent(runner.get_loop(), ways[name], count, _CONCURRENCY)
            found[name].append(round(cpu / count * 1e6, 2))
        order.reverse()
    return {name: costs[1:] for name, costs in found.items()}  # the first round is a warm-up


async def watched(target: Target, count: int, seconds: float) -> dict[str, float]:
    """Watch open invoices, without changes after the first read, among ten times as many paid ones.

    Returns:
        `sweeps`; `pages`, of any list, per sweep; `cpu_us`, per invoice and sweep; `reads`, single
        ones; `bytes`, per invoice.
    """
    requests: Counter[str] = Counter()

    async def counting(request: Request, send: Next) -> Response:
        requests[
            "pending pages" if "status=pending" in request.path else request.operation.name
        ] += 1
        return await send(request)

    async with PayChainHQ(
        api_key=KEY, business_id=BUSINESS, base_url=target.url, middleware=[counting]
    ) as pay:
        await pay.invoices.get("inv_0")
        await pay.invoices.list(status="pending", limit=_PAGE)
        ids = [f"inv_{number}" for number in range(count)]
        before = _settled_memory()
        watch = pay.invoices.watch(ids, interval=_INTERVAL)
        for _ in ids:
            change = await anext(watch)
            assert change.error is None
        del change
        after = _settled_memory()
        requests.clear()
        began = machine.cpu_seconds()
        waiting = asyncio.ensure_future(anext(watch))
        done, _ = await asyncio.wait([waiting], timeout=seconds)
        assert not done, "nothing changes"
        cpu = machine.cpu_seconds() - began
        waiting.cancel()
        await asyncio.wait([waiting])
        await watch.aclose()
    sweeps = requests["pending pages"] * _PAGE / count
    return {
        "sweeps": round(sweeps, 2),
        "pages": round((requests["pending pages"] + requests["invoices.list"]) / sweeps, 1)
        if sweeps
        else 0.0,
        "reads": requests["invoices.get"],
        "cpu_us": round(cpu / sweeps / count * 1e6, 2) if sweeps else 0.0,
        "bytes": round((after - before) * 2**20 / count, 1),
    }


def _settled_memory() -> float:
    gc.collect()
    return machine.resident_mib()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", type=int, nargs="+", help="how many invoices are open")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument(
        "--watch", type=int, nargs="*", default=[], help="watch so many, for some seconds each"
    )
    parser.add_argument("--seconds", type=float, default=4.0)
    given = parser.parse_args()
    machine.steady_malloc()
    machine.stay_on(machine.cores()[1])
    found: dict[str, Any] = {"passes": {}, "watched": {}}
    for count in given.counts:
        with server.running(open_invoices=count) as (target, _), asyncio.Runner() as runner:
            pay = client(target)
            found["passes"][str(count)] = compared(runner, pay, count, given.rounds)
            runner.run(pay.close())
    for count in given.watch:
        with server.running(open_invoices=count) as (target, _):
            found["watched"][str(count)] = asyncio.run(watched(target, count, given.seconds))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
