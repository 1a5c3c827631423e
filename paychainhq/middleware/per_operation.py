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
        self._known: dict[Operation[Any], T] = {}
        self._by_name: dict[tuple[str, Auth | None], T] = {}
        self._named: dict[str, T] = {}

    def of(self, operation: Operation[Any]) -> T:
        """Return the state of an operation."""
        state = self._known.get(operation)  # faster than by the name
        if state is None:
            name = operation.name, operation.auth
            state = self._by_name.get(name)
            if state is None:
                if len(self._by_name) >= _MOST_NAMES:
                    self._by_name.clear()
                state = self._by_name[name] = self._find(operation)
            if operation.is_documented and len(self._known) < _MOST_NAMES:
                self._known[operation] = state
        return state

    def states(self) -> dict[str, T]:
        """Return the states by the names of their first operations, for any thread.

        An operation of `pay.request` has its method and its path, without ids.
        """
        return dict(self._named)

    def _find(self, operation: Operation[Any]) -> T:
        key = operation.auth, operation.method, _ID.sub("/*", operation.path)
        if key not in self._states:
            if len(self._states) >= _MOST_STATES:
                key = operation.auth, operation.method, ""
            if key not in self._states:
                state = self._states[key] = self._make()
                _, method, path = key
                name = operation.name if operation.is_documented else f"{method} {path or '/*'}"
                self._named.setdefault(name, state)
        return self._states[key]
