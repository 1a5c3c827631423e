"""Main job: read orders, create invoices, and follow them until they are settled.

    python examples/demo.py [OUTPUT_FOLDER]

The demo starts a local PayChainHQ (the emulator), reads `orders.csv`, creates a customer and an
invoice for each order, lets simulated payers pay, watches all invoices until their status is
terminal, and writes one line per order to `results.jsonl` in the output folder. The emulator keeps
its state there too: a second run creates nothing twice.
"""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from paychainhq import CustomerRequest, InvoiceRequest, PayChainHQ
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq.models import Invoice

ORDERS = Path(__file__).with_name("orders.csv")
LIFETIME = 3600

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
            results, invoices = await create_invoices(pay, orders, customers)
            created = await count_invoices(pay) - before
            await simulate_payers(pay, emulator, orders, invoices)
            await follow(pay, invoices, results)
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


async def create_invoices(
    pay: PayChainHQ, orders: list[Row], customers: dict[str, str]
) -> tuple[list[Result], dict[int, Invoice]]:
    """Create an invoice for each order.

    Returns:
        A result for each line of the file, and the invoices by line number.
    """
    results: list[Result] = [
        {"line": number, "reference": order["reference"]} for number, order in enumerate(orders, 2)
    ]
    lines: dict[int, int] = {}

    def requests() -> Iterable[InvoiceRequest]:
        for index, order in enumerate(orders):
            request = InvoiceRequest(
                reference=order["reference"],
                amount=order["amount"],
                token=order["token"],
                chain=order["chain"],
                network_id=order["network_id"],
                customer_id=customers[order["customer"]],
                expires_in=LIFETIME,
                description=f"Order {order['reference']}",
                underpayment_tolerance_bps=50,
                underpayment_tolerance_max_usd="5.00",
            )
            lines[id(request)] = index
            yield request

    invoices: dict[int, Invoice] = {}
    kept = list(requests())
    async for outcome in progress("invoices", len(orders), pay.invoices.create_many(kept)):
        index = lines[id(outcome.request)]
        if outcome.result is not None:
            invoices[index] = outcome.result
            results[index] |= {
                "ok": True,
                "invoice": outcome.result.id,
                "address": outcome.result.deposit_address,
            }
        else:
            results[index] |= {"ok": False, "error": str(outcome.error)}
    return results, invoices


async def simulate_payers(
    pay: PayChainHQ, emulator: Emulator, orders: list[Row], invoices: dict[int, Invoice]
) -> None:
    """Pay the open invoices as the file specifies for each payer, and confirm the payments."""
    open_ids = {invoice.id async for invoice in pay.invoices.list(status="pending", limit=100)}
    shares = {
        "exact": Decimal(1),
        "within-tolerance": Decimal("0.998"),
        "over": Decimal("1.10"),
        "short": Decimal("0.50"),
    }
    for index, invoice in invoices.items():
        payer = orders[index]["payer"]
        if invoice.id not in open_ids or payer == "never":
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


async def follow(pay: PayChainHQ, invoices: dict[int, Invoice], results: list[Result]) -> None:
    """Watch all invoices until their status is terminal."""
    lines = {invoice.id: index for index, invoice in invoices.items()}
    print(f"following {len(lines)} invoices")
    async for change in pay.invoices.watch(invoices.values(), interval=0.5):
        if change.invoice is not None:
            paid = change.invoice.paid_amount
            results[lines[change.invoice_id]] |= {
                "status": change.current,
                "paid": str(paid.display) if paid else None,
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
