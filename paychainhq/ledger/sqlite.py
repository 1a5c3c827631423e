"""Ledger in an SQLite file: what many tasks record at the same time is one transaction, written in
a thread of its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from paychainhq._core import validators
from paychainhq.errors import ConfigurationError, LedgerError
from paychainhq.ledger import rows
from paychainhq.ledger.base import Answer, Entry, Intent, State
from paychainhq.ledger.claims import FileClaims
from paychainhq.ledger.file import LedgerFile

_Job = tuple["_Desk", "_Group"]
_Answered = tuple[Intent, Answer]

# Seconds that a group waits for more: a transaction costs as much as ten entries.
_GATHERING = 0.001


class SQLiteLedger:
    """Ledger in an SQLite file: it survives the death of the process, and several processes may
    share it.

    It may be used by any number of tasks, event loops and threads. Each forked child opens the file
    anew.

    Args:
        path: The file; it is made, readable by its owner only, if it is not there. It must be on a
            disk of this machine.
        durable: Survive a power cut as well: each group of entries is forced to the disk, which
            takes milliseconds.
        resend_within: An unfinished request that is older than this many seconds is not sent again.

    Raises:
        LedgerError: The file cannot be opened, or is not a ledger.
    """

    # Assumption: no document says how long the server keeps a key.
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durable: bool = False,
        resend_within: float = 86_400.0,
    ) -> None:
        if os.fspath(path) in ("", ":memory:"):
            raise ConfigurationError(
                "path must name a file; for a ledger in memory, take MemoryLedger"
            )
        self.resend_within = validators.seconds("resend_within", resend_within, zero=True)
        self._file = LedgerFile(os.fspath(path), durable=durable)
        self._writer = _Writer(self._file)
        self._desks: dict[asyncio.AbstractEventLoop, _Desk] = {}
        self._finalizer = weakref.finalize(self, self._writer.stop)

    @property
    def claims(self) -> FileClaims:
        """The claims that a webhook `Receiver` keeps in the same file; they keep this ledger
        alive.
        """
        return FileClaims(self._file, self)

    async def begin(self, intent: Intent) -> Entry | None:
        """Record an intent; returns the entry if there is one that was not refused."""
        return await self._desk().begin(intent)

    async def finish(self, intent: Intent, answer: Answer) -> None:
        """Record the answer to an intent, unless the rules say that it changes nothing; returns
        once it is written.

        It is written even if the task that waits for it is cancelled meanwhile.
        """
        await self._desk().finish((intent, answer))

    def _desk(self) -> _Desk:
        loop = asyncio.get_running_loop()
        desk = self._desks.get(loop)
        if desk is None or desk.writer.process != os.getpid():
            if (
                self._writer.process != os.getpid()
            ):  # what was under way when this process was forked is the parent's
                self._finalizer.detach()
                self._writer = _Writer(self._file)
                self._finalizer = weakref.finalize(self, self._writer.stop)
            self._desks = {loop: desk for loop, desk in self._desks.items() if not loop.is_closed()}
            desk = self._desks[loop] = _Desk(loop, self._writer)
        return desk

    def entries(self, state: State | None = None) -> Iterator[Entry]:
        """Return all entries, or those in one state, oldest first. This reads the file in the
        thread that calls it.
        """
        yield from rows.read(self._file, state)  # a generator of its own keeps the ledger alive

    def compact(self, *, older_than: float) -> int:
        """Remove what was answered longer ago than `older_than` seconds, and return how many
        entries that were.

        What is unfinished stays, however old it is. The room is used again; the file does not
        shrink. Webhook events that were done before that are forgotten too, and would be handled
        again: the API repeats them for less than a day.
        """
        before = time.time() - validators.seconds("older_than", older_than, zero=True)
        self.claims.compact(before)
        return rows.compact(self._file, before)

    def forget(self, operation: str, key: str) -> None:
        """Remove an entry, once a person has made sure that the request was not taken.

        Raises:
            LookupError: There is none.
        """
        if not rows.forget(self._file, operation, key):
            raise LookupError(f"the ledger has no entry of {operation} under the key {key}")

    def close(self) -> None:
        """Write what is waiting, and close the file; it may be called twice. A ledger that is
        collected closes by itself.
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

    def __repr__(self) -> str:
        return f"SQLiteLedger({self._file.path!r})"


