"""Main job: read orders, create invoices, and follow them until they are settled.

    python examples/demo.py [OUTPUT_FOLDER]

The demo starts a local PayChainHQ (the emulator), creates the customers of `orders.csv`, imports
its orders with `paychainhq invoices import`, lets simulated payers pay, follows all invoices with
`paychainhq invoices watch` until their status is terminal, and writes one line per order to
`results.jsonl` in the output folder. The emulator keeps its state there too: a second run creates
nothing twice.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio

from paychainhq import CustomerRequest, PayChainHQ
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator

ORDERS = Path(__file__).with_name("orders.csv")
LIFETIME = 3600
SOME_ROWS_REFUSED = 5

Row = dict[str, str]
Result = dict[str, Any]


async def main(output: Path) -> None:
    with ORDERS.open(newline="") as file:
        orders = list(csv.DictReader(file))
    with Emulator(state=str(output / "emulator.db")) as emulator:
        print(f"emulator at {emulator.url}, its state in {output / 'emulator.db'}")
        async with PayChainHQ(
            api_key=API_KEY, business_id=BUSINESS_ID, base_url=emulator.url
        ) as pay:
            before = await count_invoices(pay)
            customers = await create_customers(pay, orders)
            results = await import_invoices(emulator, orders, customers, output)
            created = await count_invoices(pay) - before
            await simulate_payers(pay, emulator, orders, results)
            await follow(emulator, results)
    with (output / "results.jsonl").open("w") as file:
        file.writelines(json.dumps(result) + "\n" for result in results)
    summarise(results, created, output)


async def count_invoices(pay: PayChainHQ) -> int:
    page = await pay.invoices.list(limit=1)
    return page.pagination.total if page.pagination else 0


async def create_customers(pay: PayChainHQ, orders: Iterable[Row]) -> dict[str, str]:
    """Create each customer once; return their ids by the names in the orders."""
    names = sorted({order["customer"] for order in orders})
    requests = [
        CustomerRequest(external_ref=name, email=f"{name}@example.com", reference=name)
        for name in names
    ]
    ids = {}
    async for outcome in progress("customers", len(names), pay.customers.create_many(requests)):
        if outcome.result is None:
            raise SystemExit(f"no customer, no orders: {outcome.error}")
        ids[outcome.result.external_ref] = outcome.result.id
    return ids


async def run(*arguments: str, emulator: Emulator, **options: Any) -> bytes:
    """Run the command `paychainhq`, and return its output if `stdout` is a pipe."""
    environment = {
        **os.environ,
        "PAYCHAIN_API_URL": emulator.url,
        "PAYCHAIN_API_KEY": API_KEY,
        "PAYCHAIN_BUSINESS_ID": BUSINESS_ID,
    }
    print(f"\n$ paychainhq {' '.join(arguments)}", flush=True)
    done = await anyio.run_process(
        [sys.executable, "-m", "paychainhq.cli", *arguments],
        env=environment,
        check=False,
        **options,
    )
    if done.returncode not in (0, SOME_ROWS_REFUSED):
        raise SystemExit(done.returncode)
    return done.stdout


async def import_invoices(
    emulator: Emulator, orders: list[Row], customers: dict[str, str], output: Path
) -> list[Result]:
    """Create an invoice for each order, and return a result for each line of the file."""
    path = output / "orders.csv"
    with path.open("w", newline="") as file:
        columns = [*orders[0], "customer_id", "description"]
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for order in orders:
            description = f"Order {order['reference']}"
            customer = customers[order["customer"]]
            writer.writerow({**order, "customer_id": customer, "description": description})
    await run(
        *("invoices", "import", str(path), "--map", "customer=", "--map", "payer="),
        *("--set", f"expires_in={LIFETIME}", "--set", "underpayment_tolerance_bps=50"),
        *("--set", "underpayment_tolerance_max_usd=5.00"),
        emulator=emulator,
        stdout=None,
        stderr=subprocess.STDOUT,  # where a terminal shows the progress as a bar
    )
    written = path.with_name("orders.csv.results.jsonl").read_text().splitlines()
    return [
        {"line": result["line"], "reference": result["reference"] or ""} | outcome(result)
        for result in sorted(map(json.loads, written), key=lambda result: result["line"])
    ]


def outcome(result: Result) -> Result:
    """Return the part of a line of results that the demo keeps."""
    if not result["ok"]:
        return {"ok": False, "error": result["error"]["message"]}
    invoice = result["result"]
    return {"ok": True, "invoice": invoice["id"], "address": invoice["depositAddress"]}


async def simulate_payers(
    pay: PayChainHQ, emulator: Emulator, orders: list[Row], results: list[Result]
) -> None:
    """Pay the open invoices as the file specifies for each payer, and confirm the payments."""
    invoices = {invoice.id: invoice async for invoice in pay.invoices.list("pending", limit=100)}
    shares = {
        "exact": Decimal(1),
        "within-tolerance": Decimal("0.998"),
        "over": Decimal("1.10"),
        "short": Decimal("0.50"),
    }
    for order, result in zip(orders, results, strict=True):
        invoice, payer = invoices.get(result.get("invoice", "")), order["payer"]
        if invoice is None or payer == "never":
            continue
        if payer == "wrong-token":
            emulator.pay(invoice.id, token="ETH")
        else:
            amount = (invoice.amount.display * shares[payer]).quantize(Decimal("0.000001"))
            emulator.pay(invoice.id, amount=str(amount))
        emulator.confirm(invoice.id)
    # Invoices without a payment, or with an underpayment, expire: advance the clock by a little
    # more than an hour.
    emulator.advance(LIFETIME + 60)


async def follow(emulator: Emulator, results: list[Result]) -> None:
    """Watch all invoices until their status is terminal."""
    by_id = {result["invoice"]: result for result in results if result["ok"]}
    watch = ("invoices", "watch", "-", "--interval", "0.5")
    ids = "\n".join(by_id).encode()
    changes = await run(*watch, emulator=emulator, input=ids, stderr=None)
    for change in map(json.loads, changes.splitlines()):
        paid = change["invoice"].get("paidAmount")
        by_id[change["invoiceId"]] |= {
            "status": change["current"],
            "paid": paid and paid["display"],
        }


async def progress(name: str, total: int, outcomes: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Pass outcomes through, and print the progress."""
    done = failed = 0
    async for outcome in outcomes:
        done += 1
        failed += not outcome.ok
        if sys.stdout.isatty() or done == total:
            print(
                f"\r{name}: {done} of {total}, {failed} failed",
                end="\n" if done == total else "",
                flush=True,
            )
        yield outcome


def summarise(results: list[Result], created: int, output: Path) -> None:
    counts = Counter(str(result.get("status", "not created")) for result in results)
    print(f"\n{'outcome':<20}{'orders':>8}")
    for outcome, count in sorted(counts.items()):
        print(f"{outcome:<20}{count:>8}")
    print(f"{'total':<20}{len(results):>8}\n")
    print(f"invoices created by this run: {created}")
    print(f"one line per order: {output / 'results.jsonl'}")


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output")
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(folder))
