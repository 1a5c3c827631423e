"""HTTP server of the emulator: takes a request, finds its operation and its credential, and
answers.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterable
from typing import NoReturn

from aiohttp import web

from paychainhq.emulator import auth, control, idempotency, lifecycle
from paychainhq.emulator.door import Door
from paychainhq.emulator.errors import RefusedError, refuse_field
from paychainhq.emulator.faults import Faults
from paychainhq.emulator.gateway import dispatch as gateway
from paychainhq.emulator.handlers import HANDLERS
from paychainhq.emulator.handlers.call import Call
from paychainhq.emulator.idempotency import Reply, Scope
from paychainhq.emulator.outbox import Outbox
from paychainhq.emulator.request_context import BROKEN, Exchange, dump
from paychainhq.emulator.request_log import ReceivedRequest, Recording, mask
from paychainhq.emulator.routing import GATEWAY, find_route
from paychainhq.emulator.state import State
from paychainhq.emulator.validation import check_body, check_query

_GRACE = 1.0
_TURNS_OF_AN_ACCEPT = 5


class Server:
    """The emulator's whole behaviour behind one request handler, on one event loop."""

    def __init__(self, state: State, allowed_hosts: Iterable[str] = ()) -> None:
        self.control = control.Control(state, Faults(), Recording())
        self._state = state
        self._allowed_hosts = tuple(allowed_hosts)
        self._door: Door
        self._in_flight: set[Scope] = set()
        self._closing = asyncio.Event()
        self._listening: asyncio.Server | None = None
        self.outbox = Outbox(state)
        self._sending: asyncio.Task[None] | None = None
        self._runner = web.ServerRunner(
            web.Server(self._answer, access_log=None), shutdown_timeout=_GRACE
        )

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port."""
        await self._runner.setup()
        assert self._runner.server is not None
        self._listening = await asyncio.get_running_loop().create_server(
            self._runner.server, host, port
        )
        bound = int(self._listening.sockets[0].getsockname()[1])
        self._door = Door(host, bound, self._allowed_hosts)
        self._sending = asyncio.create_task(self.outbox.run())
        return bound

    async def stop(self) -> None:
        # Whoever is kept waiting by a fault is let go first.
        self._closing.set()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        if self._listening is not None:
            await stop_listening(self._listening)
        await self._runner.cleanup()
        await asyncio.sleep(0)  # connections close themselves one turn later

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await _read_json(request)
        except ConnectionError:
            # Who hung up in the middle of a request is not there to be answered.
            return web.Response()
        path = request.rel_url.raw_path
        controlled = path.startswith(control.PREFIX)
        perform = gateway.operate if path.startswith(GATEWAY) else self._operate
        exchange = Exchange(
            request=request,
            path=path,
            body=body,
            route=find_route(request.method, path),
            request_id=f"req_{secrets.token_hex(8)}",
            state=self._state,
            in_flight=self._in_flight,
            closing=self._closing,
            perform=self._control if controlled else perform,
        )
        try:
            self._door.check(request, control=controlled)
        except RefusedError as refused:
            return exchange.respond(exchange.refusal(refused))
        if controlled:
            self.outbox.wake()
            return exchange.respond(exchange.handle())
        operation = exchange.route[0].name if exchange.route else None
        self._record(exchange, operation)
        fault = self.control.faults.take(operation)
        response = exchange.respond(exchange.handle()) if fault is None else await fault(exchange)
        self.outbox.wake()
        if response is None:
            # The connection is gone, so aiohttp throws this away.
            return web.Response()
        self.control.recording.answered(exchange.request_id, response.status)
        return response

    def _record(self, exchange: Exchange, operation: str | None) -> None:
        received = ReceivedRequest(
            request_id=exchange.request_id,
            method=exchange.request.method,
            path=exchange.path,
            query=dict(exchange.request.query),
            headers=mask(exchange.request.headers),
            body=None if exchange.body is BROKEN else exchange.body,
            operation=operation,
        )
        self.control.recording.add(received)

    def _control(self, exchange: Exchange) -> Reply:
        return Reply(
            200,
            dump(
                control.answer(self.control, exchange.request.method, exchange.path, exchange.body)
            ),
        )

    def _operate(self, exchange: Exchange) -> Reply:
        """Carry out an operation: its effect and the reply that is stored for its idempotency key
        are one transaction.
        """
        request, path, body = exchange.request, exchange.path, exchange.body
        if exchange.route is None:
            raise RefusedError(404, "NOT_FOUND", f"there is no {request.method} {path}")
        operation, values = exchange.route
        with self._state.transaction():
            lifecycle.expire(self._state)
            credential = auth.authenticate(self._state, operation, request.headers, values)
            if body is BROKEN:
                refuse_field("body", "is not JSON")
            scope = idempotency.scope_of(
                operation, credential, path, request.headers.get(idempotency.HEADER)
            )
            exchange.scope = scope
            if scope is not None:
                if scope in self._in_flight:
                    raise idempotency.in_progress()
                stored = idempotency.recall(self._state, scope, body)
                if stored is not None:
                    return stored
            query = check_query(operation.query, request.query)
            call = Call(self._state, values, query, check_body(operation.body, body))
            # Assumption: the documents give no status of success; it is 200 throughout.
            reply = Reply(200, dump(HANDLERS[operation.name](call)))
            if scope is not None:
                idempotency.remember(self._state, scope, body, reply)
            return reply


async def stop_listening(server: asyncio.Server) -> None:
    """Close a listening server such that what it accepts at this very moment is a connection first,
    and not a lost socket.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening)
    for _ in range(_TURNS_OF_AN_ACCEPT):
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
