"""Calls from blocking threads, executed on the background loop."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from paychainhq._caller import current_request
from paychainhq_sync._background import (
    Call,
    Engine,
    is_exiting,
    is_running,
    running_engine,
    this_engine,
)
from paychainhq_sync._callers import check_caller
from paychainhq_sync._monkey_patches import check_unpatched

if TYPE_CHECKING:
    import asyncio

    from paychainhq._base_client import BaseClient
    from paychainhq._transport import Transport

T = TypeVar("T")

# Seconds to wait for the end of an interrupted call.
_INTERRUPT_TIMEOUT = 1.5
# Seconds between two checks of the background thread, which a child that was forked during a call
# does not have.
_CHECK_INTERVAL = 5.0

_open: WeakSet[Transport] = WeakSet()


def complete(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Run a coroutine on the background loop, and return its finished task.

    The caller reads its `.result()`, so that an error is raised in the caller's line.

    Raises:
        ConfigurationError: The call is in the background thread, or at interpreter shutdown.
        ConnectionFailedError: The background thread ended during the call.
    """
    call: Call[T] | None = None
    try:
        engine = running_engine()
        check_caller(engine.loop)
        call = Call(work, engine)
        engine.submit(call)
        while not call.ended.acquire(timeout=_CHECK_INTERVAL):
            if call.engine.is_gone() and not is_exiting():
                break
    except BaseException as interruption:
        if call is None:
            work.close()
        else:
            _interrupt(call, interruption)
        raise
    return call.outcome()


def dispose(work: Coroutine[Any, Any, None]) -> None:
    """Run the coroutine that ends an iteration. Without a running loop, it has already ended."""
    if is_running():
        complete(work).result()
    else:
        work.close()


def _interrupt(call: Call[Any], interruption: BaseException) -> None:
    """Cancel a call, wait for its end, and add a note about its request to the exception."""
    call.abandoned = True
    if not call.engine.is_gone() and not (call.task is not None and call.task.done()):
        call.engine.submit(call)
        call.ended.acquire(timeout=_INTERRUPT_TIMEOUT)
    request = call.context.get(current_request)
    if request is None:
        return
    interruption.idempotency_key = request.idempotency_key  # type: ignore[attr-defined]
    note = f"{request.operation.name} was in progress (sent: {request.sent})"
    if request.idempotency_key is not None:
        note += f"; to repeat the request, use idempotency_key={request.idempotency_key!r}"
    interruption.add_note(note)


# --- clients ---


def opened(client: BaseClient) -> None:
    """Register a client. The thread ends with the last one.

    Raises:
        ConfigurationError: gevent or eventlet has replaced threads or sockets.
    """
    check_unpatched()
    _open.add(client._caller.transport)


def close(client: BaseClient) -> None:
    """Close a client, and end the thread with the last one."""
    if is_exiting() or client._is_view:
        return
    ended = complete(_close(client)).result()
    if ended is not None:
        ended.join()


async def _close(client: BaseClient) -> Engine | None:
    """Close a client, and return the engine that ends with it, or None."""
    await client.close()
    _open.discard(client._caller.transport)
    # Decided in the engine's thread: a client that is registered later makes its first call on the
    # successor.
    if _open:
        return None
    engine = this_engine()
    engine.end()
    return engine
