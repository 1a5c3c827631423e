"""Traversal of parsed JSON and models."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from paychainhq.codec import from_json
from paychainhq.errors import DecodeError
from paychainhq.models import Model
from tests.support.samples import BY_NAME, SAMPLES

Path = tuple[str | int, ...]

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.operation)

UNKNOWN = {"zzNew": {"deep": [1, None, {"x": "y"}]}, "zzNull": None, "zz_snake": "text"}


def objects_in(data: Any, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every object in parsed JSON, with its path."""
    if isinstance(data, dict):
        yield path, data
    steps = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for step, item in steps:
        yield from objects_in(item, (*path, step))


def keys_in(data: Any) -> list[Path]:
    """Return the path of every key in parsed JSON."""
    return [(*path, key) for path, found in objects_in(data) for key in found]


def changed(data: Any, path: Path, change: Callable[[Any, Any], None]) -> Any:
    """Return a copy of parsed JSON with `change(container, last step)` applied at a path."""
    result = copy.deepcopy(data)
    container = result
    for step in path[:-1]:
        container = container[step]
    change(container, path[-1])
    return result


def without(data: Any, path: Path) -> Any:
    return changed(data, path, lambda container, step: container.pop(step))


def replaced(data: Any, path: Path, value: Any) -> Any:
    return changed(data, path, lambda container, step: container.__setitem__(step, value))


def written(path: Path) -> str:
    """Return a path in the notation of errors."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def first_spelling(path: Path) -> Path:
    """Return the path of a missing field in an error, for a field with several wire names."""
    return (
        *path[:-1],
        {"paymentMethods": "data", "plans": "data", "amountUsd": "amountUSD"}.get(
            str(path[-1]), path[-1]
        ),
    )


def models_in(value: Any) -> Iterator[Model]:
    """Yield a model and all models inside it."""
    if isinstance(value, tuple):
        for item in value:
            yield from models_in(item)
    if isinstance(value, Model):
        yield value
        for name in public_fields(value):
            yield from models_in(getattr(value, name))


def public_fields(model: Model) -> list[str]:
    return [field.name for field in attrs.fields(type(model)) if not field.name.startswith("_")]


def decoded(name: str) -> Any:
    return from_json(BY_NAME[name].type, BY_NAME[name].response)


def model_or_error(type_: Any, data: Any) -> Any:
    """Return the decoded model, or the DecodeError."""
    try:
        return from_json(type_, data)
    except DecodeError as error:
        return error


def refusal(type_: Any, data: Any) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        from_json(type_, data)
    return caught.value


def with_unknown_fields(data: Any) -> Any:
    """Return a copy of parsed JSON with unknown fields in every object."""
    result = copy.deepcopy(data)
    for _, found in list(objects_in(result)):
        found.update(copy.deepcopy(UNKNOWN))
    return result
