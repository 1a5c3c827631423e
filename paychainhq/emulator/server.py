"""HTTP server of the emulator: authorization, validation, execution, response."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterable
from typing import NoReturn

from aiohttp import web

from paychainhq.emulator import auth, control, idempotency, lifecycle
from paychainhq.emulator.errors import RefusedError, refuse_field
from paychainhq.emulator.faults import Faults
from paychainhq.emulator.gateway import dispatch as gateway
from paychainhq.emulator.handlers import HANDLERS
from paychainhq.emulator.handlers.call import Call
from paychainhq.emulator.idempotency import Reply, Scope
from paychainhq.emulator.origin_check import OriginCheck
from paychainhq.emulator.outbox import Outbox
from paychainhq.emulator.request_context import BROKEN, RequestContext, dump
from paychainhq.emulator.request_log import ReceivedRequest, RequestLog, mask
from paychainhq.emulator.routing import GATEWAY, find_route
from paychainhq.emulator.state import State
from paychainhq.emulator.validation import check_body, check_query

_GRACE = 1.0
_ACCEPT_ITERATIONS = 5


class Server:
    """Request handler with the whole behaviour of the emulator, on one event loop."""

    def __init__(self, state: State, allowed_hosts: Iterable[str] = ()) -> None:
        self.control = control.Control(state, Faults(), RequestLog())
        self._state = state
        self._allowed_hosts = tuple(allowed_hosts)
        self._origin_check: OriginCheck
        self._in_flight: set[Scope] = set()
        self._closing = asyncio.Event()
        self._listening: asyncio.Server | None = None
        self.outbox = Outbox(state)
        self._sending: asyncio.Task[None] | None = None
        self._runner = web.ServerRunner(
            web.Server(self._respond, access_log=None), shutdown_timeout=_GRACE
        )

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port."""
        await self._runner.setup()
        assert self._runner.server is not None
        self._listening = await asyncio.get_running_loop().create_server(
            self._runner.server, host, port
        )
        bound = int(self._listening.sockets[0].getsockname()[1])
        self._origin_check = OriginCheck(host, bound, self._allowed_hosts)
        self._sending = asyncio.create_task(self.outbox.run())
        return bound

    async def stop(self) -> None:
        # Faults that delay a response end first.
        self._closing.set()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        if self._listening is not None:
            await stop_listening(self._listening)
        await self._runner.cleanup()
        await asyncio.sleep(0)  # connections close one iteration of the loop later

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await _read_json(request)
        except ConnectionError:
            # The client has disconnected before the end of its request.
            return web.Response()
        path = request.rel_url.raw_path
        is_control = path.startswith(control.PREFIX)
        perform = gateway.dispatch if path.startswith(GATEWAY) else self._dispatch
        context = RequestContext(
            request=request,
            path=path,
            body=body,
            route=find_route(request.method, path),
            request_id=f"req_{secrets.token_hex(8)}",
            state=self._state,
            in_flight=self._in_flight,
            closing=self._closing,
            perform=self._control if is_control else perform,
        )
        try:
            self._origin_check.check(request, control=is_control)
        except RefusedError as refused:
            return context.respond(context.refusal(refused))
        if is_control:
            self.outbox.wake()
            return context.respond(context.handle())
        operation = context.route[0].name if context.route else None
        self._record(context, operation)
        fault = self.control.faults.take(operation)
        response = context.respond(context.handle()) if fault is None else await fault(context)
        self.outbox.wake()
        if response is None:
            # The connection is closed: aiohttp discards this response.
            return web.Response()
        self.control.request_log.set_status(context.request_id, response.status)
        return response

    def _record(self, context: RequestContext, operation: str | None) -> None:
        received = ReceivedRequest(
            request_id=context.request_id,
            method=context.request.method,
            path=context.path,
            query=dict(context.request.query),
            headers=mask(context.request.headers),
            body=None if context.body is BROKEN else context.body,
            operation=operation,
        )
        self.control.request_log.add(received)

    def _control(self, context: RequestContext) -> Reply:
        return Reply(
            200,
            dump(control.execute(self.control, context.request.method, context.path, context.body)),
        )

    def _dispatch(self, context: RequestContext) -> Reply:
        """Execute an operation, and store the reply for its idempotency key in one transaction."""
        request, path, body = context.request, context.path, context.body
        if context.route is None:
            raise RefusedError(404, "NOT_FOUND", f"there is no {request.method} {path}")
        operation, values = context.route
        with self._state.transaction():
            lifecycle.expire(self._state)
            credential = auth.authenticate(self._state, operation, request.headers, values)
            if body is BROKEN:
                refuse_field("body", "is not JSON")
            scope = idempotency.scope_of(
                operation, credential, path, request.headers.get(idempotency.HEADER)
            )
            context.scope = scope
            if scope is not None:
                if scope in self._in_flight:
                    raise idempotency.in_progress()
                stored = idempotency.find_reply(self._state, scope, body)
                if stored is not None:
                    return stored
            query = check_query(operation.query, request.query)
            call = Call(self._state, values, query, check_body(operation.body, body))
            # Assumption: the documents give no status of success; it is 200 throughout.
            reply = Reply(200, dump(HANDLERS[operation.name](call)))
            if scope is not None:
                idempotency.store_reply(self._state, scope, body, reply)
            return reply


async def stop_listening(server: asyncio.Server) -> None:
    """Close a listening server after the connections that are being accepted.

    asyncio would lose the socket of a connection that it accepts at the same moment.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening)
    for _ in range(_ACCEPT_ITERATIONS):
        await asyncio.sleep(0)
    server.close()


async def _read_json(request: web.BaseRequest) -> object:
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        text = await request.read()
        return json.loads(text, parse_constant=_refuse_constant) if text else None
    except (ValueError, RecursionError, web.HTTPRequestEntityTooLarge):
        return BROKEN


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
