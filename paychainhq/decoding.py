"""How models are made of parsed JSON: one decoder for each, generated as straight-line code when the model is first met.

A decoder fills a mutable twin of the class and then turns it into the frozen class; attrs' own frozen `__init__` costs as much
again as all the checks.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

import attrs

from paychainhq.credentials import Secret
from paychainhq.models.base import Model, cached, field_names

Decoder = Callable[[Any], Any]

_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_DIGITS = re.compile(r"-?[0-9]{1,200}")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_LONGEST_DECIMAL = 200


class Number(float):
    """A JSON number that remembers how it was written."""

    __slots__ = ("text",)
    text: str

    @classmethod
    def parse(cls, text: str) -> Number:
        number = cls(text)
        number.text = text
        return number

    def __reduce__(self) -> tuple[Any, ...]:
        return (Number.parse, (self.text,))


_JSON_NAMES = {str: "string", int: "number", float: "number", Number: "number", bool: "boolean", list: "array", dict: "object"}


class Mismatch(Exception):  # noqa: N818 (it never leaves this package)
    """A value is not what its place asks for; `path` is filled from the inside out."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path: list[str | int] = []

    def json_path(self) -> str:
        return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in reversed(self.path))


def _mismatch(wanted: str, value: object) -> NoReturn:
    got = "null" if value is None else f"a JSON {_JSON_NAMES.get(type(value), type(value).__name__)}"
    raise Mismatch(f"should be {wanted}, and is {got}")


def _missing() -> NoReturn:
    raise Mismatch("is missing")


# --- single values ---


def _string(value: Any) -> Any:
    return value if isinstance(value, str) else _mismatch("a string", value)


def _secret(value: Any) -> Any:
    return Secret(_string(value))


def _boolean(value: Any) -> Any:
    return value if value is True or value is False else _mismatch("a boolean", value)


def _integer(value: Any) -> Any:
    return value if value.__class__ is int else _mismatch("an integer", value)


def as_digits(value: Any) -> Any:
    if value.__class__ is str and _DIGITS.fullmatch(value):
        return int(value)
    return value if value.__class__ is int else _mismatch("a string of digits", value)


def _decimal(value: Any) -> Any:
    if value.__class__ is str and _DECIMAL.fullmatch(value) and len(value) <= _LONGEST_DECIMAL:
        return Decimal(value)
    _mismatch("a decimal string", value)


def as_number(value: Any) -> Any:
    if value.__class__ is int:
        return Decimal(value)
    text = value.text if value.__class__ is Number else repr(value) if value.__class__ is float else ""
    if len(text) <= _LONGEST_DECIMAL and _NUMBER.fullmatch(text):
        return Decimal(text)
    return _decimal(value)


def _datetime(value: Any) -> Any:
    if value.__class__ is str:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment
    _mismatch("a time with its zone", value)


def _object(value: Any) -> Any:
    return value if value.__class__ is dict else _mismatch("an object", value)


def _anything(value: Any) -> Any:
    return value


_SCALARS: dict[Any, Decoder] = {
    str: _string,
    Secret: _secret,
    bool: _boolean,
    int: _integer,
    Decimal: _decimal,
    datetime: _datetime,
    Any: _anything,
}


# --- arrays, enums, models ---


def _open_enum(enum: type[StrEnum]) -> Decoder:
    members = {member.value: member for member in enum}

    def decode_enum(value: Any) -> Any:
        if value.__class__ is not str:
            _mismatch("a string", value)
        return members.get(value, value)

    return decode_enum


def _array(item: Decoder) -> Decoder:
    def decode_array(value: Any) -> Any:
        if value.__class__ is not list:
            _mismatch("an array", value)
        try:
            return tuple([item(element) for element in value])
        except Mismatch:
            pass
        for index, element in enumerate(value):
            try:
                item(element)
            except Mismatch as mismatch:
                mismatch.path.append(index)
                raise
        raise AssertionError("unreachable")  # pragma: no cover

    return decode_array


@cached
def decoder(type_: Any) -> Decoder:
    """Return the function that decodes a type, None not allowed."""
    if type_ in _SCALARS:
        return _SCALARS[type_]
    if isinstance(type_, TypeVar):
        return _anything
    origin, args = typing.get_origin(type_), typing.get_args(type_)
    if origin in (typing.Union, types.UnionType):
        real = [arg for arg in args if arg is not type(None)]
        enums = [arg for arg in real if isinstance(arg, type) and issubclass(arg, StrEnum)]
        return _open_enum(enums[0]) if enums else decoder(real[0])
    if origin is tuple:
        return _array(decoder(args[0]))
    if origin is not None and issubclass(origin, Mapping):
        return _object
    return _generate(origin or type_, args)


@attrs.frozen
class Field:
    """One field of a model, as the decoder sees it."""

    name: str
    names: tuple[str, ...]
    decode: Decoder
    required: bool
    nullable: bool


