"""Django application with `ATOMIC_REQUESTS` and two databases, for `test_django.py`.

Usage: `python -m tests.webhooks.django_shop SCENARIO FOLDER`. It delivers webhooks to itself and
prints, as JSON, the statuses of the responses and the contents of its databases.
"""

from __future__ import annotations

import json
import sys
import unittest
from collections.abc import Callable
from pathlib import Path

import django
from django.conf import settings

FOLDER = Path(sys.argv[2])

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    DATABASES={
        alias: {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(FOLDER / f"{alias}.db"),
            "ATOMIC_REQUESTS": True,
        }
        for alias in ("default", "stock")
    },
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="x",
    USE_TZ=True,
)
django.setup()

from django.db import connections, models, transaction  # noqa: E402 (models need a configured Django)
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import Client, TestCase  # noqa: E402
from django.urls import path  # noqa: E402
from django.views import View  # noqa: E402
from django.views.decorators.cache import never_cache  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from django.views.decorators.http import require_POST  # noqa: E402

from paychainhq.ledger import SQLiteLedger  # noqa: E402
from paychainhq_sync.webhooks import Event, Receiver  # noqa: E402
from tests.webhooks.samples import SECRET, signed, webhook  # noqa: E402


class Order(models.Model):
    class Meta:
        app_label = "shop"


class Payment(models.Model):
    order = models.ForeignKey(Order, models.CASCADE)  # checked at the COMMIT

    class Meta:
        app_label = "shop"


class Stock(models.Model):
    left = models.IntegerField()

    class Meta:
        app_label = "shop"


receiver = Receiver(secrets=SECRET, ledger=SQLiteLedger(FOLDER / "ledger.db"))
within: Callable[[], None] = lambda: None  # noqa: E731 (a scenario may set it)
durable = False


@receiver.on("invoice.paid")
def paid(event: Event) -> None:
    with transaction.atomic(using="stock", durable=durable), transaction.atomic(durable=durable):
        Stock.objects.using("stock").update(left=models.F("left") - 1)
        Payment.objects.create(order_id=event.data.extra["order"])
        within()


def own_view(request: HttpRequest) -> HttpResponse:
    return receiver.django(request)


def in_a_view(request: HttpRequest) -> HttpResponse:
    return receiver.django(request)


def receiving(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=receiver.receive(request.body, request.headers))


class OwnView(View):
    def post(self, request: HttpRequest) -> HttpResponse:
        return receiver.django(request)


def outside(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Exempt a view from the transactions of both databases, by Django's own decorators."""
    outside_default = transaction.non_atomic_requests(view)
    return csrf_exempt(transaction.non_atomic_requests("stock")(outside_default))  # type: ignore[no-any-return]


VIEWS = {
    "plain": receiver.django,
    "non_atomic": transaction.non_atomic_requests(receiver.django),
    "non_atomic_of_one": transaction.non_atomic_requests("stock")(receiver.django),
    "csrf_exempt": csrf_exempt(receiver.django),
    "require_POST": require_POST(receiver.django),
    "several": never_cache(
        require_POST(csrf_exempt(transaction.non_atomic_requests(receiver.django)))
    ),
    "own": outside(own_view),
    "class": outside(OwnView.as_view()),
}
urlpatterns = [path(name, view) for name, view in VIEWS.items()]
urlpatterns += [
    path("in_a_view", csrf_exempt(in_a_view)),
    path("receiving", csrf_exempt(receiving)),
    path("atomic", transaction.atomic(receiver.django)),
]


def deliver(id: str, view: str = "plain", order: int = 1) -> int:
    body = webhook(id, order=order)
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    response = browser.post(f"/{view}", body, content_type="application/json", headers=signed(body))
    return int(response.status_code)


def state() -> list[int]:
    return [Stock.objects.using("stock").get().left, Payment.objects.count()]


def commit_that_fails() -> object:
    """Deliver for a missing order, whose payment the COMMIT refuses; then create the order."""
    statuses = [deliver("evt_1", order=7) for _ in range(3)]
    before = state()
    Order.objects.create(id=7)
    return [statuses, before, [deliver("evt_1", order=7) for _ in range(2)], state()]


def handler_that_raises() -> object:
    """Deliver while the handler raises in the middle of its work; then let it succeed."""
    global within  # noqa: PLW0603

    def fail() -> None:
        raise ValueError("out of stock")

    within = fail
    statuses = [deliver("evt_1") for _ in range(3)]
    before = state()
    within = lambda: None  # noqa: E731
    return [statuses, before, [deliver("evt_1") for _ in range(2)], state()]


def every_view() -> object:
    """Deliver to each view, with a handler whose transactions must be outermost."""
    global durable  # noqa: PLW0603
    durable = True
    return [
        {view: [deliver(f"evt_{view}", view) for _ in range(2)] for view in VIEWS},
        state(),
        Client().get("/plain").status_code,
    ]


def surrounded() -> object:
    """Deliver to views inside a transaction, then the same events to a plain view."""
    statuses = {
        view: [deliver(f"evt_{view}", view) for _ in range(2)]
        for view in ("in_a_view", "receiving", "atomic")
    }
    before = state()
    return [
        statuses,
        before,
        [deliver(f"evt_{view}") for view in ("in_a_view", "receiving", "atomic")],
        state(),
    ]


def in_a_test_case() -> object:
    """Deliver inside the transactions of a Django test case."""
    global durable  # noqa: PLW0603
    durable = True
    results: list[object] = []

    class Case(TestCase):
        databases = "__all__"

        def test(self) -> None:
            results.append([deliver("evt_1") for _ in range(2)])

    outcome = unittest.TextTestRunner(stream=sys.stderr).run(
        unittest.defaultTestLoader.loadTestsFromTestCase(Case)
    )
    return [results, outcome.wasSuccessful()]


if __name__ == "__main__":
    for alias in ("default", "stock"):
        with connections[alias].schema_editor() as schema:
            for model in (Order, Payment, Stock):
                schema.create_model(model)
    Order.objects.create(id=1)
    Stock.objects.using("stock").create(left=10)
    print(json.dumps(globals()[sys.argv[1]]()))  # noqa: T201 (the parent process reads this)
