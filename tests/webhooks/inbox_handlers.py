"""Handlers of docs/scale-out.md, run on a database, for `test_inbox.py`.

Usage: `python -m tests.webhooks.inbox_handlers`, with `DATABASE_URL`. It delivers events, and
prints for each handler, as JSON, the statuses and the number of effects.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
from pathlib import Path
from typing import Any

import django
import psycopg
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

from paychainhq.ledger import PostgresLedger
from paychainhq.webhooks import parse, sign

SECRET = "whsec_..."
URL = os.environ["DATABASE_URL"]
PAGE = Path(__file__).parents[2] / "docs" / "scale-out.md"


def documented() -> dict[str, Any]:
    """Execute the blocks of the section, and return their names."""
    text = PAGE.read_text(encoding="utf-8").partition("## Each event once")[2].partition("\n## ")[0]
    names: dict[str, Any] = {"os": os, "PostgresLedger": PostgresLedger}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(block, names)
    return names


def effects(connection: psycopg.Connection[Any], invoice: str) -> int:
    query = "SELECT FROM bookings WHERE invoice = %s"
    return connection.execute(query, (invoice,)).rowcount


async def main() -> None:
    given = conninfo_to_dict(URL)
    default = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given["dbname"],
        "USER": given["user"],
        "HOST": given["host"],
        "OPTIONS": {"options": given["options"]},
    }
    settings.configure(DATABASES={"default": default})
    django.setup()
    ledger = PostgresLedger(URL)
    ledger.migrate()
    found = {}
    with psycopg.connect(URL, autocommit=True) as connection:
        connection.execute("CREATE TABLE bookings (invoice text)")
        names = documented()
        receiver = names["receiver"]
        for event, handler in receiver._handlers.items():
            content = {"id": f"evt {event}", "event": event, "data": {"invoiceId": event}}
            body = json.dumps(content).encode()
            headers = sign(body, secret=SECRET)
            statuses = [await receiver.receive(body, headers) for _ in range(2)]
            once = effects(connection, event)
            # A delivery that is overtaken: another process has handled the event meanwhile.
            late = parse(body, headers, secrets=SECRET)
            try:
                result = await asyncio.to_thread(handler, late)
                if inspect.isawaitable(result):
                    await result
            except names["HandledElsewhereError"]:
                statuses.append(503)
            found[event] = [statuses, once, effects(connection, event)]
    names["engine"].dispose()
    ledger.close()
    print(json.dumps(found))  # noqa: T201 (the test reads this)


if __name__ == "__main__":
    asyncio.run(main())
