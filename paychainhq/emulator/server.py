"""HTTP server of the emulator: authorization, validation, execution, response."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NoReturn

from aiohttp import web

from paychainhq._version import __version__
from paychainhq.emulator import auth, control, idempotency, inspector, lifecycle, shown
from paychainhq.emulator.changes import Changes
from paychainhq.emulator.errors import RefusedError, refuse_field
from paychainhq.emulator.faults import Faults
from paychainhq.emulator.gateway import dispatch as gateway
from paychainhq.emulator.handlers import HANDLERS
from paychainhq.emulator.handlers.call import Call
from paychainhq.emulator.idempotency import Reply, Scope
from paychainhq.emulator.origin_check import OriginCheck
from paychainhq.emulator.outbox import Outbox
from paychainhq.emulator.request_context import BROKEN, RequestContext, dump
from paychainhq.emulator.request_log import ReceivedRequest, RequestLog, Response, mask
from paychainhq.emulator.routing import GATEWAY, find_route
from paychainhq.emulator.state import State
from paychainhq.emulator.traffic import Traffic
from paychainhq.emulator.validation import check_body, check_query

_EVENTS = f"{control.PREFIX}events"
_GRACE = 1.0
_ACCEPT_ITERATIONS = 5


class Server:
    """Request handler with the whole behaviour of the emulator, on one event loop."""

    def __init__(
        self,
        state: State,
        traffic: Traffic,
        allowed_hosts: Iterable[str] = (),
        *,
        allow_remote_webhooks: bool = False,
    ) -> None:
        self.instance_id = f"emu_{secrets.token_hex(8)}"
        log = RequestLog()
        self.control = control.Control(state, Faults(), log, traffic, allow_remote_webhooks)
        self._changes = Changes(shown.changes(state, log))
        state.on_change = self._changes.add
        log.on_change = lambda request_id: self._changes.add("request", request_id)
        self._state = state
        self._allowed_hosts = tuple(allowed_hosts)
        self._origin_check: OriginCheck
        self._in_flight: set[Scope] = set()
        self._closing = asyncio.Event()
        self._listening: asyncio.Server | None = None
        self.outbox = Outbox(state, allow_remote=allow_remote_webhooks)
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
        # Delayed responses and streams end first.
        self._closing.set()
        self._changes.close()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        if self._listening is not None:
            await stop_listening(self._listening)
        await self._runner.cleanup()
        await asyncio.sleep(0)  # connections close one iteration of the loop later

    def note(self) -> None:
        """Publish the effects of a control."""
        self.outbox.wake()
        self._changes.add("control", "")

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await _read_json(request)
        except ConnectionError:
            # The client has disconnected before the end of its request.
            return web.Response()
        path = request.rel_url.raw_path
        is_control = path == control.ROOT or path.startswith(control.PREFIX)
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
            return await self._respond_to_control(context)
        return await self._respond_to_call(context)

    async def _respond_to_control(self, context: RequestContext) -> web.StreamResponse:
        if context.request.method == "GET":
            if context.path == _EVENTS:
                return await self._changes.stream(context, self.instance_id)
            if context.path == control.ROOT:
                about = {"instanceId": self.instance_id, "version": __version__}
                return context.respond(Reply(200, dump(about)))
            query = context.request.query
            page = inspector.respond(self.control, self.instance_id, context.path, query)
            if page is not None:
                return page
        response = context.respond(context.handle())
        if context.request.method == "POST":
            self.note()
        return response

    async def _respond_to_call(self, context: RequestContext) -> web.StreamResponse:
        began = time.monotonic()
        operation = context.route[0].name if context.route else None
        self._record(context, operation)
        response = await self._play(context, operation)
        self.outbox.wake()
        if response is None:
            # The connection is closed: aiohttp discards this response.
            return web.Response()
        body = getattr(response, "body", None)
        self.control.request_log.complete(
            context.request_id,
            Response(dict(response.headers), body if isinstance(body, bytes) else b""),
            status=response.status,
            credential=context.credential,
            replayed=context.replayed,
            duration=time.monotonic() - began,
        )
        return response

    async def _play(
        self, context: RequestContext, operation: str | None
    ) -> web.StreamResponse | None:
        traffic = self.control.traffic
        try:
            traffic.admit()
        except RefusedError as refused:
            return context.respond(context.refusal(refused))
        if traffic.latency:
            await context.wait(traffic.latency)
        fault = self.control.faults.take(operation)
        return context.respond(context.handle()) if fault is None else await fault(context)

    def _record(self, context: RequestContext, operation: str | None) -> None:
        received = ReceivedRequest(
            request_id=context.request_id,
            method=context.request.method,
            path=context.path,
            query=dict(context.request.query),
            headers=mask(context.request.headers),
            body=None if context.body is BROKEN else context.body,
            operation=operation,
            received_at=datetime.fromtimestamp(self._state.now() / 1000, UTC),
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
            context.credential = credential or None
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
                    context.replayed = True
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
