"""Deadlines that share timers: they end blocks as `asyncio.timeout` does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from paychainhq._http.deadlines import Deadlines
from tests.support.client import PRICES, client
from tests.support.raw_server import RawServer, http_response


@pytest.fixture
async def deadlines() -> Deadlines:
    return Deadlines(asyncio.get_running_loop())


def soon(seconds: float = 0.01) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_a_block_that_ends_in_time_is_left_alone(deadlines: Deadlines) -> None:
    """Neither the block nor its task is cancelled later."""
    with deadlines.at(soon(2)) as deadline:
        await asyncio.sleep(0)
    await asyncio.sleep(2.1)
    assert not deadline.ended


async def test_a_block_that_takes_too_long_ends_as_a_timeout(deadlines: Deadlines) -> None:
    """The block is cancelled, not too early, and its task is not cancelled afterwards."""
    when = soon()
    with pytest.raises(TimeoutError), deadlines.at(when):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert asyncio.get_running_loop().time() >= when
    assert task.cancelling() == 0


async def test_a_deadline_in_the_past_ends_the_block_at_its_first_wait(
    deadlines: Deadlines,
) -> None:
    """A deadline in the past has already passed."""
    with pytest.raises(TimeoutError), deadlines.at(soon(-100)):
        await asyncio.Event().wait()


async def test_equal_deadlines_end_together(
    deadlines: Deadlines,
) -> None:
    """Many blocks with one deadline all end; one with a later deadline goes on."""
    when = soon()

    async def block(at: float) -> str:
        try:
            with deadlines.at(at):
                await asyncio.sleep(0.1)
        except TimeoutError:
            return "ended"
        return "done"

    assert await asyncio.gather(*(block(when) for _ in range(50)), block(when + 60)) == [
        "ended"
    ] * 50 + ["done"]


async def test_simultaneous_timeouts_are_raised_by_the_outer_block(
    deadlines: Deadlines,
) -> None:
    """The outer block raises `TimeoutError`, as with nested `asyncio.timeout`s."""
    when = soon()
    inner: list[type[BaseException]] = []
    with pytest.raises(TimeoutError), deadlines.at(when):
        try:
            with deadlines.at(when):
                await asyncio.Event().wait()
        except BaseException as error:
            inner.append(type(error))
            raise
    assert inner == [asyncio.CancelledError]


async def test_an_inner_deadline_does_not_end_the_outer_block(deadlines: Deadlines) -> None:
    """The outer block goes on after the inner timeout."""
    with deadlines.at(soon(60)) as outer:
        with pytest.raises(TimeoutError), deadlines.at(soon()):
            await asyncio.Event().wait()
        await asyncio.sleep(0)
    assert not outer.ended


async def test_a_cancellation_from_outside_stays_one(deadlines: Deadlines) -> None:
    """A cancelled task ends as cancelled, also if the deadline has passed as well."""

    async def block(at: float) -> None:
        with deadlines.at(at):
            await asyncio.Event().wait()

    for at in (soon(60), soon(-100)):
        task = asyncio.create_task(block(at))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_an_error_of_the_block_is_not_hidden(deadlines: Deadlines) -> None:
    """The block's own error during its timeout is raised, and the task can go on."""
    with pytest.raises(LookupError), deadlines.at(soon(-100)):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise LookupError from None
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_many_deadlines_need_few_timers(
    deadlines: Deadlines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand calls at once set a timer or two."""
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    call_at = loop.call_at

    def counting(when: float, *rest: Any) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, *rest)

    monkeypatch.setattr(loop, "call_at", counting)
    when = soon(60)
    for number in range(1000):
        with deadlines.at(when + number / 1_000_000):
            pass
    assert len(timers) in (1, 2)


async def test_timers_of_ended_blocks_are_released(deadlines: Deadlines) -> None:
    """Blocks with a timeout of a day keep few timers; blocks in progress keep theirs."""
    loop: Any = asyncio.get_running_loop()
    if not hasattr(loop, "_scheduled"):
        pytest.skip("this event loop does not show its timers")
    now = loop.time()
    before = len(loop._scheduled)

    async def block(when: float) -> str:
        try:
            with deadlines.at(when):
                await asyncio.Event().wait()
        except TimeoutError:
            return "ended"
        return "done"

    early = asyncio.create_task(block(now + 1))
    others = [asyncio.create_task(block(now + 80_000 + number)) for number in range(5_000)]
    await asyncio.sleep(0)
    for number in range(50_000):
        with deadlines.at(now + 86_400 + number * 0.02):
            pass
    await asyncio.sleep(0)
    assert len(deadlines._slices) == len(deadlines._timers) < 15_000
    assert len(loop._scheduled) - before < 30_000  # asyncio keeps as many cancelled ones
    for other in others:
        other.cancel()
    await asyncio.wait(others)
    for number in range(50_000):
        with deadlines.at(now + 90_000 + number * 0.02):
            pass
    assert len(deadlines._slices) <= 15_000
    assert await early == "ended"


@pytest.mark.parametrize("timeout", [5, 86_400])
async def test_calls_with_a_long_timeout(timeout: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of an hour, at a rate of 50 a second, keep a bounded number of timers."""
    async with (
        RawServer(http_response(PRICES)) as server,
        client(server.url, timeout=timeout) as pay,
    ):
        await pay.prices.list()
        assert pay._caller.transport._wiring is not None
        own = pay._caller.transport._wiring.deadlines
        monkeypatch.setattr("paychainhq._http.deadlines._SLICE", 1e-7)  # one for each call
        monkeypatch.setattr("paychainhq._http.deadlines._MOST_SLICES", 16)
        own._most = 16
        for _ in range(200):
            await pay.prices.list()
        assert len(own._slices) == len(own._timers) <= 16
