"""Checks of JSON that a caller passes as it is: an invoice's metadata, the body of a plain request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from paychainhq.arguments import refuse


def json_object(name: str, value: object) -> dict[str, Any]:
    """Check a mapping that JSON can hold as it is: text keys, no NaN, nothing that only Python has.

    Its keys are sorted, so that the same mapping is always the same bytes.
    """
    if not isinstance(value, Mapping):
        refuse(name, f"must be a mapping, not {type(value).__name__}")
    try:
        checked: dict[str, Any] = plain(name, dict(value))
    except RecursionError:
        refuse(name, "is nested too deeply")
    dump_plain(name, checked)
    return checked


def plain(name: str, value: object) -> Any:
    """Copy a value that is JSON as it is, with each part reduced to JSON's own types, and keys sorted."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, list):
        return [plain(name, item) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            refuse(name, "holds a key that is not a string, which JSON would change")
        items = {str.__str__(key): item for key, item in value.items()}
        if len(items) < len(value):
            refuse(name, "holds two keys that JSON cannot tell apart")
        return {key: plain(name, items[key]) for key in sorted(items)}
    return refuse(name, f"holds a {type(value).__name__}, which is no JSON")


def dump_plain(name: str, value: object) -> bytes:
    """Return plain JSON as bytes; anything else is refused."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        refuse(name, f"is not plain JSON: {error}")
