"""Cancelled calls: at any point they leave no task, no slot, and no stray response.

Each case is run twice: cancelled by `Task.cancel`, and by a cancel scope of anyio.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import aiohttp
import attrs
import pytest
from anyio import CancelScope

from paychainhq import PayChainHQ, RateLimit, Request, Response, RetryPolicy
from paychainhq._http.messages import Next
from paychainhq.typing import InvoiceRequestDict
from tests.support.client import client
from tests.support.raw_server import RawServer, Recorded, http_response

TURNS = 60


def invoice(name: str) -> dict[str, Any]:
    return {"id": name, "status": "pending", "amount": "1"}


def name_in(path: str) -> str:
    return path.partition("?")[0].rpartition("/")[2]


def reply(request: Recorded) -> bytes:
    """Return the response with the request's own id; an error for ids that begin with `down`."""
    name = name_in(request.target)
    if name.startswith("down"):
        return http_response({}, status=503)
    if request.method == "POST":
        return http_response(invoice(request.json["description"]))
    if name == "invoices":
        more = "page=3" not in request.target
        pagination = {"page": 1, "limit": 2, "total": 6, "totalPages": 3, "hasMore": more}
        return http_response(
            {"data": [invoice(f"{request.target}-{n}") for n in range(2)], "pagination": pagination}
        )
    return http_response(invoice(name))


@attrs.define
class Gate:
    """Server that collects `together` requests before it responds to them in pieces."""

    together: int = 1
    waiting: list[asyncio.Future[None]] = attrs.field(factory=list)

    async def __call__(self, request: Recorded, writer: asyncio.StreamWriter) -> None:
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        if len(self.waiting) >= self.together:
            for waiter in self.waiting:
                if not waiter.cancelled():
                    waiter.set_result(None)
            self.waiting.clear()
        await turn
        whole = reply(request)
        for piece in (whole[:20], whole[20:-4], whole[-4:]):
            writer.write(piece)
            await asyncio.sleep(0)


TASK, SCOPE = "task", "scope"


class Work:
    """Work in a task that a test cancels, by its task or by a cancel scope of anyio around it."""

    way: ClassVar[str] = TASK

    def __init__(self, work: Awaitable[Any]) -> None:
        self._scope = CancelScope()
        self.task = asyncio.ensure_future(work if self.way == TASK else self._inside(work))

    async def _inside(self, work: Awaitable[Any]) -> Any:
        with self._scope:
            return await work

    def cancel(self) -> None:
        if self.way == TASK:
            self.task.cancel()
        else:
            self._scope.cancel()

    async def has_ended(self) -> bool:
        """Wait for the end of the task, and return whether it had its own end."""
        await asyncio.wait([self.task])
        if self.task.cancelled() or self._scope.cancelled_caught:
            return False
        self.task.result()
        return True


