"""Routing: from method and path to an operation of the operation table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from paychainhq._core.operation import Operation
from paychainhq.gateway.operations import OPERATIONS as GATEWAY_OPERATIONS
from paychainhq.operations import OPERATIONS

GATEWAY = "/gateway"
"""Prefix of the gateway on the same server."""

Segments = tuple[str, ...]
Route = tuple[Operation[Any], Mapping[str, str]]
"""Operation, and the values of the placeholders in its path."""


def _is_placeholder(segment: str) -> bool:
    return segment.startswith("{")


def _routes() -> dict[tuple[str, int], list[tuple[Segments, Operation[Any]]]]:
    routes: dict[tuple[str, int], list[tuple[Segments, Operation[Any]]]] = {}
    paths = [(operation.path, operation) for operation in OPERATIONS.values()]
    paths += [(GATEWAY + operation.path, operation) for operation in GATEWAY_OPERATIONS.values()]
    for path, operation in paths:
        segments = tuple(path.split("/"))
        routes.setdefault((operation.method, len(segments)), []).append((segments, operation))
    for candidates in routes.values():
        # A literal segment precedes a placeholder: /businesses/lookup/x is not a resource of a
        # business named "lookup".
        candidates.sort(key=lambda route: [_is_placeholder(segment) for segment in route[0]])
    return routes


_ROUTES = _routes()


def find_route(method: str, raw_path: str) -> Route | None:
    """Return the operation of a request and the values in its path, or None without a route."""
    given = raw_path.split("/")
    for segments, operation in _ROUTES.get((method, len(given)), ()):
        if all(
            segment if _is_placeholder(expected) else segment == expected
            for expected, segment in zip(segments, given, strict=True)
        ):
            return operation, {
                expected[1:-1]: unquote(segment)
                for expected, segment in zip(segments, given, strict=True)
                if _is_placeholder(expected)
            }
    return None
