"""Base of the blocking receivers of webhooks: handlers in the calling thread, web frameworks."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from paychainhq.errors import ConfigurationError
from paychainhq.webhooks.base import BaseReceiver, Delivery
from paychainhq.webhooks.handlers import Handler, check_handler, check_result, is_async
from paychainhq.webhooks.reception import Reception
from paychainhq.webhooks.signatures import Headers, concealed_headers

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from flask import Response

E = TypeVar("E")

_ADVICE = "nothing awaits it here; use the receiver of paychainhq, or make it a plain function"


class BlockingReceiver(BaseReceiver[E]):
    """Receiver for programs without asyncio."""

    def receive(self, body: bytes, headers: Headers) -> int:
        """Handle one webhook in this thread, and return the HTTP status of the response.

        Args:
            body: The raw body.
            headers: The headers, as a mapping or as pairs; their names may be in any case.

        Raises:
            InvalidArgumentError: The body is not bytes, or the headers are invalid.
            ConfigurationError: The call is inside a transaction of Django.
        """
        _refuse_transactions()
        headers = concealed_headers(headers)
        with Reception(self._telemetry) as reception:
            delivery = self._opened(body, headers, reception)
            if delivery is not None:
                reception.outcome = self._deliver(delivery, partial(_run, delivery))
        return reception.status

    def _check(self, handler: Handler[E]) -> None:
        check_handler(handler)
        if is_async(handler):
            raise ConfigurationError(f"the handler is async: {_ADVICE}")

    # --- in a web framework ---

    @property
    def django(self) -> Callable[[HttpRequest], HttpResponse]:
        """View of Django: `path("webhooks", receiver.django)`; Django's decorators accept it.

        It requires no CSRF token, since the signature is the proof, and runs outside the
        transactions of `ATOMIC_REQUESTS`: an event is recorded as done when its handler returns,
        and a surrounding transaction could still fail.
        """

        def webhook(request: HttpRequest) -> HttpResponse:
            from django.http import HttpResponse, HttpResponseNotAllowed

            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            return HttpResponse(status=self.receive(request.body, request.headers))  # pyright: ignore[reportArgumentType] (untyped)

        vars(webhook).update(csrf_exempt=True, _non_atomic_requests=_EveryDatabase())
        return webhook

    def flask(self) -> Response:
        """Serve as a view of Flask.

        `app.add_url_rule("/webhooks", view_func=receiver.flask, methods=["POST"])`.
        """
        from flask import Response, request

        return Response(status=self.receive(request.get_data(cache=False), request.headers))


class _EveryDatabase(set[str]):
    """Aliases of all databases, as a set that Django's `non_atomic_requests` can extend."""

    def __contains__(self, alias: object) -> bool:
        return True


def _refuse_transactions() -> None:
    """Raise `ConfigurationError` inside a transaction of Django, unless of a `TestCase`."""
    django = sys.modules.get("django.db")
    if django is None or not sys.modules["django.conf"].settings.configured:
        return
    for connection in django.connections.all(initialized_only=True):
        if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
            raise ConfigurationError(
                "a webhook is received inside a transaction of Django, which could roll back the "
                "work of its handler after the event is recorded as done: mark the view that calls "
                "receiver.django or receive with transaction.non_atomic_requests"
            )


def _run(delivery: Delivery[E]) -> None:
    result = delivery.handler(delivery.event)
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise ConfigurationError(f"the handler returned {type(result).__name__}: {_ADVICE}")
    check_result(result)
