"""Decoders from parsed JSON to models, generated as straight-line code on first use.

A decoder fills a mutable twin of the class, and converts it to the frozen class (`_frozen.py`).
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

from paychainhq._core.secrets import Secret
from paychainhq._frozen import twin
from paychainhq.models.base import Model, cached, field_names

Decoder = Callable[[Any], Any]

_DIGITS = re.compile(r"-?[0-9]{1,200}")
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_LONGEST_DECIMAL = 200

# The types of annotations, bound here: when a model is first decoded, their names may be replaced
# in its module (freezegun replaces `datetime` in every module, perhaps even before this import).
_DATETIME: type[datetime] = next(cls for cls in datetime.__mro__ if cls.__module__ == "datetime")
_NAMES = {"datetime": _DATETIME, "Decimal": Decimal}
_moment = _DATETIME.fromisoformat


class Number(float):
    """JSON number with its original text."""

    __slots__ = ("text",)
    text: str

    @classmethod
    def parse(cls, text: str) -> Number:
        number = cls(text)
        number.text = text
        return number

    def __reduce__(self) -> tuple[Any, ...]:
        return (Number.parse, (self.text,))


_JSON_NAMES = {
    str: "string",
    int: "number",
    float: "number",
    Number: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
}


class Mismatch(Exception):  # noqa: N818 (internal)
    """Value of the wrong type; `path` is filled from the inside out."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path: list[str | int] = []

    def json_path(self) -> str:
        return "$" + "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}" for step in reversed(self.path)
        )


def _mismatch(wanted: str, value: object) -> NoReturn:
    got = (
        "null" if value is None else f"a JSON {_JSON_NAMES.get(type(value), type(value).__name__)}"
    )
    raise Mismatch(f"should be {wanted}, but is {got}")


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
    written = (
        _DECIMAL.fullmatch(value)
        if value.__class__ is str and len(value) <= _LONGEST_DECIMAL
        else None
    )
    if written is None:
        _mismatch("a decimal string", value)
    number = Decimal(value)
    if written[1] and len(format(number, "f")) > _LONGEST_DECIMAL:
        raise Mismatch(f"would have more than {_LONGEST_DECIMAL} characters without its exponent")
    return number


def as_number(value: Any) -> Any:
    if value.__class__ is int:
        return Decimal(value)
    text = (
        value.text
        if value.__class__ is Number
        else repr(value)
        if value.__class__ is float
        else value
    )
    return _decimal(text) if text.__class__ is str else _mismatch("a number", value)


def _datetime(value: Any) -> Any:
    if value.__class__ is str:
        try:
            moment = _moment(value)
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
    _DATETIME: _datetime,
    Any: _anything,
    object: _anything,
}


# --- arrays, enums, models ---


def decode_inside(data: Any, name: str, decode: Decoder) -> Any:
    """Decode one field of an object."""
    _object(data)
    try:
        return decode(data[name]) if name in data else _missing()
    except Mismatch as mismatch:
        mismatch.path.append(name)
        raise


_MEMBERS: dict[Decoder, Callable[[str, str], str]] = {}
"""Function of each enum decoder that maps a text to its member, or returns it unchanged."""


def _open_enum(enum: type[StrEnum]) -> Decoder:
    members = {member.value: member for member in enum}

    known = members.get

    def decode_enum(value: Any) -> Any:
        return known(value, value) if value.__class__ is str else _mismatch("a string", value)

    _MEMBERS[decode_enum] = known
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
    """Return the decoder of a type, which does not accept None."""
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
    """Field of a model, for its decoder."""

    name: str
    names: tuple[str, ...]
    decode: Decoder
    required: bool
    nullable: bool


@cached
def model_fields(cls: type[Model], args: tuple[Any, ...] = ()) -> tuple[Field, ...]:
    hints = typing.get_type_hints(cls, localns=_NAMES)
    variables = dict(zip(getattr(cls, "__parameters__", ()), args, strict=False))
    fields = []
    for field in attrs.fields(cls):
        if field.name.startswith("_"):
            continue
        hint = hints[field.name]
        if variables and typing.get_origin(hint) is tuple:
            item = typing.get_args(hint)[0]
            hint = types.GenericAlias(tuple, (variables.get(item, item), ...))
        decode_field = (
            as_digits
            if field.metadata.get("digits")
            else as_number
            if field.metadata.get("number")
            else decoder(hint)
        )
        required = field.default is attrs.NOTHING
        nullable = not required and field.name not in cls._not_null
        fields.append(
            Field(field.name, field_names(cls)[field.name], decode_field, required, nullable)
        )
    return tuple(fields)


