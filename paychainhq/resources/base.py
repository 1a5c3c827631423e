"""What all resources have in common."""

from __future__ import annotations

from paychainhq.calls import Caller


class Resource:
    """A group of operations, bound to a client's connections and options."""

    __slots__ = ("_caller",)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
