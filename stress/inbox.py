"""Fault test of webhooks on PostgreSQL: each event takes effect once, though processes are killed.

    python -m stress inbox [--events N] [--kills N] [--processes N] [--seed N] [--fast]

Each handler records its event as done in the transaction of its effect. Some events are delivered
to two processes at once, and each is delivered until it is acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import time
from multiprocessing.connection import Connection, wait

import attrs
import psycopg

from paychainhq.ledger import PostgresLedger
from paychainhq.webhooks import Event, Receiver, sign
from stress.postgres import FAST, Cluster, temporary

SECRET = "whsec_0123456789"
LEASE, REPEAT = 1.0, 1.5  # seconds; the API's are 60
DONE = (
    "UPDATE paychainhq_claims SET done_at = clock_timestamp() WHERE name = %s AND done_at IS NULL"
)
FORK = multiprocessing.get_context("fork")


def serve(dsn: str, deliveries: Connection) -> None:
    """Receive webhooks from a pipe, and return their statuses."""
    Receiver._within = 0.9 * LEASE
    connection = psycopg.connect(dsn)
    receiver = Receiver(secrets=SECRET, ledger=PostgresLedger(dsn), lease=LEASE)

    @receiver.on("invoice.paid")
    def paid(event: Event) -> None:
        with connection.transaction():
            connection.execute("UPDATE effects SET times = times + 1 WHERE id = %s", (event.id,))
            if connection.execute(DONE, (event.id,)).rowcount != 1:
                raise RuntimeError("another process has handled this event")
        time.sleep(0.004)  # a kill here would repeat an effect whose event is recorded later

    async def receive() -> None:
        while True:
            event = await asyncio.to_thread(deliveries.recv)
            content = {"id": event, "event": "invoice.paid", "data": {"invoiceId": "inv_1"}}
            body = json.dumps(content).encode()
            status = await receiver.receive(body, sign(body, secret=SECRET))
            deliveries.send((event, status))

    asyncio.run(receive())


@attrs.define
class Worker:
    """Process that receives webhooks, and is killed and replaced."""

    dsn: str
    pipe: Connection = attrs.field(init=False)
    process: multiprocessing.process.BaseProcess = attrs.field(init=False)

    def start(self) -> None:
        self.pipe, other = FORK.Pipe()
        self.process = FORK.Process(target=serve, args=(self.dsn, other), daemon=True)
        self.process.start()
        other.close()

    def kill(self) -> None:
        """Kill the process; what it has not received, or answered, is lost."""
        self.process.kill()
        self.process.join()
        self.process.close()
        self.pipe.close()


def deliver(dsn: str, events: list[str], kills: int, processes: int, chance: random.Random) -> None:
    """Deliver each event until it is acknowledged, and kill processes meanwhile."""
    due = dict.fromkeys(events, 0.0)
    workers = [Worker(dsn) for _ in range(processes)]
    for worker in workers:
        worker.start()
    total, killed = len(events), 0
    while due or killed < kills:
        for pipe in wait([worker.pipe for worker in workers], 0.01):
            assert isinstance(pipe, Connection)
            event, status = pipe.recv()
            if status == 200:
                due.pop(event, None)
        now = time.monotonic()
        for event in [event for event, moment in due.items() if moment <= now][:20]:
            for worker in chance.sample(workers, 2 if chance.random() < 0.3 else 1):
                worker.pipe.send(event)
            due[event] = now + REPEAT
        # The kills are spread over the events, at any moment of a delivery.
        if killed < kills and total - len(due) > killed * total // (kills + 1):
            time.sleep(chance.uniform(0, 0.01))
            worker = chance.choice(workers)
            worker.kill()
            worker.start()
            killed += 1
    for worker in workers:
        worker.kill()


def main(arguments: list[str]) -> int:
    """Run the test; a failed check raises SystemExit."""
    parser = argparse.ArgumentParser(
        prog="python -m stress inbox", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--events", type=int, default=1500)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--fast", action="store_true", help="without fsync, for a short run")
    given = parser.parse_args(arguments)
    events = [f"evt_{number}" for number in range(given.events)]
    with temporary("one") as [folder]:
        cluster = Cluster(folder, FAST if given.fast else ())
        cluster.create()
        cluster.start()
        PostgresLedger(cluster.dsn).migrate()
        with psycopg.connect(cluster.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE effects (id text PRIMARY KEY, times int DEFAULT 0)")
            connection.execute("INSERT INTO effects (id) SELECT unnest(%s::text[])", (events,))
        deliver(cluster.dsn, events, given.kills, given.processes, random.Random(given.seed))
        with psycopg.connect(cluster.dsn, autocommit=True) as connection:
            query = "SELECT times, count(*) FROM effects GROUP BY times ORDER BY times"
            effects = connection.execute(query).fetchall()
    print(
        f"{given.events} events, {given.kills} kills, seed {given.seed}: "
        + ", ".join(f"{count} took effect {times} times" for times, count in effects),
        flush=True,
    )
    if effects != [(1, given.events)]:
        raise SystemExit("not each event took effect once")
    return 0
