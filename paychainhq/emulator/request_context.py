"""Context of a request in progress, with its response."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate

import attrs
from aiohttp import web

from paychainhq.emulator.errors import RefusedError
from paychainhq.emulator.idempotency import Reply, Scope
from paychainhq.emulator.routing import GATEWAY, Route
from paychainhq.emulator.state import State

BROKEN = object()
"""Marker of a body that is not JSON."""


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@attrs.define(eq=False)
class RequestContext:
    """Request in progress: a fault can execute it, respond, wait, or break the connection.

    Attributes:
        request: The request, as an aiohttp object.
        path: The path as sent, without the query.
        body: The parsed body. None if there is none, `BROKEN` if it is not JSON (or larger than a
            megabyte).
        route: The operation and the values in its path, or None.
        request_id: The `x-request-id` of the response.
        scope: The scope of the request's idempotency key, once the request has been handled.
        in_flight: The scopes of the requests that are being handled.
        closing: Set when the emulator stops.
        perform: The function that executes or refuses the request.
        credential: The id of the credential, once it has been accepted.
        replayed: Whether the reply is the stored one of an idempotency key.
    """

    request: web.BaseRequest
    path: str
    body: object
    route: Route | None
    request_id: str
    state: State
    in_flight: set[Scope]
    closing: asyncio.Event
    perform: Callable[[RequestContext], Reply]
    scope: Scope | None = None
    credential: str | None = None
    replayed: bool = False

    def handle(self) -> Reply:
        """Execute the request in one step, as a whole."""
        try:
            return self.perform(self)
        except RefusedError as refused:
            return self.refusal(refused)

    def refusal(self, refused: RefusedError) -> Reply:
        if self.path.startswith(GATEWAY):
            status, body = refused.as_gateway()
            return Reply(status, dump(body))
        return Reply(refused.status, dump(refused.envelope(self.request_id)))

    def headers(self, content_type: str = "application/json") -> dict[str, str]:
        date = formatdate(self.state.now() / 1000, usegmt=True)
        return {"Content-Type": content_type, "Date": date, "x-request-id": self.request_id}

    def respond(self, reply: Reply) -> web.Response:
        return web.Response(status=reply.status, body=reply.body, headers=self.headers())

    async def wait(self, seconds: float | None) -> None:
        """Wait in real time, or until the emulator stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.closing.wait()
