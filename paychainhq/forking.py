"""What a forked child does with the connections that it inherits, so that its parent can go on using them.

A child that drops an inherited connection, or only exits, takes the parent's socket out of the event loop's shared epoll instance,
or says good-bye in its TLS session. So the child first points each inherited descriptor at the null device: whatever is finalised
there afterwards, in whatever order, can reach nothing. What the child inherits is never used and never finalised before its end.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any
from weakref import WeakMethod, WeakSet

_sockets: WeakSet[socket.socket] = WeakSet()
_forgetting: set[WeakMethod[Callable[[], object]]] = set()
_inherited: list[object] = []


def tracked_socket(address: tuple[Any, ...]) -> socket.socket:
    """Make the socket of a connection, and remember it."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    _sockets.add(made)
    return made


def forget_in_child(forget: Callable[[], object]) -> None:
    """Have a bound method called in each forked child; it lets go of what belongs to the parent, and returns it."""
    _forgetting.add(WeakMethod(forget, _forgetting.discard))


def _in_child() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for inherited in list(_sockets):
        descriptor = inherited.fileno()
        if descriptor >= 0:
            os.dup2(null, descriptor, inheritable=False)
            _inherited.append(inherited)
    os.close(null)
    _sockets.clear()
    for reference in list(_forgetting):
        forget = reference()
        if forget is not None:
            _inherited.append(forget())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
