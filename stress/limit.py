"""Test of a shared rate limit: processes with one limit in PostgreSQL, under one server.

    python -m stress limit [--seconds N] [--rounds NAME,...]

The server accepts 400 requests per second (a token bucket of 40), the limit is 380. Each round has
eight processes with 16 tasks each. The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable

import attrs

from paychainhq import RateLimit
from paychainhq.shared import SharedRateLimit
from stress.limit_client import Work
from stress.load_server import Plan
from stress.postgres import FAST, Cluster, temporary
from stress.processes import start

GRANTED, LIMIT, BURST = 400.0, 380.0, 19
PROCESSES, TASKS = 8, 16
SETTLING = 5
AWAY = 4.0
LEAD = 3.0  # seconds until all processes have started
TIMEOUT = 60.0


@attrs.frozen
class Setup:
    """Setup of a round.

    Attributes:
        seconds: The duration of the load.
        granted: The requests per second that the server accepts.
        limit: The limit of the processes together, or None for clients without one.
        tolerated: The size of the server's token bucket.
        processes: The number of processes.
        tasks: The number of tasks of each.
        ahead: The seconds by which the clocks of every other process are ahead.
        killed: The number of processes that are killed after the settling time.
        away: The seconds for which the store is stopped after the settling time.
    """

    seconds: float
    granted: float = GRANTED
    limit: RateLimit | None = RateLimit(LIMIT, burst=BURST)  # noqa: RUF009 (immutable)
    tolerated: float = 40
    processes: int = PROCESSES
    tasks: int = TASKS
    ahead: float = 0.0
    killed: int = 0
    away: float = 0.0


@attrs.frozen
class Measured:
    """Counts of a round.

    Attributes:
        accepted: The accepted requests of each second.
        limited: The 429s of each second.
        processes: The completed calls of each process that was not killed, after settling.
        leases: The leases of a request of theirs.
        errors: The errors of calls.
    """

    accepted: list[int]
    limited: list[int]
    processes: list[int]
    leases: float
    errors: Counter[str]


def run_round(setup: Setup, cluster: Cluster, dsn: str, *, settling: float) -> Measured:
    """Run one round to its end."""
    begin = time.monotonic() + LEAD
    end = begin + setup.seconds
    plan = Plan(
        rate=setup.granted,
        burst=setup.tolerated,
        latency=0.03,
        retry_after=1,
        begin=begin,
        seconds=1e6,
        outage=0.0,
        processes=setup.processes,
        tasks=setup.tasks,
    )
    processes: list[subprocess.Popen[str]] = []

    def launch(module: str, arguments: object) -> subprocess.Popen[str]:
        process = start(
            module, json.dumps(arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        processes.append(process)
        return process

    try:
        server = launch("load_server", attrs.asdict(plan))
        assert server.stdout is not None
        work = Work(
            url=f"http://127.0.0.1:{server.stdout.readline().strip()}",
            dsn=None if setup.limit is None else dsn,
            rate=0.0 if setup.limit is None else setup.limit.rate,
            burst=1 if setup.limit is None else setup.limit.burst or 1,
            begin=begin,
            end=end,
            tasks=setup.tasks,
        )
        clients = [
            launch(
                "limit_client",
                attrs.asdict(attrs.evolve(work, ahead=setup.ahead if number % 2 else 0.0)),
            )
            for number in range(setup.processes)
        ]
        time.sleep(max(0.0, begin + settling - time.monotonic()))
        for client in clients[: setup.killed]:
            client.kill()
        if setup.away:
            cluster.stop()
            time.sleep(setup.away)
            cluster.start()
        counts = [
            json.loads(client.communicate(timeout=setup.seconds + TIMEOUT)[0])
            for client in clients[setup.killed :]
        ]
        seen = Counter(json.loads(server.communicate(timeout=TIMEOUT)[0])["seen"])
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    seconds = range(int(setup.seconds))
    done = sum(sum(count["done"].values()) for count in counts)
    return Measured(
        [seen[f"{second} accepted"] + seen[f"{second} repeated"] for second in seconds],
        [seen[f"{second} limited"] for second in seconds],
        [
            sum(n for second, n in count["done"].items() if settling <= int(second) < len(seconds))
            for count in counts
        ],
        sum(count["leases"] for count in counts) / max(1, done),
        sum((Counter(count["errors"]) for count in counts), Counter()),
    )


Bar = tuple[str, float, bool]


def _steady(seen: Measured) -> list[Bar]:
    rate = statistics.mean(seen.accepted[SETTLING:])
    fairness = max(seen.processes) / max(1, min(seen.processes))
    refused = sum(seen.limited[SETTLING:])
    return [
        ("accepted per second, 380 within 1 %", rate, abs(rate / LIMIT - 1) <= 0.01),
        ("429s, none", refused, refused == 0),
        ("fastest process over slowest, at most 1.3", fairness, fairness <= 1.3),
        ("leases per request, at most 0.35", seen.leases, seen.leases <= 0.35),
    ]


def _killed(seen: Measured) -> list[Bar]:
    rate = statistics.mean(seen.accepted[SETTLING:])
    return [("accepted per second, at least 98 % of 380", rate, rate >= 0.98 * LIMIT)]


def _away(seen: Measured) -> list[Bar]:
    period = slice(SETTLING, SETTLING + round(AWAY) + 3)
    rate = statistics.mean(seen.accepted[period])
    refused = sum(seen.limited[period]) / max(1, sum(seen.accepted[period]))
    # Seconds of the server begin between those of the limit, so a burst may fall into one.
    most = max(map(sum, zip(seen.accepted[SETTLING:], seen.limited[SETTLING:], strict=True)))
    return [
        ("accepted per second, at least 90 % of 380", rate, rate >= 0.9 * LIMIT),
        ("share of 429s, at most 1 %", refused, refused <= 0.01),
        ("most requests in a second, at most 380 and a burst", most, most <= LIMIT + BURST),
    ]


ROUNDS: dict[str, tuple[str, Setup, Callable[[Measured], list[Bar]]]] = {
    "steady": ("8 processes", Setup(20), _steady),
    "killed": ("2 of 8 processes are killed", Setup(20, killed=2), _killed),
    "away": (f"the store is away for {AWAY:g} s", Setup(20, away=AWAY), _away),
    "clocks": ("the clocks of every other process are 120 s ahead", Setup(20, ahead=120), _steady),
}


def _lower(cluster: Cluster, seconds: float) -> list[Bar]:
    """Run a round with the line and one without, under a server that accepts less."""
    rates = []
    for limit in (RateLimit(LIMIT, burst=BURST), None):
        setup = Setup(seconds, granted=300, tolerated=30, limit=limit)
        seen = run_round(setup, cluster, cluster.dsn, settling=SETTLING)
        rates.append(statistics.mean(seen.accepted[SETTLING:]))
    with_line, without = rates
    return [
        ("accepted per second of 300 without the line", without, True),
        ("the same with it, at most 3 % less", with_line, with_line >= 0.97 * without),
    ]


def main(arguments: list[str]) -> int:
    """Run the rounds and print the figures; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m stress limit", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=20, help="seconds of a round")
    parser.add_argument("--rounds", default=",".join([*ROUNDS, "lower"]))
    given = parser.parse_args(arguments)
    missed = 0
    with temporary("store") as [folder]:
        cluster = Cluster(folder, FAST)
        cluster.create()
        cluster.start()
        SharedRateLimit(RateLimit(LIMIT), cluster.dsn).migrate()
        for name in given.rounds.split(","):
            if name == "lower":
                print("the server accepts 300 per second", flush=True)
                bars = _lower(cluster, given.seconds)
            else:
                title, setup, judge = ROUNDS[name]
                print(title, flush=True)
                setup = attrs.evolve(setup, seconds=given.seconds)
                seen = run_round(setup, cluster, cluster.dsn, settling=SETTLING)
                print(f"  accepted {seen.accepted}, 429s {seen.limited}")
                print(f"  processes {seen.processes}, errors {dict(seen.errors)}")
                bars = judge(seen)
            for text, value, passed in bars:
                print(f"  {text}: {value:.4g}{'' if passed else ', MISSED'}", flush=True)
                missed += not passed
    print(f"{missed} bars missed" if missed else "all bars are met")
    return 1 if missed else 0
