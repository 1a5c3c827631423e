"""The event loop under this package: one background thread a process, started by the first call, ended with the last client."""

from __future__ import annotations

import asyncio
import atexit
import builtins
import os
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from types import CodeType
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

from paychainhq.errors import ConfigurationError

if TYPE_CHECKING:
    from paychainhq.base_client import BaseClient
    from paychainhq.transport import Transport

T = TypeVar("T")

# Seconds that an interrupted call may take to come to rest, and that the thread may take to end.
_PATIENCE = 1.5
# Seconds between two looks at whether the thread is still there: nobody is to wait for ever for one that is not.
_LOOK = 5.0

_lock = threading.Lock()
_open: WeakSet[Transport] = WeakSet()
_warned: set[tuple[CodeType, int]] = set()
_engine: _Engine | None = None
_exiting = False


class _Engine:
    """The thread and its loop."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self.thread = threading.Thread(target=self._main, name="paychainhq-sync", daemon=True)
        self.thread.start()
        self._ready.wait()

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except RuntimeError:
            # At exit its last step, waiting for the threads that resolve names, is refused the thread that it needs.
            if not _exiting:
                raise

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._ready.set()
        # When this returns, `asyncio.run` cancels what is under way and closes the connections.
        await self._stop.wait()

    def run(self, callback: Callable[[], None]) -> None:
        """Run something on the loop's thread."""
        try:
            self.loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop was closed under a call of a client that is closed
            raise ConfigurationError("this client is closed") from None

    def stop(self) -> None:
        self.run(self._stop.set)
        self.thread.join(_PATIENCE)


class _Call(Generic[T]):
    """A coroutine on its way through the loop's thread."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.work = work
        self.context: Context = copy_context()
        self.task: asyncio.Task[T] | None = None
        self.given_up = False
        self.ended = threading.Lock()
        self.ended.acquire()

    def start(self) -> None:
        if self.given_up:
            self.work.close()
            self.ended.release()
            return
        self.task = asyncio.get_running_loop().create_task(self.work, context=self.context)
        self.task.add_done_callback(self._wake)

    def _wake(self, task: asyncio.Task[T]) -> None:
        # At exit only daemon threads can be waiting: they end with the process, and are not to tell of it in a traceback.
        if not _exiting:
            self.ended.release()

    def give_up(self) -> None:
        self.given_up = True
        if self.task is not None:
            self.task.cancel()


def complete(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Run a coroutine on the background loop, and return its task once it has ended.

    The caller asks that for its `.result()`: so an error is raised in the caller's own line, and not in here.

    Raises:

        ConfigurationError: The call came from the background loop's own thread, or while the interpreter shuts down.
    """
    engine: _Engine | None = None
    call: _Call[T] | None = None
    try:
        engine = _running_engine()
        _look_at_the_caller(engine)
        call = _Call(work)
        engine.run(call.start)
        while not call.ended.acquire(timeout=_LOOK):
            if not engine.thread.is_alive() and not _exiting:
                raise ConfigurationError("the background thread has ended under this call")
    except BaseException as interruption:
        if engine is None or call is None:
            work.close()
        else:
            _interrupt(engine, call, interruption)
        raise
    assert call.task is not None
    return call.task


def dispose(work: Coroutine[Any, Any, None]) -> None:
    """Run what ends an iteration, and wait for it; where no loop runs any more, everything has ended with it."""
    if _engine is None:
        work.close()
    else:
        complete(work).result()


def _interrupt(engine: _Engine, call: _Call[Any], interruption: BaseException) -> None:
    """Cancel what is under way, wait until it has come to rest, and say on the exception what it was."""
    if engine.thread.is_alive():
        engine.run(call.give_up)
        call.ended.acquire(timeout=_PATIENCE)
    from paychainhq.calls import current_request

    request = call.context.get(current_request)
    if request is None:
        return
    interruption.idempotency_key = request.idempotency_key  # type: ignore[attr-defined]
    note = f"{request.operation.name} was under way (sent: {request.sent})"
    if request.idempotency_key is not None:
        note += f"; to ask for the same thing again, use idempotency_key={request.idempotency_key!r}"
    interruption.add_note(note)


def _running_engine() -> _Engine:
    global _engine  # noqa: PLW0603 (one engine a process is the point)
    engine = _engine
    if engine is not None:
        return engine
    with _lock:
        if _exiting:
            raise ConfigurationError("the interpreter is shutting down")
        if _engine is None:
            try:
                _engine = _Engine()
            except RuntimeError:  # no thread can be started any more
                raise ConfigurationError("the interpreter is shutting down") from None
        return _engine


def _look_at_the_caller(engine: _Engine) -> None:
    """Refuse a call from the loop's own thread, and warn of one that blocks a loop of the caller's."""
    loop = asyncio._get_running_loop()
    if loop is None:
        return
    frame, level, instead = sys._getframe(1), 2, ""
    while frame.f_back is not None and (name := frame.f_globals.get("__name__", "")).partition(".")[0] == "paychainhq_sync":
        instead = _async_name(name, frame.f_code.co_name)
        frame, level = frame.f_back, level + 1
    if loop is engine.loop:
        raise ConfigurationError(f"this would wait for itself: on the background loop, use paychainhq's {instead}")
    # In a notebook every cell runs under a loop, and blocking it is what is wanted.
    site = (frame.f_code, frame.f_lineno)
    if site not in _warned and not hasattr(builtins, "__IPYTHON__"):
        _warned.add(site)
        message = f"paychainhq_sync blocks the event loop that runs in this thread: use paychainhq's {instead}"
        warnings.warn(message, RuntimeWarning, stacklevel=level)


def _async_name(name: str, method: str) -> str:
    """What to write instead of a method of this package."""
    module, client = name.rpartition(".")[2], "gateway" if ".gateway." in name else "pay"
    if method == "__exit__":
        return "`async with`"
    if module.startswith("_"):
        return "`async for`"
    return f"`await {client}.{method}(...)`" if module in ("base_client", "client") else f"`await {client}.{module}.{method}(...)`"


# --- clients ---


def opened(client: BaseClient) -> None:
    """Count a client: the thread ends when the last one is closed."""
    # Under the lock: a client that is counted is one that no `close` of another ends the thread for.
    with _lock:
        _open.add(client._caller.transport)


def close(client: BaseClient) -> None:
    """Close a client, and end the thread with the last one."""
    global _engine
    if _exiting or client._is_view:
        return
    complete(client.close()).result()
    with _lock:
        _open.discard(client._caller.transport)
        last, _engine = (_engine, None) if not _open else (None, _engine)
    if last is not None:
        last.stop()


# --- the process ---


def _at_exit() -> None:
    global _exiting, _engine  # noqa: PLW0603
    with _lock:
        _exiting = True
        engine, _engine = _engine, None
    if engine is not None:
        engine.stop()


def _in_child() -> None:
    """Begin anew: the thread has stayed with the parent."""
    global _engine  # noqa: PLW0603
    _lock.release()
    if _engine is not None:
        _left_behind.append(_engine)
        _engine = None


# Not to be finalised in the child: the loop's descriptors are shared with the parent.
_left_behind: list[_Engine] = []

# Registered at import, so that it runs after the exit handlers of those who use this package.
atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_in_child)
