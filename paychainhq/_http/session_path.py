"""Session path: a request through an aiohttp session, with public names of aiohttp only."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from yarl import URL

from paychainhq._core.fork import tracked_socket
from paychainhq._http.attempt import (
    NO_TIMEOUT,
    READ_AT_ONCE,
    AttemptState,
    Connector,
    current_attempt,
    is_drained,
    read_body,
)
from paychainhq._http.failures import RefusedError, SentTwiceError, SessionClosedError
from paychainhq._http.fast_path import is_of_aiohttp

# aiohttp warns of longer bodies as bytes, since it writes them in one piece.
_WRITTEN_AT_ONCE = 2**20


def make_session(max_connections: int) -> aiohttp.ClientSession:
    """Return a session that records the departure of its requests, and sends each once."""
    # A replacement of the connector's class is used, so that it sees the connections.
    kind = (
        Connector
        if getattr(Connector, "__bases__", None) == (aiohttp.TCPConnector,)
        else aiohttp.TCPConnector
    )
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_note_start)
    trace.on_request_headers_sent.append(_note_departure)
    return aiohttp.ClientSession(
        connector=kind(limit=max_connections, ttl_dns_cache=60, socket_factory=tracked_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=NO_TIMEOUT,
        read_bufsize=READ_AT_ONCE,
        trace_configs=[trace],
    )


async def _note_start(*_: object) -> None:
    """Record that aiohttp reports this attempt, so that its departure will be known."""
    state = current_attempt.get()
    if state is not None and state.left is None:
        state.left = False


async def _note_departure(*_: object) -> None:
    """Record that an attempt is sent; raises for a second time, a hidden repeat by aiohttp."""
    state = current_attempt.get()
    if state is None:
        return
    if state.left:
        raise SentTwiceError
    state.left = True


async def send(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    body: bytes | None,
    headers: Mapping[str, str],
    options: Mapping[str, Any],
    state: AttemptState,
) -> tuple[int, Mapping[str, str], bytes]:
    """Send a request through a session, and return the status, headers and body of the response."""
    token = current_attempt.set(state)
    complete = False
    try:
        async with AsyncExitStack() as stack:
            data = body if body is None or len(body) <= _WRITTEN_AT_ONCE else io.BytesIO(body)
            reply = await _enter(
                stack, session, method, url, {"data": data, "headers": headers, **options}
            )
            state.status = reply.status
            content, complete = await read_body(reply.content)
            if not complete:
                reply.close()
            return reply.status, reply.headers, content
    finally:
        current_attempt.reset(token)
        if state.transport is not None and not (
            complete and is_drained(state.transport, len(body or b""))
        ):
            state.transport.abort()


async def _enter(
    stack: AsyncExitStack,
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    options: Mapping[str, Any],
) -> aiohttp.ClientResponse:
    """Send a request, and return its response; converts errors to `aiohttp.ClientError`."""
    try:
        return await stack.enter_async_context(_send(session, method, url, options))
    except aiohttp.ClientError:  # some of these are ValueErrors too
        raise
    except ValueError as error:
        raise RefusedError from error
    except (RuntimeError, AssertionError) as error:
        if session.closed:
            raise SessionClosedError from error
        raise


def _send(session: aiohttp.ClientSession, method: str, url: URL, options: Mapping[str, Any]) -> Any:
    """Send a request by `session.request`, or by a replacement of `session.get` and the like."""
    name = method.lower()
    own = getattr(session, name, None)
    if own is None or is_of_aiohttp(type(session), name, getattr(own, "__func__", None)):
        return session.request(method, url, **options)
    return own(url, **options)
