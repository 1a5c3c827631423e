"""Checks of JSON that a caller passes as it is: an invoice's metadata, the body of a plain
request.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from paychainhq._core.validators import content, invalid

_EXACT = frozenset({str, int, bool, type(None)})


def json_object(name: str, value: object) -> dict[str, Any]:
    """Check a mapping that JSON can hold as it is: text keys, no NaN, nothing that only Python has.

    Its keys are sorted, so that the same mapping is always the same bytes.
    """
    if not isinstance(value, Mapping):
        invalid(name, f"must be a mapping, not {type(value).__name__}")
    try:
        checked: dict[str, Any] = plain(name, dict(value))
    except RecursionError:
        invalid(name, "is nested too deeply")
    try:
        orjson.dumps(checked)
    except TypeError:  # a long integer, deep nesting, or half a surrogate pair
        dump_plain(name, checked)
    return checked


def plain(name: str, value: object) -> Any:
    """Copy a value that is JSON as it is, with each part reduced to JSON's own types, and keys
    sorted.
    """
    if type(value) in _EXACT:
        return value
    if isinstance(value, dict):
        items = {content(key): item for key, item in value.items()}
        if not all(isinstance(key, str) for key in items):
            invalid(name, "holds a key that is not a string, which JSON would change")
        if len(items) < len(value):
            invalid(name, "holds two keys that JSON cannot tell apart")
        return {key: plain(name, items[key]) for key in sorted(items)}
    if isinstance(value, list):
        return [plain(name, item) for item in value]
    if isinstance(value, str):
        return content(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        number = float.__float__(value)
        return (
            number if math.isfinite(number) else invalid(name, f"holds {number}, which is no JSON")
        )
    return invalid(name, f"holds a {type(value).__name__}, which is no JSON")


def dump_plain(name: str, value: object) -> bytes:
    """Return plain JSON as bytes; anything else is refused."""
    try:
        return json.dumps(
            value, allow_nan=False, separators=(",", ":"), ensure_ascii=False
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        invalid(name, f"is not plain JSON: {error}")
