"""Writing in batches: entries of many tasks form a batch, which a thread of its own writes."""

from __future__ import annotations

import _queue
import _thread
import asyncio
import os
import queue
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import BuiltinFunctionType, TracebackType
from typing import Any, Protocol, Self

from paychainhq._core import validators
from paychainhq.errors import LedgerError
from paychainhq.ledger.base import Answer, Entry, Intent, State

_WriteJob = tuple["_LoopQueue", "_Batch"]
_Answered = tuple[Intent, Answer]

# Seconds that a batch waits for more entries: a commit costs as much as ten entries.
BATCH_WINDOW = 0.001


class Store(Protocol):
    """Storage of a `BatchedLedger`, for use in any thread. Its methods raise `LedgerError`.

    Attributes:
        name: The name of the storage in messages, such as the path of its file.
    """

    name: str

    def write(
        self, intents: Sequence[Intent], answers: Sequence[_Answered]
    ) -> list[Entry | None] | None:
        """Write answers and intents in one transaction.

        Returns:
            The previous entry of each intent, as `Ledger.begin` returns it, or None if all intents
            are new.
        """
        ...

    def entries(self, state: State | None) -> Iterator[Entry]:
        """Yield the entries in a state, or all, oldest first."""
        ...

    def compact(self, older_than: float) -> int:
        """Remove entries that were answered, and claims that were settled, seconds ago.

        Returns:
            The number of removed entries.
        """
        ...

    def forget(self, operation: str, key: str) -> bool:
        """Remove an entry, and return whether there was one."""
        ...

    def close(self) -> None:
        """Close the storage. Closing twice is harmless."""
        ...


