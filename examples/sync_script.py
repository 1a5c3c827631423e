"""Script without asyncio: create invoices, let a simulated payer pay, wait for the payment."""

from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator
from paychainhq_sync import InvoiceRequest, NotFoundError, PayChainHQ

with (
    Emulator() as emulator,
    PayChainHQ(api_key=API_KEY, business_id=BUSINESS_ID, base_url=emulator.url) as pay,
):
    customer = pay.customers.create("customer_042", email="payer@example.com")
    requests = [
        InvoiceRequest(
            amount="10.00", token="USDC", chain="eth", customer_id=customer.id, reference="order-1"
        ),
        InvoiceRequest(
            amount="20.50", token="USDC", chain="eth", customer_id=customer.id, reference="order-2"
        ),
        InvoiceRequest(
            amount="-1", token="USDC", chain="eth", customer_id=customer.id, reference="order-3"
        ),
    ]
    for outcome in pay.invoices.create_many(requests):
        print(outcome.result.id if outcome.result else outcome.error)

    for invoice in pay.invoices.list(status="pending", customer_id=customer.id):
        emulator.pay(invoice.id)
        emulator.confirm(invoice.id)
        settled = pay.invoices.wait(invoice, timeout=60)
        print(f"{settled.id}: {settled.status}, {settled.amount.display} {settled.amount.symbol}")

    try:
        pay.invoices.get("inv_unknown")
    except NotFoundError as error:
        print(f"no such invoice (request id {error.request_id})")