@cached
def model_fields(cls: type[Model], args: tuple[Any, ...] = ()) -> tuple[Field, ...]:
    hints = typing.get_type_hints(cls)
    variables = dict(zip(getattr(cls, "__parameters__", ()), args, strict=False))
    fields = []
    for field in attrs.fields(cls):
        if field.name.startswith("_"):
            continue
        hint = hints[field.name]
        if variables and typing.get_origin(hint) is tuple:
            item = typing.get_args(hint)[0]
            hint = types.GenericAlias(tuple, (variables.get(item, item), ...))
        decode_field = as_digits if field.metadata.get("digits") else as_number if field.metadata.get("number") else decoder(hint)
        required = field.default is attrs.NOTHING
        nullable = not required and field.name not in cls._not_null
        fields.append(Field(field.name, field_names(cls)[field.name], decode_field, required, nullable))
    return tuple(fields)


def _generate(cls: type[Model], args: tuple[Any, ...]) -> Decoder:
    """Write and compile the decoder of one model."""
    fields = model_fields(cls, args)
    scope: dict[str, Any] = {"Mismatch": Mismatch, "cls": cls, "Twin": _twin(cls), "mismatch": _mismatch, "missing": _missing}
    lines = ["def decode(source):", "    data = source"]
    if cls._bare is not None:
        scope["bare"] = cls._bare[1]
        lines += ["    if source.__class__ is bare:", f"        data = {{{bare_name(cls)!r}: source}}"]
    lines += [
        "    if data.__class__ is not dict:",
        "        mismatch('an object', data)",
        "    self = Twin()",
        "    self._source = source",
        *(f"    self.{field.name} = None" for field in attrs.fields(cls) if field.name.startswith("_") and field.name != "_source"),
        "    get = data.get",
        "    try:",
    ]
    for i, field in enumerate(fields):
        scope[f"decode_{i}"] = field.decode
        lines += [f"        {line}" for line in _field_lines(field, f"decode_{i}")]
    lines += [
        "    except Mismatch as error:",
        "        if data is source:",  # a bare value has no name on the wire
        "            error.path.append(at)",
        "        raise",
        "    self.__class__ = cls",
        "    return self",
    ]
    source = "\n".join(lines)
    exec(compile(source, f"<decoder of {cls.__name__}>", "exec"), scope)  # noqa: S102 (the text is made of our own names)
    function: Decoder = scope["decode"]
    return function


def bare_name(cls: type[Model]) -> str:
    """What the field that stands for the whole is called on the wire."""
    return next(field.names[0] for field in model_fields(cls) if cls._bare is not None and field.name == cls._bare[0])


def _field_lines(field: Field, function: str) -> list[str]:
    first, *others = field.names
    absent = "None" if field.nullable else "missing"
    lines = [f"at = {first!r}", f"value = get({first!r}, {absent})"]
    for other in others:
        lines += [f"if value is {absent} and {other!r} in data:", f"    at = {other!r}", f"    value = data[{other!r}]"]
    convert = f"value = {function}(value)"
    if field.decode is _string:  # most fields: no call for a value that is as it should be
        convert = f"if value.__class__ is not str: {convert}"
    if field.required:
        lines += ["if value is missing: missing()", convert]
    else:
        lines += [f"if value is {absent}: value = None", f"el{convert}" if convert.startswith("if") else f"else: {convert}"]
    return [*lines, f"self.{field.name} = value"]


def _twin(cls: type[Model]) -> type[Any]:
    """Make a class of the same layout whose instances can be filled field by field."""
    namespace = {
        "__slots__": cls.__dict__["__slots__"],
        "__setattr__": object.__setattr__,
        "__delattr__": object.__delattr__,  # without it, each store takes the slow way through Python
        "__init__": object.__init__,
        "__orig_bases__": cls.__dict__.get("__orig_bases__", cls.__bases__),
    }
    metaclass: Any = type(cls)
    twin: type[Any] = metaclass(cls.__name__, cls.__bases__, namespace)
    if hasattr(twin, "__abstractmethods__"):
        twin.__abstractmethods__ = frozenset()  # the frozen class has them
    return twin


@cached
def has_numbers(type_: Any) -> bool:
    """Whether a type holds decimals that the wire writes as JSON numbers."""
    return any(field.decode is as_number for field in _all_fields(type_))


@cached
def holds_secret(type_: Any) -> bool:
    """Whether a type holds a new key."""
    return any(field.decode is _secret for field in _all_fields(type_))


def _all_fields(type_: Any) -> Iterator[Field]:
    """The fields of all models that a type is made of."""
    for arg in typing.get_args(type_):
        yield from _all_fields(arg)
    cls = typing.get_origin(type_) or type_
    if isinstance(cls, type) and issubclass(cls, Model):
        yield from model_fields(cls)
        for hint in typing.get_type_hints(cls).values():
            yield from _all_fields(hint)
