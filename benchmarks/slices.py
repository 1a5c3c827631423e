"""Comparison of workloads in slices of half a second, in alternating order."""

from __future__ import annotations

import asyncio
import gc
import inspect
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import attrs

from benchmarks import machine
from benchmarks.peers import Job, Work

_FIRST = 200


@attrs.frozen
class Series:
    """Cost of one workload, by slice.

    Attributes:
        cpu_us: CPU microseconds per request.
        per_second: Requests per second of real time.
    """

    cpu_us: list[float] = attrs.field(factory=list)
    per_second: list[float] = attrs.field(factory=list)


@attrs.frozen
class Spread:
    """Median with its quartiles."""

    low: float
    median: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the quartiles of some figures."""
    low, median, high = (
        statistics.quantiles(values, n=4, method="inclusive")
        if len(values) > 1
        else [values[0]] * 3
    )
    return Spread(low, median, high)


def ratios(costs: Sequence[float], base: Sequence[float]) -> list[float]:
    """Return the ratio of two series, round by round."""
    return [cost / other for cost, other in zip(costs, base, strict=True)]


def compare(
    loop: asyncio.AbstractEventLoop,
    works: Mapping[str, Work],
    concurrency: int,
    rounds: int,
    seconds: float,
) -> dict[str, Series]:
    """Run the workloads in turn, so that disturbances of the machine affect all of them alike.

    Args:
        loop: The event loop to run on.
        works: The workloads, by name.
        concurrency: The number of concurrent calls; plain functions are called one after the other.
        rounds: The number of slices of each workload.
        seconds: The approximate length of a slice.
    """
    counts = {name: _count(loop, work, concurrency, seconds) for name, work in works.items()}
    series = {name: Series() for name in works}
    order = list(works)
    for _ in range(rounds):
        for name in order:
            cpu, elapsed = spent(loop, works[name], counts[name], concurrency)
            series[name].cpu_us.append(cpu / counts[name] * 1e6)
            series[name].per_second.append(counts[name] / elapsed)
        order.reverse()
    return series


def latencies(
    loop: asyncio.AbstractEventLoop, call: Work, count: int, concurrency: int
) -> list[float]:
    """Return the latencies of calls in milliseconds, sorted."""
    taken: list[float] = []
    asynchronous = cast(Callable[[], Awaitable[object]], call)

    async def timed() -> None:
        started = time.perf_counter()
        await asynchronous()
        taken.append((time.perf_counter() - started) * 1e3)

    run(loop, timed, count, concurrency)
    return sorted(taken)


def run(loop: asyncio.AbstractEventLoop, work: Work, count: int, concurrency: int) -> None:
    """Run a workload `count` times."""
    if isinstance(work, Job):
        loop.run_until_complete(_awaited(work.run(count, concurrency)))
    elif inspect.iscoroutinefunction(work):
        loop.run_until_complete(_concurrently(work, count, concurrency))
    else:
        for _ in range(count):
            work()


def _count(loop: asyncio.AbstractEventLoop, work: Work, concurrency: int, seconds: float) -> int:
    """Warm up, and return the number of repetitions that fit into a slice."""
    first = max(_FIRST, 4 * concurrency)
    run(loop, work, first, concurrency)
    _, elapsed = spent(loop, work, first, concurrency)
    return max(concurrency, round(first / elapsed * seconds))


def spent(
    loop: asyncio.AbstractEventLoop, work: Work, count: int, concurrency: int
) -> tuple[float, float]:
    """Run a workload `count` times, and return its seconds of CPU and of real time."""
    gc.collect()  # excludes garbage of the workload before
    began, started = machine.cpu_seconds(), time.perf_counter()
    run(loop, work, count, concurrency)
    return machine.cpu_seconds() - began, time.perf_counter() - started


async def _awaited(waiting: Awaitable[None]) -> None:
    await waiting


async def _concurrently(call: Callable[[], Awaitable[Any]], count: int, concurrency: int) -> None:
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(worker() for _ in range(concurrency)))
