"""Execution of a cell: a client, its concurrent calls, and measurements of the process."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paychainhq
import paychainhq_sync
from paychainhq import DashboardSession, PayChainError, RetryPolicy
from paychainhq_sync import _engine
from tests.faults.matrix import Call, Cell, Operation, Report
from tests.faults.server import THREAD, FaultServer
from tests.faults.table import ALWAYS, RESULT

_PIECE = 0.01
_STATM = Path("/proc/self/statm")


def run(cell: Cell) -> Report:
    """Run a cell."""
    fault, timing = cell.fault, cell.fault.timing
    plan = {
        f"call-{number}": cell.operations[number % len(cell.operations)]
        for number in range(cell.load)
    }
    times = math.inf if cell.form == ALWAYS else cell.load
    server = FaultServer(
        fault.behaviour,
        lasting=cell.form == ALWAYS,
        taken=fault.taken,
        warm=fault.warm,
        tls=fault.tls,
        restarts_at=(cell.load + 1) // 2 if fault.restarts else None,
    )
    with watched() as watch, server, fault.way(server, times) as route:
        settings = {
            "api_key": "pk_test_of_the_faults",
            "business_id": "biz_123",
            "dashboard": DashboardSession(headers={"Cookie": "session=1"}),
            "timeout": timing.timeout,
            "retry": RetryPolicy(
                8, timing.attempt_timeout, first=timing.first_wait, cap=2.5 * timing.first_wait
            ),
            **route,
        }
        warm = [f"warm-{name}" for name in plan] if fault.warm else []
        ends, lag = (
            asyncio.run(_run_async(plan, settings, warm))
            if cell.face == "async"
            else _run_sync(plan, settings, warm)
        )
    calls = [
        _call(name, operation, *end)
        for (name, operation), end in zip(plan.items(), ends, strict=True)
    ]
    return Report(cell, calls, server.seen, lag, watch.growth, watch.complaints)


_Plan = Mapping[str, Operation]
_Ends = tuple[list[tuple[Any, float]], float]
"""Results or exceptions of the calls with their durations; and the lag."""


async def _run_async(plan: _Plan, settings: Mapping[str, Any], warm: list[str]) -> _Ends:
    elapsed: dict[str, float] = {}
    lag, over = 0.0, False

    async def call(name: str) -> Any:
        began = time.monotonic()
        try:
            return await plan[name].perform(pay, name)
        finally:
            elapsed[name] = time.monotonic() - began

    async def control() -> None:
        nonlocal lag
        while not over:
            began = time.monotonic()
            await asyncio.sleep(_PIECE)
            lag = max(lag, time.monotonic() - began - _PIECE)

    async with paychainhq.PayChainHQ(**settings) as pay:
        await asyncio.gather(*map(pay.invoices.get, warm))
        controlling = asyncio.create_task(control())
        ends = await asyncio.gather(*map(call, plan), return_exceptions=True)
        over = True
        await controlling
    return [(end, elapsed[name]) for name, end in zip(plan, ends, strict=True)], lag


def _run_sync(plan: _Plan, settings: Mapping[str, Any], warm: list[str]) -> _Ends:
    elapsed: dict[str, float] = {}
    lag, over = 0.0, False
    together = threading.Barrier(len(plan))

    def call(name: str) -> Any:
        together.wait()
        began = time.monotonic()
        try:
            return plan[name].perform(pay, name)
        finally:
            elapsed[name] = time.monotonic() - began

    def control() -> None:
        nonlocal lag
        while not over:
            began = time.monotonic()
            _engine.complete(asyncio.sleep(_PIECE)).result()
            lag = max(lag, time.monotonic() - began - _PIECE)

    with (
        paychainhq_sync.PayChainHQ(**settings) as pay,
        ThreadPoolExecutor(len(plan) + 1) as threads,
    ):
        list(threads.map(pay.invoices.get, warm))
        controlling = threads.submit(control)
        futures = [threads.submit(call, name) for name in plan]
        ends = [future.exception() or future.result() for future in futures]
        over = True
        controlling.result()
    return [(end, elapsed[name]) for name, end in zip(plan, ends, strict=True)], lag


def _call(name: str, operation: Operation, end: Any, elapsed: float) -> Call:
    if isinstance(end, PayChainError) and type(end).__module__ == PayChainError.__module__:
        return Call(name, operation, type(end).__name__, end.sent, len(end.attempts), elapsed, None)
    if isinstance(end, BaseException):
        return Call(
            name,
            operation,
            type(end).__name__,
            "unknown",
            0,
            elapsed,
            f"a foreign exception: {end!r}",
        )
    problem = None if end.id == name else f"the response to another call: {end.id}"
    return Call(name, operation, RESULT, "yes", len(end.response.attempts), elapsed, problem)


# --- the process meanwhile ---


class _Watch(logging.Handler):
    """Watch over the growth of the process, and the errors that asyncio logs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.complaints: list[str] = []
        self.growth = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.threadName != THREAD:  # errors of the server's thread are ignored
            self.complaints.append(
                f"{record.getMessage()} {record.exc_info and record.exc_info[1]!r}"
            )

    def measure(self, over: threading.Event) -> None:
        before = _resident()
        while not over.wait(0.01):
            self.growth = max(self.growth, _resident() - before)


def _resident() -> int:
    if not _STATM.exists():  # only on Linux
        return 0
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def watched() -> Iterator[_Watch]:
    watch, over, logger = _Watch(), threading.Event(), logging.getLogger("asyncio")
    measuring = threading.Thread(target=watch.measure, args=(over,))
    logger.addHandler(watch)
    measuring.start()
    try:
        yield watch
    finally:
        over.set()
        measuring.join()
        logger.removeHandler(watch)