class BatchedLedger:
    """Ledger that writes to a store in batches: one commit for the entries of many tasks.

    Any number of tasks, event loops and threads may use it.

    Args:
        store: The storage.
        resend_within: The age in seconds up to which an unfinished request is sent again.
    """

    # Assumption: no document says how long the server keeps a key.
    def __init__(self, store: Store, *, resend_within: float = 86_400.0) -> None:
        self.resend_within = validators.seconds("resend_within", resend_within, zero=True)
        self._store = store
        self._writer = _Writer(store)
        self._queues: dict[asyncio.AbstractEventLoop, _LoopQueue] = {}
        self._finalizer = weakref.finalize(self, self._writer.stop)

    async def begin(self, intent: Intent) -> Entry | None:
        """Record an intent; return a previous entry that was not refused, or None."""
        return await self._queue().begin(intent)

    async def finish(self, intent: Intent, answer: Answer) -> None:
        """Record the answer to an intent if the rules define a change; return once it is written.

        A cancellation of the waiting task does not prevent the write.
        """
        await self._queue().finish((intent, answer))

    def _queue(self) -> _LoopQueue:
        loop = asyncio.get_running_loop()
        queue = self._queues.get(loop)
        if queue is None or queue.writer.process != os.getpid():
            if self._writer.process != os.getpid():  # pending batches of a fork are the parent's
                self._finalizer.detach()
                self._writer = _Writer(self._store)
                self._finalizer = weakref.finalize(self, self._writer.stop)
            self._queues = {
                loop: queue for loop, queue in self._queues.items() if not loop.is_closed()
            }
            queue = self._queues[loop] = _LoopQueue(loop, self._writer)
        return queue

    def entries(self, state: State | None = None) -> Iterator[Entry]:
        """Return all entries, or those in one state, oldest first, read in this thread."""
        yield from self._store.entries(state)  # a generator of its own keeps the ledger alive

    def compact(self, *, older_than: float) -> int:
        """Remove answered entries and settled claims older than `older_than` seconds.

        Unfinished entries of any age stay. Removed space is reused, and not returned to the system.
        A webhook event whose claim is removed would be handled again; the API repeats events for
        less than a day.

        Returns:
            The number of removed entries.
        """
        return self._store.compact(validators.seconds("older_than", older_than, zero=True))

    def forget(self, operation: str, key: str) -> None:
        """Remove an entry, after a person has verified that the request was not executed.

        Raises:
            LookupError: There is no such entry.
        """
        if not self._store.forget(operation, key):
            raise LookupError(f"the ledger has no entry of {operation} under the key {key}")

    def close(self) -> None:
        """Write pending batches, and close the store. Closing twice is harmless.

        A ledger that is garbage-collected closes its store too.
        """
        self._finalizer.detach()
        self._writer.stop(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Writer:
    """Thread that writes batches to the store. It does not keep the ledger alive."""

    def __init__(self, store: Store) -> None:
        self.process = os.getpid()
        self._store = store
        # gevent and eventlet may have replaced only one of threads and queues; the other kind of
        # queue would block the writer, or the event loop, for ever.
        is_native = isinstance(_thread.start_new_thread, BuiltinFunctionType)
        self._jobs: queue.SimpleQueue[_WriteJob | None] = (
            _queue.SimpleQueue() if is_native else queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def put(self, job: _WriteJob) -> None:
        with self._lock:
            if self._stopped:
                raise LedgerError(f"the ledger {self._store.name} is closed")
            if self._thread is None:
                thread = threading.Thread(target=self._serve, name="paychainhq-ledger", daemon=True)
                thread.start()
                self._thread = thread
            self._jobs.put(job)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            waiting, batch = job
            outcome: list[Entry | None] | LedgerError | None
            try:
                outcome = self._store.write(batch.intents, batch.answers)
            except LedgerError as error:
                outcome = error
            except Exception as error:  # noqa: BLE001 (raised in the tasks that wait)
                outcome = LedgerError(f"the ledger {self._store.name} is unusable: {error}")
            with suppress(RuntimeError):  # its loop is closed, with all waiting tasks
                waiting.loop.call_soon_threadsafe(waiting.resolve, batch, outcome)
            del job, waiting, batch, outcome
        self._store.close()

    def stop(self, *, wait: bool = False) -> None:
        if self.process != os.getpid():  # the thread is the parent's
            self._store.close()
            return
        with self._lock:
            self._stopped = True
            if self._thread is None:
                self._store.close()
                return
            self._jobs.put(None)
        if wait:
            self._thread.join()


class _Batch:
    """Batch of intents and answers for one commit, and the futures that wait for it."""

    __slots__ = ("answers", "begun", "finished", "intents")

    def __init__(self) -> None:
        self.intents: list[Intent] = []
        self.answers: list[_Answered] = []
        self.begun: list[asyncio.Future[Entry | None]] = []
        self.finished: list[asyncio.Future[None]] = []


class _LoopQueue:
    """Write queue of one event loop. Entries that arrive during a commit form the next batch."""

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: _Writer) -> None:
        self.loop = loop
        self.writer = writer
        self._batch = _Batch()
        self._is_writing = False
        self._was_shared = False

    def begin(self, intent: Intent) -> asyncio.Future[Entry | None]:
        future: asyncio.Future[Entry | None] = self.loop.create_future()
        self._batch.intents.append(intent)
        self._batch.begun.append(future)
        self._schedule()
        return future

    def finish(self, answered: _Answered) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self.loop.create_future()
        self._batch.answers.append(answered)
        self._batch.finished.append(future)
        self._schedule()
        return future

    def _schedule(self) -> None:
        if not self._is_writing:
            self._is_writing = True
            # No batch window if the last batch had one entry.
            self.loop.call_later(BATCH_WINDOW if self._was_shared else 0, self._flush)

    def _flush(self) -> None:
        batch, self._batch = self._batch, _Batch()
        self._was_shared = len(batch.begun) + len(batch.finished) > 1
        try:
            self.writer.put((self, batch))
        except LedgerError as error:
            self.resolve(batch, error)
        except RuntimeError as error:  # the interpreter starts no more threads
            self.resolve(batch, LedgerError(f"the ledger is not writable: {error}"))

    def resolve(self, batch: _Batch, outcome: list[Entry | None] | LedgerError | None) -> None:
        """Set the results of the waiting futures that are not cancelled."""
        if isinstance(outcome, LedgerError):
            waiting: list[asyncio.Future[Any]] = [*batch.begun, *batch.finished]
            for future in waiting:
                if not future.done():
                    future.set_exception(LedgerError(outcome.message))
        else:
            for begun, known in zip(batch.begun, outcome or [None] * len(batch.begun), strict=True):
                if not begun.done():
                    begun.set_result(known)
            for written in batch.finished:
                if not written.done():
                    written.set_result(None)
        self._is_writing = False
        if self._batch.begun or self._batch.finished:
            self._schedule()