@pytest.fixture(autouse=True, params=[TASK, SCOPE])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Provide the way of cancelling."""
    monkeypatch.setattr(Work, "way", request.param)
    return str(request.param)


@attrs.frozen
class Bench:
    """A client with cancellable calls, its server, and the requests of its middleware."""

    pay: PayChainHQ
    server: RawServer
    gate: Gate
    calls: list[Request]
    slots: int

    async def cancel_at_every_turn(
        self, make: Callable[[int], Awaitable[Any]], *, to_its_end: bool = True
    ) -> int:
        """Cancel work after 0, 1, 2, ... turns of the loop, each time followed by another call.

        Continue until the work has ended before its cancellation, if it has an end; return how
        often it has.
        """
        ended = turn = 0
        while turn < TURNS or (to_its_end and not ended):
            work = Work(make(turn))
            for _ in range(turn):
                await asyncio.sleep(0)
            work.cancel()
            follower = await self.pay.invoices.get(f"after-{turn}")
            assert follower.id == f"after-{turn}"
            ended += await work.has_ended()
            turn += 1
        return ended

    async def assert_whole(self) -> None:
        """Check that the client has no tasks left, and as many send slots as ever."""
        assert await only_the_servers_tasks() == []
        self.gate.together = self.slots
        names = [f"whole-{n}" for n in range(self.slots)]
        found = await asyncio.gather(*(self.pay.invoices.get(name) for name in names))
        assert [result.id for result in found] == names
        self.gate.together = 1

    def assert_listed(self) -> None:
        """Check that calls list all requests of the server, none of them as unsent."""
        arrived = Counter(
            name_in(request.target)
            for request in self.server.requests
            if "/businesses/invoices/" in request.target
        )
        left = Counter(
            name_in(call.path)
            for call in self.calls
            for attempt in call.attempts
            if attempt.sent != "no"
        )
        assert arrived <= left, arrived - left


async def only_the_servers_tasks() -> list[str]:
    """Return the loop's tasks besides this test and the server, after time to end."""
    for _ in range(100):
        await asyncio.sleep(0)
    coroutines = [task.get_coro() for task in asyncio.all_tasks() - {asyncio.current_task()}]
    names = [getattr(coroutine, "__qualname__", "") for coroutine in coroutines]
    return [name for name in names if name != "RawServer._serve"]


@asynccontextmanager
async def bench(slots: int, **settings: Any) -> AsyncIterator[Bench]:
    calls: list[Request] = []
    gate = Gate()

    async def keep(request: Request, send: Next) -> Response:
        calls.append(request)
        return await send(request)

    async with (
        RawServer(gate) as server,
        client(server.url, max_connections=slots, middleware=[keep], **settings) as pay,
    ):
        made = Bench(pay, server, gate, calls, slots)
        yield made
        await made.assert_whole()
        made.assert_listed()
    assert await only_the_servers_tasks() == []


# --- one call ---


@pytest.mark.parametrize("slots", [1, 3])
async def test_a_call_cancelled_anywhere(slots: int, way: str) -> None:
    """The next call gets its own response, and connections and slots are complete."""
    async with bench(slots, retry=RetryPolicy(attempts=1)) as made:
        await made.cancel_at_every_turn(lambda turn: made.pay.invoices.get(f"cut-{turn}"))
        cut = [call for call in made.calls if "cut-" in call.path]
        # A scope that is cancelled before its task has begun lets the first turn of it run.
        early = set() if way == TASK else {"no"}
        assert {call.sent for call in cut} - early == {"unknown", "yes"}
        assert {attempt.error for call in cut for attempt in call.attempts} == {"cancelled", None}


async def test_a_first_call_cancelled_anywhere() -> None:
    """A call that is cancelled while it connects is reported as unsent, and is."""
    known: list[str] = []
    while "yes" not in known:
        async with bench(1, retry=RetryPolicy(attempts=1)) as made:
            first = Work(made.pay.invoices.get("first"))
            for _ in known:
                await asyncio.sleep(0)
            first.cancel()
            await first.has_ended()
            assert (await made.pay.invoices.get("after")).id == "after"
            known.append(made.calls[0].sent if "first" in made.calls[0].path else "unstarted")
    assert "no" in known


