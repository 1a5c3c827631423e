"""Three Django views: create an order's invoice, show its state, invoice all open orders.

    python examples/django_view.py

The whole process shares one client, also if the server forks its workers afterwards. `create_many`
reads the query set in the view's own thread, as Django's ORM requires. Run as a program, this file
calls its own views against the emulator.
"""

from __future__ import annotations

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup()

from django.db import connection, models  # noqa: E402 (Django is to be set up before its models)
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.shortcuts import get_object_or_404  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402

from paychainhq.emulator import API_KEY, BUSINESS_ID, Emulator  # noqa: E402
from paychainhq_sync import APIError, InvoiceRequest, PayChainHQ  # noqa: E402

pay: PayChainHQ


class Order(models.Model):
    amount = models.DecimalField(max_digits=20, decimal_places=2)
    invoice = models.CharField(max_length=64, default="")

    class Meta:
        app_label = "shop"


def create_invoice(request: HttpRequest, order_id: int) -> JsonResponse:
    order = get_object_or_404(Order, id=order_id)
    try:
        # The key is derived from the order: a reload of the page returns the same invoice.
        invoice = pay.invoices.create(
            order.amount, "USDC", "eth", idempotency_key=f"shop-order-{order.pk}"
        )
    except APIError as error:
        return JsonResponse({"error": error.code, "request_id": error.request_id}, status=502)
    Order.objects.filter(id=order.pk).update(invoice=invoice.id)
    return JsonResponse(
        {"invoice": invoice.id, "address": invoice.deposit_address, "status": invoice.status}
    )


def show_invoice(request: HttpRequest, order_id: int) -> JsonResponse:
    order = get_object_or_404(Order.objects.exclude(invoice=""), id=order_id)
    try:
        invoice = pay.invoices.get(order.invoice)
    except APIError as error:
        return JsonResponse({"error": error.code, "request_id": error.request_id}, status=502)
    return JsonResponse({"status": invoice.status, "ship": invoice.is_settled})


def create_open_invoices(request: HttpRequest) -> JsonResponse:
    open_orders = Order.objects.filter(invoice="").order_by("id")
    requests = (
        InvoiceRequest(
            amount=order.amount, token="USDC", chain="eth", reference=f"shop-order-{order.pk}"
        )
        for order in open_orders.iterator()
    )
    created = [
        outcome.result.id for outcome in pay.invoices.create_many(requests) if outcome.result
    ]
    return JsonResponse({"created": len(created)})


urlpatterns = [
    path("orders/<int:order_id>/invoice", create_invoice),
    path("orders/<int:order_id>/state", show_invoice),
    path("orders/open/invoices", create_open_invoices),
]


if __name__ == "__main__":
    with (
        Emulator() as emulator,
        PayChainHQ(api_key=API_KEY, business_id=BUSINESS_ID, base_url=emulator.url) as pay,
    ):
        with connection.schema_editor() as schema:
            schema.create_model(Order)
        Order.objects.bulk_create(Order(amount=f"{n}.50") for n in range(1, 41))
        browser = Client()
        first, again = browser.post("/orders/1/invoice"), browser.post("/orders/1/invoice")
        print(
            first.status_code,
            first.json()["status"],
            "the same again:",
            first.json() == again.json(),
        )
        emulator.pay(first.json()["invoice"])
        emulator.confirm(first.json()["invoice"])
        print(
            browser.get("/orders/1/state").json(),
            "no invoice yet:",
            browser.get("/orders/2/state").status_code,
        )
        print(browser.post("/orders/open/invoices").json())
