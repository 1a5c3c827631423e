"""What a forked child does with the connections that it inherits, so that its parent can go on using them.

A child that drops an inherited connection, or only exits, takes the parent's socket out of the event loop's shared epoll instance,
or says good-bye in its TLS session. So the child first points each inherited descriptor at the null device: whatever is finalised
there afterwards, in whatever order, can reach nothing. What the child inherits is never used and never finalised before its end.

A file of SQLite's is worse: its library keeps in memory which locks the process holds, and the child would believe that it holds
its parent's. So such a file is closed before the fork, and parent and child open it anew when they need it.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Protocol
from weakref import WeakSet

_sockets: WeakSet[socket.socket] = WeakSet()
_inheritors: WeakSet[Inheritor] = WeakSet()
_inherited: list[object] = []
_closers: WeakSet[Closer] = WeakSet()
_closed_now: list[Closer] = []


class Inheritor(Protocol):
    """What a forked child inherits with something in it that belongs to the parent."""

    def forget_inherited(self) -> object:
        """Let go of what belongs to the parent, and return it."""
        ...


class Closer(Inheritor, Protocol):
    """What is closed before a fork. In the child, `forget_inherited` takes the place of `after_fork_in_parent`."""

    def before_fork(self) -> None:
        """Wait for what is under way, close, and let nobody begin."""
        ...

    def after_fork_in_parent(self) -> None:
        """Let others begin again."""
        ...


def tracked_socket(address: tuple[Any, ...]) -> socket.socket:
    """Make the socket of a connection, and remember it."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    _sockets.add(made)
    return made


def forget_in_child(inheritor: Inheritor) -> None:
    """Have each forked child let go of what belongs to the parent."""
    _inheritors.add(inheritor)


def close_for_fork(closer: Closer) -> None:
    """Have it closed before each fork."""
    _closers.add(closer)
    _inheritors.add(closer)


def _before() -> None:
    for closer in list(_closers):
        closer.before_fork()
        _closed_now.append(closer)


def _in_parent() -> None:
    while _closed_now:
        _closed_now.pop().after_fork_in_parent()


def _in_child() -> None:
    _closed_now.clear()
    null = os.open(os.devnull, os.O_RDWR)
    for inherited in list(_sockets):
        descriptor = inherited.fileno()
        if descriptor >= 0:
            os.dup2(null, descriptor, inheritable=False)
            _inherited.append(inherited)
    os.close(null)
    _sockets.clear()
    _inherited.extend(inheritor.forget_inherited() for inheritor in list(_inheritors))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
