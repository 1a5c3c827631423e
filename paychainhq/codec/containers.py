"""Decoders of arrays, of unions and open enums, and of one field of an object."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, get_args, get_origin

from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    Converter,
    IterableValidationError,
    IterableValidationNote,
)

from paychainhq._core.validators import Money
from paychainhq.codec.scalars import REFUSED, Hook, json_object, mismatch, missing


def structure_inside(data: Any, name: str, hook: Hook, type_: Any) -> Any:
    """Structure one field of an object."""
    json_object(data, dict)
    try:
        return hook(data[name], type_) if name in data else missing()
    except REFUSED as error:
        problems = [at(name, type_, error)]
    raise ClassValidationError("while structuring a field", problems, dict)  # pyright: ignore[reportCallIssue]


def at(place: str | int, type_: Any, error: Exception) -> Exception:
    """Add cattrs's note of the place to an error, a field or an index, and return the error."""
    note: Any = IterableValidationNote if isinstance(place, int) else AttributeValidationNote
    error.add_note(note(f"at {place}", place, type_))
    return error


def without_none(type_: Any) -> Any:
    """Return a union without its None; another type unchanged."""
    if not is_union(type_):
        return type_
    parts = [part for part in get_args(type_) if part is not types.NoneType]
    return typing.Union[tuple(parts)]  # noqa: UP007 (their number varies)


def is_union(type_: Any) -> bool:
    return get_origin(type_) in (typing.Union, types.UnionType)


class OpenEnum:
    """Hook of `Enum | str` and `Literal[...] | str`: an unknown text stays a text.

    Attributes:
        known: Function that maps a text to its member, or returns its second argument.
    """

    def __init__(self, type_: Any) -> None:
        enums = [part for part in get_args(type_) if is_class(part, StrEnum)]
        self.known = {member.value: member for enum in enums for member in enum}.get

    def __call__(self, value: Any, _: Any) -> Any:
        return self.known(value, value) if value.__class__ is str else mismatch("a string", value)


def array(type_: Any, converter: Converter) -> Hook:
    of = get_args(type_)[0]
    item = converter.get_structure_hook(of)

    def structure_array(value: Any, _: Any) -> Any:
        if value.__class__ is not list:
            mismatch("an array", value)
        try:
            return tuple([item(element, of) for element in value])
        except REFUSED:
            pass
        problems = []
        for index, element in enumerate(value):
            try:
                item(element, of)
            except REFUSED as error:
                problems.append(at(index, of, error))
        raise IterableValidationError("while structuring an array", problems, type_)  # pyright: ignore[reportCallIssue]

    return structure_array


def is_array(type_: Any) -> bool:
    return get_origin(type_) is tuple and get_args(type_)[1:] == (...,)


def is_mapping(type_: Any) -> bool:
    """Return whether a type is `Mapping[str, Any]` or the like, whose values stay as they are."""
    return get_origin(type_) is Mapping and get_args(type_)[1] in (Any, object)


def is_open_enum(type_: Any) -> bool:
    parts = get_args(type_)
    return (
        is_union(type_)
        and str in parts
        and all(
            part is str or is_class(part, StrEnum) or get_origin(part) is Literal for part in parts
        )
    )


def is_optional(type_: Any) -> bool:
    """Return whether a type is one of the unions above, or None."""
    rest = without_none(type_)
    return rest != type_ and (rest == Money or is_open_enum(rest))


def optional(type_: Any, converter: Converter) -> Hook:
    rest = without_none(type_)
    hook = converter.get_structure_hook(rest)
    return lambda value, _: None if value is None else hook(value, rest)


def is_class(type_: Any, base: type) -> bool:
    return isinstance(type_, type) and issubclass(type_, base)
