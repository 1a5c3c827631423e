"""Worker of the crash test: a job as a user would write it."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from paychainhq import InvoiceRequest, PayChainHQ
from paychainhq.emulator import API_KEY, BUSINESS_ID
from paychainhq.ledger import SQLiteLedger


async def work(folder: Path, url: str) -> None:
    """Create an invoice for each order without a line in the output, and append its line."""
    done = whole_lines(folder / "output.jsonl")
    with (folder / "output.jsonl").open("a") as output, SQLiteLedger(folder / "jobs.db") as ledger:
        async with PayChainHQ(api_key=API_KEY, business_id=BUSINESS_ID, base_url=url) as pay:
            async for outcome in pay.invoices.create_many(orders(folder, set(done)), ledger=ledger):
                assert isinstance(outcome.request, InvoiceRequest)
                line = {
                    "reference": outcome.request.reference,
                    "invoice": outcome.result and outcome.result.id,
                }
                if outcome.error is not None:
                    line["error"] = str(outcome.error)
                output.write(json.dumps(line) + "\n")
                output.flush()


def orders(folder: Path, done: set[str]) -> Iterator[InvoiceRequest]:
    """Yield a request for each order that is not done."""
    with (folder / "orders.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["reference"] not in done:
                yield InvoiceRequest(
                    amount=row["amount"], token="USDC", chain="eth", reference=row["reference"]
                )


def whole_lines(path: Path) -> dict[str, str | None]:
    """Return the output as invoice ids by reference, and cut off a last line that is torn.

    Of two lines with one reference, the second counts.
    """
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    lines = [json.loads(line) for line in whole.splitlines()]
    return {line["reference"]: line["invoice"] for line in lines}


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2]))