async def test_a_call_over_the_callers_session_cancelled_anywhere() -> None:
    """The same holds over a session of the caller's own, which has one connection."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        bench(1, session=session) as made,
    ):
        await made.cancel_at_every_turn(lambda turn: made.pay.invoices.get(f"cut-{turn}"))


async def test_calls_that_queue_cancelled_anywhere() -> None:
    """Calls that wait for the only slot release it, cancelled together or one by one."""
    async with bench(1) as made:

        async def queue(turn: int) -> None:
            await asyncio.gather(*(made.pay.invoices.get(f"cut-{turn}-{n}") for n in range(4)))

        await made.cancel_at_every_turn(queue)
        calls = [Work(made.pay.invoices.get(f"queued-{n}")) for n in range(5)]
        await asyncio.sleep(0)
        for call in calls[1:4]:
            call.cancel()
            await asyncio.sleep(0)
        assert [(await calls[n].task).id for n in (0, 4)] == ["queued-0", "queued-4"]


async def test_a_call_cancelled_in_its_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that waits for its second attempt ends at once, and lists its first attempt."""
    monkeypatch.setattr(random, "uniform", lambda _, ceiling: ceiling)
    async with bench(1, retry=RetryPolicy(first=5), timeout=30) as made:
        assert (
            await made.cancel_at_every_turn(
                lambda turn: made.pay.invoices.get(f"down-{turn}"), to_its_end=False
            )
            == 0
        )
        last = Work(made.pay.invoices.get("down-last"))
        while not made.calls[-1].attempts or "last" not in made.calls[-1].path:
            await asyncio.sleep(0)
        last.cancel()
        assert not await last.has_ended()
        assert [attempt.status for attempt in made.calls[-1].attempts] == [503]


async def test_a_call_cancelled_while_it_waits_for_its_turn() -> None:
    """A call that waits for the rate limit returns its slot."""
    async with bench(1, rate_limit=RateLimit(500, burst=1)) as made:
        await made.cancel_at_every_turn(lambda turn: made.pay.invoices.get(f"cut-{turn}"))


# --- jobs, watches, lists ---


async def test_a_job_cancelled_anywhere() -> None:
    """A cancelled job ends with all its workers; a repeat completes it under the same keys."""
    async with bench(3) as made:
        requests: list[InvoiceRequestDict] = [
            {
                "reference": f"r{n}",
                "description": f"r{n}",
                "amount": "1",
                "token": "USDC",
                "chain": "eth",
            }
            for n in range(6)
        ]

        async def job(_: int = 0) -> set[str]:
            return {
                done.result.id
                async for done in made.pay.invoices.create_many(requests, concurrency=3)
                if done.result
            }

        await made.cancel_at_every_turn(job)
        assert await job() == {f"r{n}" for n in range(6)}
        posted = [request for request in made.server.requests if request.method == "POST"]
        keys = {
            (json.loads(request.body)["description"], request.headers["idempotency-key"])
            for request in posted
        }
        assert len(keys) == 6


async def test_a_job_cancelled_while_its_outcome_is_handled() -> None:
    """A loop over outcomes that is cancelled in its body leaves no workers either."""
    async with bench(3) as made:

        async def job(_: int) -> None:
            requests: list[InvoiceRequestDict] = [
                {
                    "reference": f"r{n}",
                    "description": f"r{n}",
                    "amount": "1",
                    "token": "USDC",
                    "chain": "eth",
                }
                for n in range(6)
            ]
            async for _outcome in made.pay.invoices.create_many(requests, concurrency=2):
                for _turn in range(20):
                    await asyncio.sleep(0)

        await made.cancel_at_every_turn(job)


async def test_watching_cancelled_anywhere() -> None:
    """`watch` ends with all its reads, and in the pause between them."""
    async with bench(2) as made:

        async def watch(turn: int) -> None:
            async for _ in made.pay.invoices.watch(
                [f"w{turn}-{n}" for n in range(4)], interval=0.002, concurrency=3
            ):
                pass

        assert await made.cancel_at_every_turn(watch, to_its_end=False) == 0


async def test_waiting_cancelled_anywhere() -> None:
    """`wait` ends in its read and in its pause."""
    async with bench(1) as made:
        assert (
            await made.cancel_at_every_turn(
                lambda turn: made.pay.invoices.wait(f"w{turn}", interval=0.002), to_its_end=False
            )
            == 0
        )


async def test_a_list_cancelled_anywhere() -> None:
    """The prefetch of a page ends with the loop over the list."""
    async with bench(2) as made:

        async def walk(_: int = 0) -> list[str]:
            return [item.id async for item in made.pay.invoices.list()]

        await made.cancel_at_every_turn(walk)
        assert len(await walk()) == 6
