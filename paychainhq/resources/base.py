"""Base class of all resources."""

from __future__ import annotations

from paychainhq._caller import Caller


class Resource:
    """Group of operations that share a client's connections and options."""

    __slots__ = ("_caller",)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
