"""Measurement of one group of clients in one process.

    python -m benchmarks.measure aiohttp create create_many

The process runs on the last core, starts the server on the first, and prints the ratios to the
first named peer. A peer that is not installed is skipped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

import attrs

from benchmarks import machine, server, slices
from benchmarks.peers import Job, Work, peer
from benchmarks.work import Target

_TIMED_CALLS = 2000


def measured(
    names: list[str],
    *,
    concurrencies: list[int],
    rounds: int,
    seconds: float,
    tls: bool = False,
    uvloop: bool = False,
    timed: bool = False,
) -> dict[str, Any]:
    """Measure peers in this process, with a server of their own.

    Returns:
        By concurrency and peer: CPU and throughput, slice by slice, and percentiles of latency with
        `timed`.
    """
    with (
        server.running() as (plain, secure),
        asyncio.Runner(loop_factory=_uvloop if uvloop else None) as runner,
    ):
        loop = runner.get_loop()
        stack = AsyncExitStack()
        try:
            works = loop.run_until_complete(_open(stack, names, secure if tls else plain))
            return {
                str(number): _at(loop, works, number, rounds, seconds, timed)
                for number in concurrencies
            }
        finally:
            loop.run_until_complete(stack.aclose())


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


async def _open(stack: AsyncExitStack, names: list[str], target: Target) -> dict[str, Work]:
    works = {}
    for name in names:
        try:
            works[name] = await stack.enter_async_context(peer(name)(target))
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return works


def _at(
    loop: asyncio.AbstractEventLoop,
    works: dict[str, Work],
    concurrency: int,
    rounds: int,
    seconds: float,
    timed: bool,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: attrs.asdict(series)
        for name, series in slices.compare(loop, works, concurrency, rounds, seconds).items()
    }
    for name, work in works.items():
        if timed and not isinstance(work, Job):
            taken = slices.latencies(loop, work, _TIMED_CALLS, concurrency)
            found[name]["latency_ms"] = {
                percent: taken[len(taken) * int(percent) // 100] for percent in ("50", "90", "99")
            }
    for series in found.values():
        series["cpu_us"] = [round(value, 2) for value in series["cpu_us"]]
        series["per_second"] = [round(value) for value in series["per_second"]]
    return found


def table(found: dict[str, Any], base: str) -> str:
    """Format the ratios of a group as text."""
    lines = []
    for concurrency, works in found.items():
        lines.append(
            f"concurrency {concurrency}: {base} {slices.spread(works[base]['cpu_us']).median:.1f} "
            "us a request"
        )
        for name, series in works.items():
            ratio = slices.spread(slices.ratios(series["cpu_us"], works[base]["cpu_us"]))
            speed = slices.spread(series["per_second"]).median
            lines.append(
                f"  {name:20} {ratio.median:6.3f}  ({ratio.low:.3f} to {ratio.high:.3f})  "
                f"{speed:8.0f} a second"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peers", nargs="*", default=["aiohttp", "create", "create_many"])
    parser.add_argument("--concurrency", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.4, help="the length of a slice")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--timed", action="store_true", help="latencies too")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument(
        "--malloc", choices=["steady", "default"], default="steady", help="see docs/benchmarks.md"
    )
    given = parser.parse_args()
    if given.malloc == "steady":
        machine.steady_malloc()
    machine.stay_on(machine.cores()[1])
    found = measured(
        given.peers,
        concurrencies=given.concurrency,
        rounds=given.rounds,
        seconds=given.seconds,
        tls=given.tls,
        uvloop=given.uvloop,
        timed=given.timed,
    )
    print(json.dumps(found) if given.json else table(found, given.peers[0]))


if __name__ == "__main__":
    main()
