"""Background thread and its event loop: one a process, started by the first call, ended with the
last client.

No lock guards what threads share here. A signal handler may run at any instruction of the main
thread, and may call, make or close a client: it would wait for ever for a lock that the code below
it holds. So each change is one step that nothing can interrupt, or is made by the background
thread, which runs no handlers.
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

T = TypeVar("T")

# Seconds that the thread may take to end.
_PATIENCE = 1.5
# Seconds that the calls of closed clients may take to end, before the loop ends under them.
_REST = 0.25

_exiting = False
_of_thread = threading.local()


class Engine:
    """One background thread with its loop; an ended one has a successor.

    Attributes:
        process: The id of the process that it runs in.
        thread: The thread, once there is one.
        loop: Its loop, once that is made.
        calls: The calls under way. Only the thread itself changes them.
        over: Whether it takes no more calls.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self.thread: threading.Thread | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.calls: set[Call[Any]] = set()
        self.over = False
        self._end = asyncio.Event()
        self._handed: deque[Call[Any]] = deque()
        self._turn = threading.Lock()
        self._successor: dict[str, Engine] = {}

    # --- for any thread ---

    def start(self) -> None:
        """Start the thread; doing so twice is harmless."""
        if self.thread is None:
            # `Thread.start` waits for the thread, and holds a lock that the thread needs: a signal
            # handler must not interrupt it.
            _thread.start_new_thread(self._start_thread, ())

    def hand(self, call: Call[Any]) -> None:
        """Have the loop begin a call, or cancel one that was given up."""
        self._handed.append(call)
        if self.loop is not None:
            with suppress(
                RuntimeError
            ):  # the loop is closed: its thread passes on what was handed in
                self.loop.call_soon_threadsafe(self._take)
        if self.over:
            self._pass_on()

    def successor(self) -> Engine:
        """Return the engine that follows this one; it is the same for all who come at the same
        time.
        """
        return self._successor.setdefault("engine", Engine())

    def latest(self) -> Engine:
        """Return this engine, or the last of those that followed it."""
        engine = self
        while engine._successor:
            engine = engine._successor["engine"]
        return engine

    def is_running(self) -> bool:
        """Return whether it has been started in this process, and takes calls."""
        return self.thread is not None and not self.over and self.process == os.getpid()

    def is_gone(self) -> bool:
        """Return whether a call that was begun here can end no more."""
        return self.process != os.getpid() or (
            self.over and (self.thread is None or not self.thread.is_alive())
        )

    def end(self) -> None:
        """Take no more calls, and end the thread."""
        self.over = True
        if self.loop is not None:
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._end.set)

    def join(self) -> None:
        """Wait until the thread has ended."""
        if self.thread is not None:
            self.thread.join(_PATIENCE)

    def _pending(self) -> Iterator[Call[Any]]:
        while True:
            try:
                yield self._handed.popleft()
            except IndexError:
                return

    def _pass_on(self) -> None:
        for call in self._pending():
            if call.task is None:  # otherwise it ends with its loop
                try:
                    call.engine = running_engine()
                    call.engine.hand(call)
                except PayChainError as error:
                    call.refuse(error)

    # --- in threads of its own, which no signal handler interrupts ---

    def _start_thread(self) -> None:
        if not self._turn.acquire(blocking=False):
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
                    # A SystemExit that a task raised is its outcome, for those who wait for it; the
                    # others are to go on. A RuntimeError says that something has stopped the loop.
                    with suppress(SystemExit, KeyboardInterrupt, RuntimeError):
                        loop.run_until_complete(serving)
        except RuntimeError:
            # At exit the last step, waiting for the threads that resolve names, is refused the
            # thread that it needs.
            if not _exiting:
                raise
        finally:
            self.over = True
            for call in list(self.calls):
                call.wake()
            self._pass_on()

    async def _serve(self) -> None:
        self._take()
        if not self.over:
            await self._end.wait()
        # The calls of closed clients are being cut off: they end by themselves, and say why.
        tasks = [call.task for call in self.calls if call.task is not None]
        if tasks and not _exiting:
            await asyncio.wait(tasks, timeout=_REST)

    def _take(self) -> None:
        if not self.over:
            for call in self._pending():
                call.advance()


_engine = Engine()
# Not to be finalised in a forked child: the loop's descriptors are shared with the parent.
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
        # Another thread may set an older one at the same time: that has ended, and leads here
        # again.
        _engine = engine = engine.successor()
    try:
        engine.start()
    except RuntimeError as problem:
        raise _not_started(problem) from None
    return engine


def this_engine() -> Engine:
    """Return the engine whose thread this is."""
    engine: Engine = _of_thread.engine
    return engine


def is_running() -> bool:
    """Return whether there is an engine that takes calls."""
    return _engine.latest().is_running()


def is_exiting() -> bool:
    """Return whether the interpreter shuts down."""
    return _exiting


def _not_started(problem: RuntimeError) -> ConfigurationError:
    if not threading.main_thread().is_alive():
        return ConfigurationError("the interpreter is shutting down")
    return ConfigurationError(f"the background thread cannot be started: {problem}")


# --- calls ---


class Call(Generic[T]):
    """Coroutine on its way through the loop's thread.

    Attributes:
        engine: The engine that it was handed to last.
        task: The task that runs it, once it has begun.
        given_up: Whether its caller waits no more.
        refusal: Why it could not begin, or None.
        ended: Released when the caller is to wait no more.
    """

    def __init__(self, work: Coroutine[Any, Any, T], engine: Engine) -> None:
        self.work = work
        self.context: Context = copy_context()
        self.engine = engine
        self.task: asyncio.Task[T] | None = None
        self.given_up = False
        self.refusal: PayChainError | None = None
        self.ended = threading.Lock()
        self.ended.acquire()

    def advance(self) -> None:
        """Begin, or cancel what was given up; runs in the thread of the engine."""
        if self.task is not None:
            if self.given_up:
                self.task.cancel()
        elif self.given_up:
            self.refuse(None)
        else:
            assert self.engine.loop is not None
            self.task = self.engine.loop.create_task(self.work, context=self.context)
            self.engine.calls.add(self)
            self.task.add_done_callback(self._done)

    def refuse(self, error: PayChainError | None) -> None:
        """End without having begun."""
        self.work.close()
        self.refusal = error
        self.wake()

    def _done(self, task: asyncio.Task[T]) -> None:
        self.engine.calls.discard(self)
        self.wake()

    def wake(self) -> None:
        """Let the caller go on."""
        # At exit only daemon threads can be waiting: they end with the process, and are not to tell
        # of it in a traceback.
        if not _exiting:
            with suppress(RuntimeError):  # it was woken before
                self.ended.release()

    def outcome(self) -> asyncio.Task[T]:
        """Return the task that has ended, or raise why there is none."""
        if self.refusal is not None:
            raise self.refusal
        if self.task is not None and self.task.done() and not self.task.cancelled():
            return self.task
        # Nobody asked for the cancellation: a caller that gives up does not come here.
        request = None if self.task is None else self.context.get(current_request)
        if request is None:
            raise ConfigurationError(
                "this client was closed, or its background thread ended, before the call began"
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


# Registered at import, so that it runs after the exit handlers of those who use this package.
atexit.register(_at_exit)
