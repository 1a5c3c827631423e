"""Fork handlers: parent and child each have their own connections and ledgers.

A child that finalises an inherited connection, even at its exit, removes the parent's socket from
the epoll instance that both share, or sends TLS close_notify. So the child first redirects each
inherited descriptor to the null device, and keeps the inherited objects until its end, unused.

SQLite keeps the locks of a process in memory, so a child would believe that it holds the locks of
its parent. So SQLite files are closed before a fork, and reopened on demand in parent and child.

A server such as uWSGI calls C's `fork()`, for which Python runs no hook. The child then detects the
fork by its process id, when it first uses or finalises an inherited object.
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
    """Object of which a forked child inherits resources of the parent."""

    def forget_inherited(self) -> object:
        """Release the resources of the parent, and return them."""
        ...


class Closer(Inheritor, Protocol):
    """Object that is closed before a fork; in the child, only `forget_inherited` is called."""

    def before_fork(self) -> None:
        """Wait for operations in progress, close, and block new ones."""
        ...

    def after_fork_in_parent(self) -> None:
        """Permit operations again."""
        ...


# In order of creation. Unlike a `WeakSet`, which cannot be read while another thread adds to it,
# the references are read in one step.
_numbers = count()
_sockets: WeakValueDictionary[int, socket.socket] = WeakValueDictionary()
_inheritors: WeakValueDictionary[int, Inheritor] = WeakValueDictionary()
_closers: WeakValueDictionary[int, Closer] = WeakValueDictionary()
_inherited: list[object] = []

# Held during a fork: one thread forks at a time, and no closer is created meanwhile. Reentrant,
# since a signal handler may fork too.
_gate = RLock()
_closed: list[list[Closer]] = []
_process = os.getpid()
_late: dict[int, Any] = {}


def tracked_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a new socket, which forked children redirect."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    _sockets[next(_numbers)] = made
    return made


def forget_in_child(inheritor: Inheritor) -> None:
    """Register an object whose inherited resources each forked child releases."""
    _inheritors[next(_numbers)] = inheritor


def close_for_fork(closer: Closer) -> None:
    """Register an object that is closed before each fork.

    To be called before the object is opened: the call waits for the end of a fork in progress.
    """
    with _gate:
        _closers[next(_numbers)] = closer
    forget_in_child(closer)


def notice_fork() -> None:
    """Release the resources of the parent if this is a child for which no hook ran."""
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
    # A signal handler that raised in `_before` has skipped a step.
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