class _Writer:
    """Thread that writes groups to the file, one after the other; it does not keep the ledger
    alive.
    """

    def __init__(self, file: LedgerFile) -> None:
        self.process = os.getpid()
        self._file = file
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def put(self, job: _Job) -> None:
        with self._lock:
            if self._stopped:
                raise LedgerError(f"the ledger {self._file.path} is closed")
            if self._thread is None:
                thread = threading.Thread(target=self._serve, name="paychainhq-ledger", daemon=True)
                thread.start()
                self._thread = thread
            self._jobs.put(job)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            desk, group = job
            outcome: list[Entry | None] | LedgerError | None
            try:
                outcome = rows.write(self._file, group.intents, group.answers)
            except LedgerError as error:
                outcome = error
            with suppress(RuntimeError):  # its loop is closed: nobody waits
                desk.loop.call_soon_threadsafe(desk.give, group, outcome)
            del job, desk, group, outcome
        self._file.close()

    def stop(self, *, wait: bool = False) -> None:
        if self.process != os.getpid():  # the thread is the parent's
            self._file.close()
            return
        with self._lock:
            self._stopped = True
            if self._thread is None:
                self._file.close()
                return
            self._jobs.put(None)
        if wait:
            self._thread.join()


class _Group:
    """Group of intents and answers that are written in one transaction, and the futures that wait
    for it.
    """

    __slots__ = ("answers", "begun", "finished", "intents")

    def __init__(self) -> None:
        self.intents: list[Intent] = []
        self.answers: list[_Answered] = []
        self.begun: list[asyncio.Future[Entry | None]] = []
        self.finished: list[asyncio.Future[None]] = []


class _Desk:
    """Desk of one event loop: its tasks hand in intents and answers; what comes while a group is
    written is the next one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: _Writer) -> None:
        self.loop = loop
        self.writer = writer
        self._group = _Group()
        self._busy = False
        self._crowded = False

    def begin(self, intent: Intent) -> asyncio.Future[Entry | None]:
        future: asyncio.Future[Entry | None] = self.loop.create_future()
        self._group.intents.append(intent)
        self._group.begun.append(future)
        self._call()
        return future

    def finish(self, answered: _Answered) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self.loop.create_future()
        self._group.answers.append(answered)
        self._group.finished.append(future)
        self._call()
        return future

    def _call(self) -> None:
        if not self._busy:
            self._busy = True
            # Whoever was alone the last time does not wait for others.
            self.loop.call_later(_GATHERING if self._crowded else 0, self._hand_over)

    def _hand_over(self) -> None:
        group, self._group = self._group, _Group()
        self._crowded = len(group.begun) + len(group.finished) > 1
        try:
            self.writer.put((self, group))
        except LedgerError as error:
            self.give(group, error)
        except RuntimeError as error:  # no thread can be started any more
            self.give(group, LedgerError(f"the ledger cannot be written: {error}"))

    def give(self, group: _Group, outcome: list[Entry | None] | LedgerError | None) -> None:
        """Wake those who wait, but for those that were cancelled."""
        if isinstance(outcome, LedgerError):
            waiting: list[asyncio.Future[Any]] = [*group.begun, *group.finished]
            for future in waiting:
                if not future.done():
                    future.set_exception(LedgerError(outcome.message))
        else:
            for begun, known in zip(group.begun, outcome or [None] * len(group.begun), strict=True):
                if not begun.done():
                    begun.set_result(known)
            for written in group.finished:
                if not written.done():
                    written.set_result(None)
        self._busy = False
        if self._group.begun or self._group.finished:
            self._call()