def _generate(cls: type[Model], args: tuple[Any, ...]) -> Decoder:
    """Generate and compile the decoder of a model."""
    fields = model_fields(cls, args)

    def explain(data: dict[str, Any]) -> NoReturn:
        # Straight-line code does not record its position: decode the fields again to find the
        # invalid one.
        for field in fields:
            name, value = _given(field, data)
            try:
                _checked(field, value)
            except Mismatch as mismatch:
                mismatch.path.append(name)
                raise
        raise AssertionError("unreachable")  # pragma: no cover

    scope: dict[str, Any] = {
        "Mismatch": Mismatch, "cls": cls, "Twin": twin(cls),
        "mismatch": _mismatch, "missing": _missing, "explain": explain,
        "Decimal": Decimal,
    }  # fmt: skip
    lines = ["def decode(source):", "    data = source"]
    if cls._bare is not None:
        # A bare value has no name on the wire: its error has no path.
        scope["bare"], scope["decode_bare"] = (
            cls._bare[1],
            next(field.decode for field in fields if field.name == cls._bare[0]),
        )
        name = bare_name(cls)
        lines += [
            "    if source.__class__ is bare:",
            "        decode_bare(source)",
            f"        data = {{{name!r}: source}}",
        ]
    lines += [
        "    if data.__class__ is not dict:",
        "        mismatch('an object', data)",
        "    self = Twin()",
        "    self._source = source",
        *(
            f"    self.{field.name} = None"
            for field in attrs.fields(cls)
            if field.name.startswith("_") and field.name != "_source"
        ),
        "    get = data.get",
        "    try:",
    ]
    for i, field in enumerate(fields):
        scope[f"decode_{i}"], scope[f"decode_{i}_known"] = field.decode, _MEMBERS.get(field.decode)
        lines += [f"        {line}" for line in _field_lines(field, f"decode_{i}")]
    lines += [
        "    except Mismatch:",
        "        problem = True",
        "    else:",
        "        problem = False",
        "    if problem:",
        "        explain(data)",
        "    self.__class__ = cls",
        "    return self",
    ]
    source = "\n".join(lines)
    code = compile(source, f"<decoder of {cls.__name__}>", "exec")
    exec(code, scope)  # noqa: S102 (the text is made of our own names)  # nosec B102
    function: Decoder = scope["decode"]
    return function


def bare_name(cls: type[Model]) -> str:
    """Return the wire name of the field that a bare value stands for."""
    return next(
        field.names[0]
        for field in model_fields(cls)
        if cls._bare is not None and field.name == cls._bare[0]
    )


# Values that need no call of their decoder: the condition, and the result. Most amounts are plain
# digits.
_PLAIN_DIGITS = (
    "value.__class__ is str and value.isdecimal() and value.isascii() and len(value) "
    f"<= {_LONGEST_DECIMAL}"
)
_QUICK: dict[Decoder, tuple[str, str]] = {
    _string: ("value.__class__ is str", "value"),
    _integer: ("value.__class__ is int", "value"),
    _object: ("value.__class__ is dict", "value"),
    as_digits: (_PLAIN_DIGITS, "int(value)"),
    _decimal: (_PLAIN_DIGITS, "Decimal(value)"),
}


def _field_lines(field: Field, function: str) -> list[str]:
    first, *others = field.names
    absent = "None" if field.nullable else "missing"
    lines = [f"value = get({first!r})" if field.nullable else f"value = get({first!r}, missing)"]
    for other in others:
        lines += [f"if value is {absent}: value = get({other!r}, {absent})"]
    target = f"self.{field.name}"
    if field.required:
        lines += ["if value is missing: missing()"]
    if field.decode in _MEMBERS:
        lines += [
            (
                f"{target} = {function}_known(value, value) if value.__class__ is str else "
                f"{_otherwise(field, absent, function)}"
            )
        ]
    elif field.decode in _QUICK:
        condition, result = _QUICK[field.decode]
        lines += [f"{target} = {result} if {condition} else {_otherwise(field, absent, function)}"]
    else:
        lines += [f"{target} = {_otherwise(field, absent, function)}"]
    return lines


def _otherwise(field: Field, absent: str, function: str) -> str:
    return (
        f"{function}(value)"
        if field.required
        else f"None if value is {absent} else {function}(value)"
    )


def _given(field: Field, data: dict[str, Any]) -> tuple[str, Any]:
    """Return the name of a field in the data, and its value."""
    absent = None if field.nullable else _missing
    found = next(
        (name for name in field.names if data.get(name, absent) is not absent), field.names[0]
    )
    return found, data.get(found, absent)


def _checked(field: Field, value: Any) -> None:
    if value is _missing and field.required:
        _missing()
    if value is not _missing and not (value is None and field.nullable):
        field.decode(value)


@cached
def has_numbers(type_: Any) -> bool:
    """Return whether a type may hold decimals that the wire writes as JSON numbers."""
    return type_ is object or any(field.decode is as_number for field in _all_fields(type_))


@cached
def holds_secret(type_: Any) -> bool:
    """Return whether a type holds a new key."""
    return any(field.decode is _secret for field in _all_fields(type_))


def _all_fields(type_: Any) -> Iterator[Field]:
    """Yield the fields of all models in a type."""
    for arg in typing.get_args(type_):
        yield from _all_fields(arg)
    cls = typing.get_origin(type_) or type_
    if isinstance(cls, type) and issubclass(cls, Model):
        yield from model_fields(cls)
        for hint in typing.get_type_hints(cls, localns=_NAMES).values():
            yield from _all_fields(hint)
