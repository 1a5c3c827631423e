"""Background thread with an event loop: one per process, from the first call to the last close.

No lock guards the shared state of this module. A signal handler may run at any instruction of the
main thread, and may call, create or close a client: it would wait for ever for a lock that the
interrupted code holds. So each change is atomic, or made by the background thread, which runs no
signal handlers.
"""

from __future__ import annotations

import _thread
import asyncio
import atexit
import os
import threading
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, Generic, TypeVar

from paychainhq._caller import current_request
from paychainhq.errors import ConfigurationError, ConnectionFailedError, PayChainError
from paychainhq_sync._monkey_patches import check_unpatched

T = TypeVar("T")

# Seconds to wait for the end of the thread.
_JOIN_TIMEOUT = 1.5
# Seconds to wait for the calls of closed clients before the loop ends.
_DRAIN_TIMEOUT = 0.25

_exiting = False
_of_thread = threading.local()


class Engine:
    """Background thread with its loop; an ended one has a successor.

    Attributes:
        process: The id of its process.
        thread: The thread, or None before its start.
        loop: The loop, or None before its creation.
        calls: The calls in progress. Only the thread itself changes them.
        over: Whether it accepts no more calls.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self.thread: threading.Thread | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.calls: set[Call[Any]] = set()
        self.over = False
        self._end = asyncio.Event()
        self._submitted: deque[Call[Any]] = deque()
        self._starting = threading.Lock()
        self._successor: dict[str, Engine] = {}

    # --- for any thread ---

    def start(self) -> None:
        """Start the thread. Starting twice is harmless."""
        if self.thread is None:
            check_unpatched()  # a client may be older than the patch
            # `Thread.start` waits for the thread, and holds a lock that the thread requires: a
            # signal handler must not interrupt it.
            _thread.start_new_thread(self._start_thread, ())

    def submit(self, call: Call[Any]) -> None:
        """Start a call on the loop, or cancel an abandoned one."""
        self._submitted.append(call)
        if self.loop is not None:
            with suppress(RuntimeError):  # the loop is closed: its thread forwards the call
                self.loop.call_soon_threadsafe(self._advance_all)
        if self.over:
            self._forward_all()

    def successor(self) -> Engine:
        """Return the engine that follows this one, the same for concurrent callers."""
        return self._successor.setdefault("engine", Engine())

    def latest(self) -> Engine:
        """Return the last successor of this engine, or the engine itself."""
        engine = self
        while engine._successor:
            engine = engine._successor["engine"]
        return engine

    def is_running(self) -> bool:
        """Return whether it was started in this process, and accepts calls."""
        return self.thread is not None and not self.over and self.process == os.getpid()

    def is_gone(self) -> bool:
        """Return whether a call that was started here can no longer end."""
        return self.process != os.getpid() or (
            self.over and (self.thread is None or not self.thread.is_alive())
        )

    def end(self) -> None:
        """Accept no more calls, and end the thread."""
        self.over = True
        if self.loop is not None:
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._end.set)

    def join(self) -> None:
        """Wait until the thread has ended."""
        if self.thread is not None:
            self.thread.join(_JOIN_TIMEOUT)

    def _pending(self) -> Iterator[Call[Any]]:
        while True:
            try:
                yield self._submitted.popleft()
            except IndexError:
                return

    def _forward_all(self) -> None:
        """Submit the pending calls to the running engine."""
        for call in self._pending():
            if call.task is None:  # otherwise it ends with its loop
                try:
                    call.engine = running_engine()
                    call.engine.submit(call)
                except PayChainError as error:
                    call.refuse(error)

    # --- in its own threads, which no signal handler interrupts ---

    def _start_thread(self) -> None:
        if not self._starting.acquire(blocking=False):
            return
        self.thread = threading.Thread(target=self._main, name="paychainhq-sync", daemon=True)
        try:
            self.thread.start()
        except RuntimeError as problem:
            self.over = True
            for call in self._pending():
                call.refuse(_not_started(problem))

    def _main(self) -> None:
        _of_thread.engine = self
        try:
            with asyncio.Runner() as runner:
                self.loop = loop = runner.get_loop()
                serving = loop.create_task(self._serve())
                while not serving.done() and not loop.is_closed():
                    # A SystemExit of a task is its outcome, and must not end other calls. A
                    # RuntimeError means that other code has stopped the loop.
                    with suppress(SystemExit, KeyboardInterrupt, RuntimeError):
                        loop.run_until_complete(serving)
        except RuntimeError:
            # At exit, the last step (waiting for the threads that resolve names) cannot start the
            # thread that it requires.
            if not _exiting:
                raise
        finally:
            self.over = True
            for call in list(self.calls):
                call.wake()
            self._forward_all()

    async def _serve(self) -> None:
        self._advance_all()
        if not self.over:
            await self._end.wait()
        # The connections of closed clients are closed, so that their calls end with an error.
        tasks = [call.task for call in self.calls if call.task is not None]
        if tasks and not _exiting:
            await asyncio.wait(tasks, timeout=_DRAIN_TIMEOUT)

    def _advance_all(self) -> None:
        if not self.over:
            for call in self._pending():
                call.advance()


_engine = Engine()
# Never finalised in a forked child, which shares the loop's descriptors with the parent.
_left_behind: list[Engine] = []


def running_engine() -> Engine:
    """Return the engine of this process, started."""
    global _engine  # noqa: PLW0603 (one engine a process is the point)
    engine = _engine
    while engine.over or engine.process != os.getpid():
        if _exiting:
            raise ConfigurationError("the interpreter is shutting down")
        if engine.process != os.getpid():
            _left_behind.append(engine)
        # Another thread may set an older engine at the same time: that one has ended, and its
        # successor is the same.
        _engine = engine = engine.successor()
    try:
        engine.start()
    except RuntimeError as problem:
        raise _not_started(problem) from None
    return engine


def this_engine() -> Engine:
    """Return the engine of the current thread."""
    engine: Engine = _of_thread.engine
    return engine


def is_running() -> bool:
    """Return whether an engine accepts calls."""
    return _engine.latest().is_running()


def is_exiting() -> bool:
    """Return whether the interpreter is shutting down."""
    return _exiting


def _not_started(problem: RuntimeError) -> ConfigurationError:
    if not threading.main_thread().is_alive():
        return ConfigurationError("the interpreter is shutting down")
    return ConfigurationError(f"the background thread cannot be started: {problem}")


# --- calls ---


class Call(Generic[T]):
    """Call of a coroutine on the background loop.

    Attributes:
        engine: The engine that it was last submitted to.
        task: The task that runs it, or None before its start.
        abandoned: Whether its caller no longer waits.
        refusal: The error that prevented its start, or None.
        ended: Lock that is released at the end of the call.
    """

    def __init__(self, work: Coroutine[Any, Any, T], engine: Engine) -> None:
        self.work = work
        self.context: Context = copy_context()
        self.engine = engine
        self.task: asyncio.Task[T] | None = None
        self.abandoned = False
        self.refusal: PayChainError | None = None
        self.ended = threading.Lock()
        self.ended.acquire()

    def advance(self) -> None:
        """Start the task, or cancel it if the call is abandoned. Runs in the engine's thread."""
        if self.task is not None:
            if self.abandoned:
                self.task.cancel()
        elif self.abandoned:
            self.refuse(None)
        else:
            assert self.engine.loop is not None
            self.task = self.engine.loop.create_task(self.work, context=self.context)
            self.engine.calls.add(self)
            self.task.add_done_callback(self._done)

    def refuse(self, error: PayChainError | None) -> None:
        """End the call before its start."""
        self.work.close()
        self.refusal = error
        self.wake()

    def _done(self, task: asyncio.Task[T]) -> None:
        self.engine.calls.discard(self)
        self.wake()

    def wake(self) -> None:
        """Wake the caller."""
        # At exit, only daemon threads can be waiting. They end with the process, without a
        # traceback.
        if not _exiting:
            with suppress(RuntimeError):  # already released
                self.ended.release()

    def outcome(self) -> asyncio.Task[T]:
        """Return the finished task, or raise the reason that there is none."""
        if self.refusal is not None:
            raise self.refusal
        if self.task is not None and self.task.done() and not self.task.cancelled():
            return self.task
        # A cancellation without a request: the caller of an abandoned call does not read this.
        request = None if self.task is None else self.context.get(current_request)
        if request is None:
            raise ConfigurationError(
                "this client was closed, or its background thread ended, before the call started"
            )
        raise ConnectionFailedError(
            "the client was closed, or its background thread ended, during the call",
            **request.facts(),
        )


# --- the end of the process ---


def _at_exit() -> None:
    global _exiting  # noqa: PLW0603
    _exiting = True
    engine = _engine.latest()
    if engine.process == os.getpid():
        engine.end()
        engine.join()


# Registered at import, so that it runs after the exit handlers of programs.
atexit.register(_at_exit)
