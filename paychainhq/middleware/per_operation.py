"""Separate state for each operation, so that the failures of one do not affect the others."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from paychainhq._core.credentials import Auth
from paychainhq._core.operation import Operation

T = TypeVar("T")

# A segment that holds a digit or a placeholder counts as an id.
_ID = re.compile(r"/[^/]*[\d{][^/]*")
_MOST_STATES = 256
_MOST_NAMES = 1024


class PerOperation(Generic[T]):
    """A bounded mapping from operations to their states.

    Paths that differ only in their ids share one state. Beyond 256 states, all further paths of one
    credential and one method share one, which bounds the memory for the paths of `pay.request`.

    Args:
        make: Factory of the state of a new operation.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._states: dict[tuple[Auth | None, str, str], T] = {}
        self._by_name: dict[tuple[str, Auth | None], T] = {}

    def of(self, operation: Operation[Any]) -> T:
        """Return the state of an operation."""
        name = operation.name, operation.auth
        state = self._by_name.get(name)
        if state is None:
            if len(self._by_name) >= _MOST_NAMES:
                self._by_name.clear()
            state = self._by_name[name] = self._find(operation)
        return state

    def states(self) -> dict[str, list[T]]:
        """Return the states by the method and path of their operations, for any thread."""
        found: dict[str, list[T]] = {}
        for (_, method, path), state in list(self._states.items()):
            found.setdefault(f"{method} {path or '*'}", []).append(state)
        return found

    def _find(self, operation: Operation[Any]) -> T:
        key = operation.auth, operation.method, _ID.sub("/*", operation.path)
        if key not in self._states:
            if len(self._states) >= _MOST_STATES:
                key = operation.auth, operation.method, ""
            if key not in self._states:
                self._states[key] = self._make()
        return self._states[key]
