"""Client process of the test of a shared limit: tasks that each create one invoice after the other.

Reads its round as JSON from its first argument. Prints the completed calls of each second, and the
number of leases.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

import attrs

from paychainhq import PayChainError, PayChainHQ, RateLimit
from paychainhq.middleware.leased_turns import Lease
from paychainhq.shared import SharedRateLimit
from paychainhq.shared.postgres import PostgresLine


@attrs.frozen
class Work:
    """Work of one process; times are those of `time.monotonic`, which all processes share.

    Attributes:
        url: The address of the server.
        dsn: The connection string of the store, or None for a client without a limit.
        rate: The limit.
        burst: The number of requests at once.
        begin: The time of the first call.
        end: The time after which no call begins.
        tasks: The number of tasks.
        ahead: The seconds by which the clocks of this process are ahead.
    """

    url: str
    dsn: str | None
    rate: float
    burst: int
    begin: float
    end: float
    tasks: int
    ahead: float = 0.0


async def run(work: Work) -> dict[str, Any]:
    """Create invoices until the end, and return the counts."""
    monotonic, wall = time.monotonic, time.time
    time.time = lambda: wall() + work.ahead
    loop = asyncio.get_running_loop()
    loop.time = lambda: monotonic() + work.ahead  # type: ignore[method-assign]
    done: Counter[int] = Counter()
    errors: Counter[str] = Counter()
    leases = 0
    lease = PostgresLine.lease

    async def counted(line: PostgresLine, want: int, alone: int) -> Lease:
        nonlocal leases
        leases += 1
        return await lease(line, want, alone)

    PostgresLine.lease = counted  # type: ignore[assignment, method-assign]
    limit = (
        None
        if work.dsn is None
        else SharedRateLimit(RateLimit(work.rate, burst=work.burst), work.dsn, name="stress")
    )

    async def create(task: int, pay: PayChainHQ) -> None:
        number = 0
        while monotonic() < work.end:
            number += 1
            key = f"{id(done)}-{time.time_ns()}-{task}-{number}"
            try:
                await pay.invoices.create("1", "USDC", "eth", idempotency_key=key)
            except PayChainError as error:
                errors[type(error).__name__] += 1
            else:
                done[int(monotonic() - work.begin)] += 1

    async with PayChainHQ(
        api_key="pk_test_load", business_id="biz_123", base_url=work.url, rate_limit=limit
    ) as pay:
        await asyncio.sleep(max(0.0, work.begin - monotonic()))
        await asyncio.gather(*(create(task, pay) for task in range(work.tasks)))
    return {"done": done, "errors": errors, "leases": leases}


if __name__ == "__main__":
    json.dump(asyncio.run(run(Work(**json.loads(sys.argv[1])))), sys.stdout)
