"""Four receiver processes over one SQLite file: each event is handled once.

No event is lost when the processes are killed.
"""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.webhooks.samples import signed, webhook

PROCESSES = 4
KILLS = 6
ROOT = Path(__file__).parents[2]


class Receivers:
    """Receiver processes, each of which can be killed and started again."""

    def __init__(self, folder: Path, lease: float, seconds: float) -> None:
        self._arguments = [str(folder), str(lease), str(seconds)]
        self._processes: dict[int, Process] = {}
        self.urls: dict[int, str] = {}

    async def start(self, number: int) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.webhooks.serve", *self._arguments, cwd=ROOT, stdout=PIPE
        )
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        self._processes[number] = process
        self.urls[number] = f"http://127.0.0.1:{port}/webhooks"

    async def kill(self, number: int) -> None:
        self._processes[number].kill()
        await self._processes[number].wait()

    async def stop(self) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()


@asynccontextmanager
async def receivers(
    folder: Path, lease: float = 60.0, seconds: float = 0.0
) -> AsyncIterator[Receivers]:
    running = Receivers(folder, lease, seconds)
    try:
        await asyncio.gather(*(running.start(number) for number in range(PROCESSES)))
        yield running
    finally:
        await running.stop()


async def deliver(running: Receivers, events: Iterable[str], chance: random.Random) -> Counter[int]:
    """Deliver each event to random processes until it is acknowledged; count the statuses."""
    statuses: Counter[int] = Counter()
    waiting = iter(events)

    async def sender(session: aiohttp.ClientSession) -> None:
        for event in waiting:
            body = webhook(event)
            status = 0
            while status != 200:
                try:
                    async with session.post(
                        running.urls[chance.randrange(PROCESSES)], data=body, headers=signed(body)
                    ) as response:
                        status = response.status
                except (aiohttp.ClientError, ConnectionError):
                    status = 0  # the process was killed
                statuses[status] += 1
                if status != 200:
                    await asyncio.sleep(0.01)

    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(32):
            group.create_task(sender(session))
    return statuses


def handled(folder: Path) -> Counter[str]:
    return Counter((folder / "handled.txt").read_text().split())


async def test_each_event_is_handled_once(tmp_path: Path) -> None:
    """A thousand events, delivered one to five times in any order, are handled once each."""
    chance = random.Random(5)
    events = [f"evt_{number}" for number in range(1000)]
    deliveries = [event for event in events for _ in range(chance.randint(1, 5))]
    chance.shuffle(deliveries)
    async with receivers(tmp_path, seconds=0.005) as running:
        statuses = await deliver(running, deliveries, chance)
    assert statuses.keys() <= {200, 503}
    assert statuses[200] == len(deliveries)
    assert handled(tmp_path) == Counter(events)


async def test_no_event_is_lost_if_processes_are_killed(tmp_path: Path) -> None:
    """Each event is handled at least once although processes are killed in their handlers.

    They are started again, and events are delivered until the last kill.
    """
    chance = random.Random(6)
    kills = 0
    deliveries: list[str] = []

    def events() -> Iterator[str]:
        while kills < KILLS or len(deliveries) < 200:
            deliveries.append(f"evt_{chance.randrange(len(deliveries) // 2 + 1)}")
            yield deliveries[-1]

    async with receivers(tmp_path, lease=1.0, seconds=0.6) as running:
        delivering = asyncio.create_task(deliver(running, events(), chance))
        while kills < KILLS:
            await asyncio.sleep(0.05)
            number = chance.randrange(PROCESSES)
            await running.kill(number)
            await running.start(number)
            kills += 1
        statuses = await delivering
    assert statuses[200] == len(deliveries)
    assert handled(tmp_path).keys() == set(deliveries)
