"""Gevent and eventlet: clients are refused by name, the webhook receiver works.

Each case is a process of its own, since a monkey patch cannot be removed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator

ROOT = Path(__file__).parents[2]
GEVENT = "import gevent.monkey; gevent.monkey.patch_all()"
PATCHES = {
    "gevent": GEVENT,
    "gevent, threads only": "import gevent.monkey; gevent.monkey.patch_thread()",
    "gevent without threads": "import gevent.monkey; gevent.monkey.patch_all(thread=False)",
    "gevent, queues only": "import gevent.monkey; gevent.monkey.patch_queue()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
    "eventlet without threads": "import eventlet; eventlet.monkey_patch(thread=False)",
}
SETTINGS = f"api_key={API_KEY!r}, business_id={BUSINESS_ID!r}, timeout=30"
REFUSED = """
try:
    {action}
except ConfigurationError as error:
    print(error)
else:
    print("accepted")
"""
FROM_HERE = "from paychainhq_sync import ConfigurationError, PayChainHQ"


def output(*parts: str) -> str:
    """Return the output of a script; a script that hangs or fails is a failure."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "\n".join(parts)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize(
    "make",
    [
        f"PayChainHQ({SETTINGS})",
        "__import__('paychainhq_sync.gateway').gateway.Gateway(base_url='https://x')",
    ],
)
@pytest.mark.parametrize("first", ["the patch", "the import"])
def test_a_client_is_refused(patch: str, make: str, first: str) -> None:
    """The constructor raises an error that names the library and the alternatives."""
    lines = [PATCHES[patch], FROM_HERE]
    if first == "the import":
        lines = ["import paychainhq_sync.client, paychainhq_sync.gateway.client", *lines]
    text = output(*lines, REFUSED.format(action=make))
    assert text.startswith(patch.partition(",")[0].partition(" ")[0] + " has replaced")
    assert "gthread" in text


@pytest.mark.parametrize("patch", ["gevent", "eventlet"])
def test_a_call_of_an_older_client_is_refused(patch: str) -> None:
    """A client that is older than the patch, as under gunicorn's --preload, fails by its call."""
    text = output(
        FROM_HERE,
        f"pay = PayChainHQ({SETTINGS}, base_url='http://127.0.0.1:1')",
        PATCHES[patch],
        REFUSED.format(action="pay.prices.list()"),
    )
    assert text.startswith(f"{patch} has replaced")


@pytest.mark.parametrize(
    "unpatched",
    [
        "import gevent, gevent.monkey",
        "import gevent.monkey; gevent.monkey.patch_time(); gevent.monkey.patch_subprocess()",
        "import eventlet, eventlet.patcher",
        "import eventlet; eventlet.monkey_patch(time=True)",
    ],
)
def test_a_process_without_the_patch(unpatched: str) -> None:
    """The libraries themselves are no reason to refuse."""
    with Emulator() as emulator:
        text = output(
            unpatched,
            FROM_HERE,
            f"with PayChainHQ({SETTINGS}, base_url={emulator.url!r}) as pay:",
            "    made = pay.invoices.create('1', 'USDC', 'eth')",
            "    print(pay.invoices.get(made.id).status)",
        )
    assert text == "pending\n"


def test_the_threads_of_gevent_without_the_patch() -> None:
    """Calls in gevent's own threads run concurrently, and the hub continues."""
    with Emulator() as emulator:
        text = output(
            "import gevent",
            FROM_HERE,
            f"pay = PayChainHQ({SETTINGS}, base_url={emulator.url!r})",
            "threads = gevent.get_hub().threadpool",
            "def create(n):",
            "    return threads.apply(pay.invoices.create, ('1', 'USDC', 'eth')).status.value",
            "jobs = [gevent.spawn(create, n) for n in range(20)]",
            "gevent.joinall(jobs, raise_error=True)",
            "print({job.value for job in jobs})",
            "pay.close()",
        )
    assert text == "{'pending'}\n"


RECEIVER = """
import json
from paychainhq_sync.ledger import SQLiteLedger
from paychainhq_sync.webhooks import Receiver, sign
handled = []
ledger = SQLiteLedger({path!r})
receiver = Receiver(secrets="whsec_x", ledger=ledger)

@receiver.on("invoice.paid")
def handle(event):
    sleep(0.01)
    handled.append(event.id)

def deliver(n):
    event = {{"id": f"e{{n % 5}}", "event": "invoice.paid", "data": {{"invoiceId": "inv_1"}}}}
    body = json.dumps(event).encode()
    return receiver.receive(body, sign(body, secret="whsec_x"))

statuses = run(deliver, 20)
statuses += run(deliver, 20)
print(sorted(handled), set(statuses) <= {{200, 503}}, statuses[20:] == [200] * 20)
ledger.close()
"""
RUNS = {
    "gevent": """
import gevent
from gevent import sleep
def run(deliver, count):
    jobs = [gevent.spawn(deliver, n) for n in range(count)]
    gevent.joinall(jobs, raise_error=True)
    return [job.value for job in jobs]
""",
    "eventlet": """
from eventlet import GreenPool, sleep
def run(deliver, count):
    return list(GreenPool().imap(deliver, range(count)))
""",
}


@pytest.mark.parametrize("patch", ["gevent", "eventlet"])
def test_the_receiver_under_a_patch(patch: str, tmp_path: Path) -> None:
    """Concurrent deliveries in green threads: each event is handled exactly once."""
    text = output(PATCHES[patch], RUNS[patch], RECEIVER.format(path=str(tmp_path / "webhooks.db")))
    assert text == "['e0', 'e1', 'e2', 'e3', 'e4'] True True\n"


JOB = """
import asyncio
from paychainhq import PayChainHQ

async def main():
    rows = [
        {{"reference": f"r{{n}}", "amount": "1", "token": "USDC", "chain": "eth"}}
        for n in range(50)
    ]
    with SQLiteLedger({path!r}) as ledger:
        async with PayChainHQ({settings}, base_url={url!r}, idempotency=ledger) as pay:
            return [outcome.ok async for outcome in pay.invoices.create_many(rows)]

outcomes = asyncio.run(main())
print(len(outcomes), set(outcomes))
"""


@pytest.mark.parametrize("patch", sorted(PATCHES.keys() - {"gevent, threads only"}))
@pytest.mark.parametrize("first", ["the patch", "the import"])
def test_an_async_job_over_a_ledger(patch: str, first: str, tmp_path: Path) -> None:
    """One event loop works under each patch, even if queues are replaced and threads are not.

    With threads replaced alone, an event loop would block its own threads.
    """
    lines = [PATCHES[patch], "from paychainhq.ledger import SQLiteLedger"]
    with Emulator() as emulator:
        job = JOB.format(path=str(tmp_path / "jobs.db"), settings=SETTINGS, url=emulator.url)
        text = output(*(lines if first == "the patch" else reversed(lines)), job)
    assert text == "50 {True}\n"
