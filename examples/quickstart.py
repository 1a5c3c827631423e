"""First program: create an invoice, let a simulated payer pay, wait for the payment."""

import asyncio

from paychainhq import PayChainHQ
from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator


async def main() -> None:
    # A local PayChainHQ: leave it out and pass your own keys to use the real one.
    with Emulator() as emulator:
        async with PayChainHQ(
            api_key=API_KEY, business_id=BUSINESS_ID, base_url=emulator.url
        ) as pay:
            invoice = await pay.invoices.create(
                amount="150", token="USDC", chain="eth", network_id="base-mainnet"
            )
            print(
                f"{invoice.id}: pay {invoice.amount.display} {invoice.amount.symbol} to "
                f"{invoice.deposit_address}"
            )

            emulator.pay(invoice.id)
            emulator.confirm(invoice.id)

            settled = await pay.invoices.wait(invoice, timeout=60)
            print(f"{settled.id}: {settled.status}")


asyncio.run(main())
