"""Checks of JSON from a caller: an invoice's metadata, the body of a plain request."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from paychainhq._core.validators import content, invalid

_EXACT = frozenset({str, int, bool, type(None)})


def json_object(name: str, value: object) -> dict[str, Any]:
    """Check a mapping that JSON represents without change: text keys, no NaN, no Python types.

    The keys are sorted, so that equal mappings become equal bytes.
    """
    if not isinstance(value, Mapping):
        invalid(name, f"must be a mapping, not {type(value).__name__}")
    try:
        checked: dict[str, Any] = plain(name, dict(value))
    except RecursionError:
        invalid(name, "is nested too deeply")
    try:
        orjson.dumps(checked)
    except TypeError:  # a long integer, deep nesting, or a lone surrogate
        dump_plain(name, checked)
    return checked


def plain(name: str, value: object) -> Any:
    """Return a copy of a JSON value in exact built-in types, with sorted keys."""
    if type(value) in _EXACT:
        return value
    if isinstance(value, dict):
        items = {content(key): item for key, item in value.items()}
        if not all(isinstance(key, str) for key in items):
            invalid(name, "has a key that is not a string: JSON keys are strings")
        if len(items) < len(value):
            invalid(name, "has two keys that are equal in JSON")
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
            number
            if math.isfinite(number)
            else invalid(name, f"contains {number}, which JSON cannot represent")
        )
    return invalid(name, f"contains a {type(value).__name__}, which JSON cannot represent")


def dump_plain(name: str, value: object) -> bytes:
    """Return plain JSON as bytes; raises `InvalidArgumentError` for any other value."""
    try:
        return json.dumps(
            value, allow_nan=False, separators=(",", ":"), ensure_ascii=False
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        invalid(name, f"is not plain JSON: {error}")
