"""Webhooks without async and await: the same events, and a receiver whose handlers are plain functions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from paychainhq.signing import Headers, held
from paychainhq.webhooks import Event, EventData, EventName, parse, sign
from paychainhq.webhooks.receiver import FAILED, OK, BaseReceiver, new_holder

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from flask import Response

__all__ = ["Event", "EventData", "EventName", "Receiver", "parse", "sign"]

log = logging.getLogger("paychainhq")

Handler = Callable[[Event], object]


class Receiver(BaseReceiver[Handler]):
    """Answers webhooks: 400 to what is not proven to be from the API, 2xx to what was handled, 500 to what failed.

    An event that has a handler is claimed by its id in the ledger, handled, marked done, and only then acknowledged. So each event
    is handled at least once, and exactly once unless a process dies in a handler; several processes may share the ledger's file.
    What another one is handling is answered with 503: it comes again.

    Args:

        secrets: The webhook secret, or several while it is being changed.
        ledger: Where claims are kept: an `SQLiteLedger`, which processes may share and which survives them, or a `MemoryLedger`.
        bearer: The token that the API sends along, if you have set one.
        max_age: Refuse a timestamp that is more seconds than that away from now; it is not signed (see `parse`).
        lease: Seconds after which the claim of a process that died runs out. The API waits 30 s for an answer; no thread can be
            interrupted, so a handler that takes longer than its lease may be run a second time meanwhile.

    Raises:

        ConfigurationError: The settings cannot work.

    Source: reference/webhooks-events.
    """

    def receive(self, body: bytes, headers: Headers) -> int:
        """Handle one webhook, in this thread, and return the HTTP status that answers it.

        Args:

            body: The raw body.
            headers: The headers; their names may be in any case.
        """
        headers = held(headers)
        opened = self._opened(body, headers)
        if isinstance(opened, int):
            return opened
        event, handler = opened
        holder = new_holder()
        try:
            status = self._claim(event, holder)
            if status is None:
                self._handle(event, handler, holder)
        except Exception:  # the handler's own, or the ledger's: either way it has not been done
            log.exception("%s: the event %s was not handled, and will come again", event.event, event.id)
            return FAILED
        return OK if status is None else status

    def _handle(self, event: Event, handler: Handler, holder: str) -> None:
        try:
            handler(event)
        except BaseException:
            self._give_up(event, holder)
            raise
        self._claims.settle(event.id)

    # --- in a web framework ---

    def django(self, request: HttpRequest) -> HttpResponse:
        """Serve as a view of Django: `path("webhooks", receiver.django)`."""
        from django.http import HttpResponse, HttpResponseNotAllowed

        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        headers = request.headers
        return HttpResponse(status=self.receive(request.body, headers))  # pyright: ignore[reportArgumentType] (Django is untyped)

    django.csrf_exempt = True  # type: ignore[attr-defined] # its signature is its proof

    def flask(self) -> Response:
        """Serve as a view of Flask: `app.add_url_rule("/webhooks", view_func=receiver.flask, methods=["POST"])`."""
        from flask import Response, request

        return Response(status=self.receive(request.get_data(cache=False), request.headers))
