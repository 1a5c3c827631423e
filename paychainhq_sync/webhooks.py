"""Webhooks without async and await: the same events, and a receiver with plain handlers."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from paychainhq.errors import ConfigurationError
from paychainhq.webhooks import Event, EventData, EventName, parse, sign
from paychainhq.webhooks.base import BaseReceiver
from paychainhq.webhooks.delivery import Delivery
from paychainhq.webhooks.handlers import Handler, check_handler, check_result, is_async
from paychainhq.webhooks.signatures import Headers, concealed_headers

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from flask import Response

__all__ = ["Event", "EventData", "EventName", "Receiver", "parse", "sign"]

_ADVICE = "nothing awaits it here; use paychainhq.webhooks.Receiver, or make it a plain function"


class Receiver(BaseReceiver):
    """Receiver of webhooks: 400 for an unverified one, 2xx for a handled one, otherwise 5xx.

    An event with a handler is claimed in the ledger, handled, recorded as done, and only then
    acknowledged. So each event is handled at least once, and exactly once unless a process dies in
    a handler. Several processes may share the ledger's file. The response to an event that another
    process is handling is 503: the API repeats it.

    A handler is a plain function. It must commit its work before it returns.

    Args:
        secrets: The webhook secret, or several during a rotation.
        ledger: The storage of claims: an `SQLiteLedger`, which processes may share and which
            survives them, or a `MemoryLedger`.
        bearer: The bearer token of the webhooks, if you have set one.
        max_age: The largest accepted difference between the unsigned timestamp and now, in seconds
            (see `parse`).
        lease: Seconds until the claim of a dead process ends; more than the 25 s of a handler. A
            thread cannot be interrupted, so a handler that takes longer than the lease may run
            twice at the same time.
        name: The name of this receiver, part of its claims: on one ledger, receivers with different
            names each handle an event, and receivers with the same name share the events.
        telemetry: The telemetry; by default the one that is installed, or none.

    Raises:
        ConfigurationError: A setting is invalid.

    Source: reference/webhooks-events.
    """

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
        with Delivery(self._telemetry) as delivery:
            opened = self._opened(body, headers, delivery)
            if opened is not None:
                event, handler = opened
                delivery.outcome = self._deliver(event, partial(_run, handler), delivery)
        return delivery.status

    def _check(self, handler: Handler) -> None:
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


def _run(handler: Handler, event: Event) -> None:
    result = handler(event)
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise ConfigurationError(f"the handler returned {type(result).__name__}: {_ADVICE}")
    check_result(result)
