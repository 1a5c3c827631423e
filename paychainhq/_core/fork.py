"""Measures that let parent and child go on after a fork, each with connections and ledgers of its
own.

A child that drops an inherited connection, or only exits, takes the parent's socket out of the
event loop's shared epoll instance, or says good-bye in its TLS session. So the child first points
each inherited descriptor at the null device: whatever is finalised there afterwards, in whatever
order, can reach nothing. What the child inherits is never used and never finalised before its end.

A file of SQLite's is worse: its library keeps in memory which locks the process holds, and the
child would believe that it holds its parent's. So such a file is closed before the fork, and parent
and child open it anew when they need it.

A server such as uWSGI forks by C's `fork()`, and Python runs no hook then. The child finds that out
by its process id, when it first uses or drops something that it has inherited.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from itertools import count
from threading import RLock
from typing import Any, Protocol
from weakref import WeakValueDictionary


class Inheritor(Protocol):
    """Object that a forked child inherits with something in it that belongs to the parent."""

    def forget_inherited(self) -> object:
        """Let go of what belongs to the parent, and return it."""
        ...


class Closer(Inheritor, Protocol):
    """Object that is closed before a fork. In the child, `forget_inherited` takes the place of
    `after_fork_in_parent`.
    """

    def before_fork(self) -> None:
        """Wait for what is under way, close, and let nobody begin."""
        ...

    def after_fork_in_parent(self) -> None:
        """Let others begin again."""
        ...


# In the order in which they were made. Unlike a `WeakSet`, which cannot be read while another
# thread adds to it, the references are read in one step.
_numbers = count()
_sockets: WeakValueDictionary[int, socket.socket] = WeakValueDictionary()
_inheritors: WeakValueDictionary[int, Inheritor] = WeakValueDictionary()
_closers: WeakValueDictionary[int, Closer] = WeakValueDictionary()
_inherited: list[object] = []

# Held during a fork: one thread forks at a time, and nobody makes a closer meanwhile. Reentrant: a
# signal handler may fork too.
_gate = RLock()
_closed: list[list[Closer]] = []
_process = os.getpid()
_late: dict[int, Any] = {}


def tracked_socket(address: tuple[Any, ...]) -> socket.socket:
    """Make the socket of a connection, and remember it."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    _sockets[next(_numbers)] = made
    return made


def forget_in_child(inheritor: Inheritor) -> None:
    """Have each forked child let go of what belongs to the parent."""
    _inheritors[next(_numbers)] = inheritor


def close_for_fork(closer: Closer) -> None:
    """Have it closed before each fork. To be called before it is opened: this waits for the end of
    a fork that has begun.
    """
    with _gate:
        _closers[next(_numbers)] = closer
    forget_in_child(closer)


def notice_fork() -> None:
    """Let go of what belongs to the parent, if this is a child that Python was not told of."""
    process = os.getpid()
    if process != _process:
        with _late.setdefault(process, RLock()):
            if process != _process:
                _in_child()


def _before() -> None:
    _gate.acquire()
    closed: list[Closer] = []
    _closed.append(closed)
    for reference in _closers.valuerefs():
        closer = reference()
        if closer is not None:
            closed.append(closer)
            closer.before_fork()


def _in_parent() -> None:
    # A signal handler that raised in `_before` has left out a step.
    for closer in _closed.pop() if _closed else ():
        with suppress(RuntimeError):
            closer.after_fork_in_parent()
    with suppress(RuntimeError):
        _gate.release()


def _in_child() -> None:
    global _gate, _process  # noqa: PLW0603
    _gate = RLock()
    _closed.clear()
    null = os.open(os.devnull, os.O_RDWR)
    for inherited in list(_sockets.values()):
        descriptor = inherited.fileno()
        if descriptor >= 0:
            os.dup2(null, descriptor, inheritable=False)
            _inherited.append(inherited)
    os.close(null)
    _sockets.clear()
    _inherited.extend(inheritor.forget_inherited() for inheritor in list(_inheritors.values()))
    _process = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
