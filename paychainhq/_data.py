"""Results as data: plain JSON values, and JSON text."""

from __future__ import annotations

import json
from typing import Any


class Data:
    """Base of results that can be converted to plain JSON."""

    __slots__ = ()

    def to_dict(self) -> Any:
        """Return the value in plain JSON types, with the names of the API."""
        raise NotImplementedError

    def to_json(self) -> str:
        """Return `to_dict()` as JSON text in ASCII, with null for an infinite number."""
        data = self.to_dict()
        try:
            return _written(data)
        except ValueError:  # JSON has no infinity
            return _written(json.loads(json.dumps(data), parse_constant=lambda _: None))


def _written(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False)
