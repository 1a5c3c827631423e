"""Faults on demand: kind, operation and count."""

from __future__ import annotations

import math
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable

import attrs
from aiohttp import web

from paychainhq.emulator import idempotency
from paychainhq.emulator.errors import RefusedError
from paychainhq.emulator.idempotency import Scope
from paychainhq.emulator.request_context import RequestContext
from paychainhq.gateway.operations import OPERATIONS as GATEWAY_OPERATIONS
from paychainhq.operations import OPERATIONS

Fault = Callable[[RequestContext], Awaitable[web.StreamResponse | None]]
"""Function that produces one fault. It returns the response, or None if the request never gets one.
"""

_CODES = {
    400: "VALIDATION_ERROR",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    429: "RATE_LIMIT_EXCEEDED",
}
# RST instead of FIN, as after the loss of a host or a middlebox.
_LINGER_NOT = struct.pack("ii", 1, 0)
_REMEMBERED = 20


async def _drop(context: RequestContext) -> None:
    _close(context)


async def _reset(context: RequestContext) -> None:
    context.handle()
    transport = context.request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT
        )
        transport.abort()


async def _truncate(context: RequestContext) -> web.StreamResponse:
    reply = context.handle()
    response = web.StreamResponse(status=reply.status, headers=context.headers())
    response.content_length = len(reply.body)
    await response.prepare(context.request)
    await response.write(reply.body[: len(reply.body) // 2])
    _close(context)
    return response


async def _bad_json(context: RequestContext) -> web.StreamResponse:
    reply = context.handle()
    return web.Response(body=reply.body[:-1], headers=context.headers())


async def _html(context: RequestContext) -> web.StreamResponse:
    context.handle()
    return web.Response(
        body=b"<html><body><h1>It works</h1></body></html>", headers=context.headers("text/html")
    )


async def _empty(context: RequestContext) -> web.StreamResponse:
    context.handle()
    return web.Response(headers=context.headers())


async def _silence(context: RequestContext) -> None:
    await context.wait(None)
    _close(context)


async def _in_progress(context: RequestContext) -> web.StreamResponse:
    return context.respond(context.refusal(idempotency.in_progress()))


def _slow(argument: str) -> Fault:
    seconds = _number(argument)

    async def slow(context: RequestContext) -> web.StreamResponse:
        reply = context.handle()
        # A repeat that overlaps with this request does not own the key, and must not release it.
        owned: set[Scope] = {context.scope} - context.in_flight if context.scope else set()
        context.in_flight |= owned
        try:
            await context.wait(seconds)
        finally:
            context.in_flight -= owned
        return context.respond(reply)

    return slow


def _status(status: int, retry_after: str) -> Fault:
    """Return a fault that responds with an error and changes nothing.

    Assumption: a status without a documented code, such as 503, has the code `INTERNAL_ERROR`.
    """
    headers = {"Retry-After": str(math.ceil(_number(retry_after)))} if retry_after else {}
    refused = RefusedError(
        status, _CODES.get(status, "INTERNAL_ERROR"), f"the emulator injected the status {status}"
    )

    async def refuse(context: RequestContext) -> web.StreamResponse:
        response = context.respond(context.refusal(refused))
        response.headers.update(headers)
        return response

    return refuse


KINDS: dict[str, Fault] = {
    "drop": _drop,
    "reset": _reset,
    "truncate": _truncate,
    "bad_json": _bad_json,
    "html": _html,
    "empty": _empty,
    "silence": _silence,
    "in_progress": _in_progress,
}


def parse(kind: object) -> Fault:
    """Return the fault of a kind, or raise ValueError."""
    name, _, argument = str(kind).partition(":")
    if name in KINDS and not argument:
        return KINDS[name]
    if name == "slow":
        return _slow(argument)
    if name.isascii() and name.isdigit() and 400 <= int(name) <= 599:
        return _status(int(name), argument)
    raise ValueError(
        f"{kind!r} is not a kind of fault: use a status from 400 to 599, a status with Retry-After "
        "('429:1'), 'slow:2.5',"
        f" or one of {', '.join(KINDS)}"
    )


@attrs.define
class Planned:
    """Fault of the next requests.

    Attributes:
        operation: The operation's name, or `"*"`.
        kind: The kind, as it was given.
        play: The function that produces the fault.
        times: The number of requests that are still to fail.
        fired: The number of requests that have failed.
    """

    operation: str
    kind: str
    play: Fault
    times: int
    fired: int = 0


class Faults:
    """Planned faults, in the order of their requests, and the latest that have fired."""

    def __init__(self) -> None:
        self._planned: list[Planned] = []
        self._exhausted: deque[Planned] = deque(maxlen=_REMEMBERED)

    def add(self, operation: object, kind: object, times: object = 1) -> None:
        if operation not in ("*", *OPERATIONS, *GATEWAY_OPERATIONS):
            raise ValueError(
                f"{operation!r} is not an operation; use a name such as 'invoices.create', or '*'"
            )
        if isinstance(times, bool) or not isinstance(times, int) or times < 1:
            raise ValueError(f"times must be an int of 1 or more, not {times!r}")
        self._planned.append(Planned(str(operation), str(kind), parse(kind), times))

    def all(self) -> list[Planned]:
        """Return the exhausted faults, then the armed ones."""
        return [*self._exhausted, *self._planned]

    def clear(self) -> None:
        self._planned.clear()
        self._exhausted.clear()

    def take(self, operation: str | None) -> Fault | None:
        """Consume one planned fault of an operation and return it, or return None."""
        for planned in self._planned:
            if planned.operation in ("*", operation):
                planned.times -= 1
                planned.fired += 1
                if planned.times == 0:
                    self._planned.remove(planned)
                    self._exhausted.append(planned)
                return planned.play
        return None


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{text!r} is not a number of seconds")
    return number


def _close(context: RequestContext) -> None:
    if context.request.transport is not None:
        context.request.transport.close()
