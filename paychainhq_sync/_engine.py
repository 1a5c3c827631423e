"""Calls from blocking threads, which the background loop runs."""

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

if TYPE_CHECKING:
    import asyncio

    from paychainhq._base_client import BaseClient
    from paychainhq._transport import Transport

T = TypeVar("T")

# Seconds that an interrupted call may take to come to rest.
_PATIENCE = 1.5
# Seconds between two checks that the background thread still runs: a forked child that goes on
# inside a call has none.
_CHECK = 5.0

_open: WeakSet[Transport] = WeakSet()


def complete(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Run a coroutine on the background loop, and return its task once it has ended.

    The caller asks that for its `.result()`: so an error is raised in the caller's own line, and
    not in here.

    Raises:
        ConfigurationError: The call came from the background loop's own thread, or while the
            interpreter shuts down.
        ConnectionFailedError: The call was cut off, by nobody's cancellation.
    """
    call: Call[T] | None = None
    try:
        engine = running_engine()
        check_caller(engine.loop)
        call = Call(work, engine)
        engine.hand(call)
        while not call.ended.acquire(timeout=_CHECK):
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
    """Run what ends an iteration, and wait for it; where no loop runs any more, everything has
    ended with it.
    """
    if is_running():
        complete(work).result()
    else:
        work.close()


def _interrupt(call: Call[Any], interruption: BaseException) -> None:
    """Cancel what is under way, wait until it has come to rest, and note on the exception what it
    was.
    """
    call.given_up = True
    if not call.engine.is_gone() and not (call.task is not None and call.task.done()):
        call.engine.hand(call)
        call.ended.acquire(timeout=_PATIENCE)
    request = call.context.get(current_request)
    if request is None:
        return
    interruption.idempotency_key = request.idempotency_key  # type: ignore[attr-defined]
    note = f"{request.operation.name} was under way (sent: {request.sent})"
    if request.idempotency_key is not None:
        note += (
            f"; to ask for the same thing again, use idempotency_key={request.idempotency_key!r}"
        )
    interruption.add_note(note)


# --- clients ---


def opened(client: BaseClient) -> None:
    """Count a client: the thread ends when the last one is closed."""
    _open.add(client._caller.transport)


def close(client: BaseClient) -> None:
    """Close a client, and end the thread with the last one."""
    if is_exiting() or client._is_view:
        return
    ended = complete(_close(client)).result()
    if ended is not None:
        ended.join()


async def _close(client: BaseClient) -> Engine | None:
    """Close a client, and return the engine that ends with it, if it was the last one."""
    await client.close()
    _open.discard(client._caller.transport)
    # Decided in the thread of the engine: a client that is counted after this makes its first call
    # on the successor.
    if _open:
        return None
    engine = this_engine()
    engine.end()
    return engine
