"""Watches against a model: invoices change and pages shift between any two requests."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from paychainhq import ConnectionFailedError, NotFoundError, WatchState
from paychainhq._core.statistics import Counters
from paychainhq._jobs import watch
from paychainhq.codec import from_json
from paychainhq.models.invoices import TERMINAL

LIVES = [
    ["pending", "paid"],
    ["pending", "confirming", "paid"],
    ["pending", "confirming", "partially_paid", "confirming", "overpaid"],
    ["pending", "partially_paid", "expired"],
    ["pending", "confirming", "pending", "cancelled"],
    ["paid"],
    ["pending", "held_for_review", "confirming", "failed"],
]


class World:
    """A server whose invoices change by themselves, in the place of a `Caller`."""

    business_id = "biz_1"
    transport = SimpleNamespace(counters=Counters(), telemetry=None)

    def __init__(
        self, lives: list[list[str]], page_size: int, seed: int, speed: float, failures: float
    ) -> None:
        self.lives = {f"inv_{n}": life for n, life in enumerate(lives)}
        self.stage = dict.fromkeys(self.lives, 0)
        self.page_size = page_size
        self.chance = random.Random(seed)
        self.speed = speed
        self.failures = failures
        self.order = list(self.lives)

    def complete(self, _: object, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return given

    def pass_time(self) -> None:
        for id_, life in self.lives.items():
            if self.chance.random() < self.speed:
                self.stage[id_] = min(self.stage[id_] + 1, len(life) - 1)
        if self.chance.random() < 0.3:  # the order of a list is not documented
            self.chance.shuffle(self.order)

    async def call(self, operation: Any, given: Mapping[str, Any]) -> Any:
        await asyncio.sleep(0)
        self.pass_time()
        if self.chance.random() < self.failures:
            raise ConnectionFailedError("the connection was lost")
        response = (
            self.page(given) if operation.name == "invoices.list" else self.one(given["invoice_id"])
        )
        await asyncio.sleep(0)
        self.pass_time()
        return from_json(operation.response_type, response)

    def row(self, id_: str) -> dict[str, Any]:
        return {"id": id_, "status": self.lives[id_][self.stage[id_]], "amount": "1"}

    def one(self, id_: str) -> dict[str, Any]:
        if id_ not in self.lives:
            raise NotFoundError("no such invoice", status=404)
        return self.row(id_)

    def page(self, given: Mapping[str, Any]) -> dict[str, Any]:
        rows = [row for row in map(self.row, self.order) if row["status"] == given["status"]]
        number, size = given["page"], self.page_size
        pages = -(-len(rows) // size)
        pagination = {
            "page": number,
            "limit": size,
            "total": len(rows),
            "totalPages": pages,
            "hasMore": number < pages,
        }
        return {"data": rows[(number - 1) * size : number * size], "pagination": pagination}


def is_in_order(reported: list[str | None], life: list[str]) -> bool:
    """Return whether reported statuses follow the invoice's life in order, up to its end."""
    stages: Iterator[str | None] = iter(life)
    return (
        all(status in stages for status in reported) and bool(reported) and reported[-1] == life[-1]
    )


@given(
    lives=st.lists(st.sampled_from(LIVES), min_size=1, max_size=40),
    page_size=st.integers(1, 20),
    seed=st.integers(0, 2**32),
    speed=st.sampled_from([0.02, 0.1, 0.5]),
    failures=st.sampled_from([0.0, 0.05, 0.3]),
    strangers=st.integers(0, 2),
    stops=st.lists(st.integers(1, 15), max_size=3),
)
@settings(max_examples=80, deadline=None)
def test_each_invoice_is_reported_with_its_real_changes(
    lives: list[list[str]],
    page_size: int,
    seed: int,
    speed: float,
    failures: float,
    strangers: int,
    stops: list[int],
) -> None:
    """No change is invented, repeated or reversed; each end is reported once, across tokens too."""
    world = World(lives, page_size, seed, speed, failures)
    nobodies = [f"inv_nobody_{n}" for n in range(strangers)]
    reported: dict[str, list[str | None]] = {}

    async def follow(state: WatchState, ids: list[str], stop: int | None) -> None:
        changes = watch.watch(world, ids, 0.001, 4, None, state)  # type: ignore[arg-type]
        async for change in changes:
            history = reported.setdefault(change.invoice_id, [])
            assert change.previous == (history[-1] if history else None)
            history.append(None if change.error is not None else change.current)
            stop = None if stop is None else stop - 1
            if stop == 0:
                break
        await changes.aclose()

    async def run() -> None:
        state = WatchState()
        ids = [*world.lives, *nobodies]
        for stop in [*stops, None]:
            await follow(state, ids, stop)
            state, ids = WatchState.from_token(state.token()), []

    asyncio.run(run())
    assert {id_: reported.pop(id_) for id_ in nobodies} == {id_: [None] for id_ in nobodies}
    assert set(reported) == set(world.lives)
    wrong = {
        id_: (history, world.lives[id_])
        for id_, history in reported.items()
        if not is_in_order(history, world.lives[id_])
    }
    assert not wrong
    assert all(life[-1] in TERMINAL for life in lives)
