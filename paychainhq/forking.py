"""What a forked child does with the connections that it inherits, so that its parent can go on using them.

A child that drops an inherited connection, or only exits, takes the parent's socket out of the event loop's shared epoll instance,
or says good-bye in its TLS session. So the child first points each inherited descriptor at the null device: whatever is finalised
there afterwards, in whatever order, can reach nothing. What the child inherits is never used and never finalised before its end.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Protocol
from weakref import WeakSet

_sockets: WeakSet[socket.socket] = WeakSet()
_inheritors: WeakSet[Inheritor] = WeakSet()
_inherited: list[object] = []


class Inheritor(Protocol):
    """What a forked child inherits with something in it that belongs to the parent."""

    def forget_inherited(self) -> object:
        """Let go of what belongs to the parent, and return it."""
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


def _in_child() -> None:
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
    os.register_at_fork(after_in_child=_in_child)
