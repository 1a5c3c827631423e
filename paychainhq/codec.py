"""Between JSON and models: strict where money is, tolerant of what is new, and lossless.

For each model one decoder is generated, as straight-line code, when the model is first met. It fills a mutable twin of the
class and then turns it into the frozen class; attrs' own frozen `__init__` costs as much again as all the checks.
"""

from __future__ import annotations

import copy
import functools
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

import attrs
import orjson

from paychainhq.arguments import wire_name
from paychainhq.credentials import Secret
from paychainhq.errors import DecodeError
from paychainhq.models.base import Model

T = TypeVar("T")

C = TypeVar("C", bound=Callable[..., Any])

Decoder = Callable[[Any], Any]

_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_DIGITS = re.compile(r"-?[0-9]{1,200}")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_LONGEST_DECIMAL = 200


def _cached(function: C) -> C:
    """`functools.cache`, without losing the function's type."""
    return typing.cast(C, functools.cache(function))


class Mismatch(Exception):  # noqa: N818 (it never leaves this file)
    """A value is not what its place asks for; `path` is filled from the inside out."""

    def __init__(self, wanted: str, got: object) -> None:
        super().__init__(wanted)
        self.wanted = wanted
        self.got = "null" if got is None else f"a JSON {_JSON_NAMES.get(type(got), type(got).__name__)}"
        self.path: list[str | int] = []

    def as_error(self) -> DecodeError:
        steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in reversed(self.path)]
        path = "$" + "".join(steps)
        return DecodeError(f"the answer is not as documented: {path} should be {self.wanted}, and is {self.got}", path=path)


_JSON_NAMES = {str: "string", int: "number", float: "number", bool: "boolean", list: "array", dict: "object"}


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


_JSON_NAMES[Number] = "number"


# --- text and JSON ---


def parse(body: bytes, *, exact: bool = False) -> Any:
    """Parse JSON; with `exact`, numbers keep their text. Raises ValueError."""
    if not exact:
        return orjson.loads(body if body.__class__ is bytes else memoryview(body))
    try:
        return json.loads(body, parse_float=Number.parse, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def dump(value: Any) -> bytes:
    """Write a checked body as JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


# --- from JSON ---


def from_json(type_: type[T], data: Any) -> T:
    """Decode parsed JSON into a model, a `Page[...]` or a `Listing[...]`.

    Args:

        type_: What to make of it.
        data: Parsed JSON. The result keeps it, so it must not be changed afterwards. Of an answer that holds a new key,
            the result and the error keep a copy that does not show the key.

    Raises:

        DecodeError: It is not what the type asks for; `path` says where.
    """
    if holds_secret(type_):
        try:
            data = _masked(data)
        except RecursionError:
            raise DecodeError("the answer is nested too deeply") from None
    try:
        result: T = decoder(type_)(data)
        return result
    except Mismatch as mismatch:
        problem = mismatch.as_error()
    problem.data = data
    raise problem


def _masked(data: Any, secret: bool = False) -> Any:
    """Copy an answer, with each text under `apiKey` as a `Secret`, wherever it stands."""
    if isinstance(data, dict):
        return {name: _masked(item, secret or name == "apiKey") for name, item in data.items()}
    if isinstance(data, list):
        return [_masked(item, secret) for item in data]
    return Secret(data) if secret and isinstance(data, str) else data


def decode(type_: type[T], body: bytes, exact: bool = False) -> T:
    """Decode the body of an answer; raises ValueError if it is no JSON, DecodeError if it is not what the type asks for."""
    try:
        return from_json(type_, parse(body, exact=exact or has_numbers(type_)))
    except DecodeError:
        # orjson gives integers beyond 64 bits as floats; the slow parser tells whether that was all.
        if exact or has_numbers(type_):
            raise
    return decode(type_, body, exact=True)


def _mismatch(wanted: str, value: object) -> NoReturn:
    raise Mismatch(wanted, value)


def _string(value: Any) -> Any:
    return value if isinstance(value, str) else _mismatch("a string", value)


def _secret(value: Any) -> Any:
    return Secret(_string(value))


def _boolean(value: Any) -> Any:
    return value if value is True or value is False else _mismatch("a boolean", value)


def _integer(value: Any) -> Any:
    return value if value.__class__ is int else _mismatch("an integer", value)


def _digits(value: Any) -> Any:
    if value.__class__ is str and _DIGITS.fullmatch(value):
        return int(value)
    return value if value.__class__ is int else _mismatch("a string of digits", value)


def _decimal(value: Any) -> Any:
    if value.__class__ is str and _DECIMAL.fullmatch(value) and len(value) <= _LONGEST_DECIMAL:
        return Decimal(value)
    _mismatch("a decimal string", value)


def _number(value: Any) -> Any:
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


@_cached
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
class _Field:
    """One field of a model, as the decoder sees it."""

    name: str
    names: tuple[str, ...]
    decode: Decoder
    required: bool
    nullable: bool


@_cached
def _fields(cls: type[Model], args: tuple[Any, ...] = ()) -> tuple[_Field, ...]:
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
        decode_field = _digits if field.metadata.get("digits") else _number if field.metadata.get("number") else decoder(hint)
        required = field.default is attrs.NOTHING
        names = field.metadata.get("names") or (wire_name(field.name),)
        nullable = not required and field.name not in cls.not_null
        fields.append(_Field(field.name, names, decode_field, required, nullable))
    return tuple(fields)


def _generate(cls: type[Model], args: tuple[Any, ...]) -> Decoder:
    """Write and compile the decoder of one model."""
    fields = _fields(cls, args)
    scope: dict[str, Any] = {"Mismatch": Mismatch, "cls": cls, "Twin": _twin(cls), "mismatch": _mismatch}
    lines = ["def decode(source):", "    data = source"]
    if cls.bare is not None:
        scope["bare"] = cls.bare[1]
        lines += ["    if source.__class__ is bare:", f"        data = {{{_bare_name(cls)!r}: source}}"]
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


def _bare_name(cls: type[Model]) -> str:
    """What the field that stands for the whole is called on the wire."""
    return next(field.names[0] for field in _fields(cls) if cls.bare is not None and field.name == cls.bare[0])


def _field_lines(field: _Field, function: str) -> list[str]:
    first, *others = field.names
    lines = [f"at = {first!r}", f"value = get({first!r}{'' if field.nullable else ', mismatch'})"]
    absent = "None" if field.nullable else "mismatch"
    for other in others:
        lines += [f"if value is {absent} and {other!r} in data:", f"    at = {other!r}", f"    value = data[{other!r}]"]
    decoded = "value" if field.decode is _string else f"{function}(value)"
    check = [f"if value.__class__ is not str: {function}(value)"] if field.decode is _string else []
    if field.nullable:
        return [
            *lines,
            f"if value is None: self.{field.name} = None",
            "else:",
            *(f"    {line}" for line in check),
            f"    self.{field.name} = {decoded}",
        ]
    if field.required:
        return [*lines, "if value is mismatch: mismatch('there', None)", *check, f"self.{field.name} = {decoded}"]
    return [
        *lines,
        f"if value is mismatch: self.{field.name} = None",
        "else:",
        *(f"    {line}" for line in check),
        f"    self.{field.name} = {decoded}",
    ]


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


@_cached
def wire_names(cls: type[Model]) -> frozenset[str]:
    """All names that the fields of a model go by on the wire."""
    return frozenset(name for field in _fields(cls) for name in field.names)


@_cached
def has_numbers(type_: Any) -> bool:
    """Whether a type holds decimals that the wire writes as JSON numbers."""
    return any(field.decode is _number for field in _all_fields(type_))


@_cached
def holds_secret(type_: Any) -> bool:
    """Whether a type holds a new key."""
    return any(field.decode is _secret for field in _all_fields(type_))


def _all_fields(type_: Any) -> Iterator[_Field]:
    """The fields of all models that a type is made of."""
    for arg in typing.get_args(type_):
        yield from _all_fields(arg)
    cls = typing.get_origin(type_) or type_
    if isinstance(cls, type) and issubclass(cls, Model):
        yield from _fields(cls)
        for hint in typing.get_type_hints(cls).values():
            yield from _all_fields(hint)


# --- to JSON ---


def to_json(value: Any) -> Any:
    """Give the parsed JSON that a model stands for: what it came from, with the fields that have been changed since."""
    if isinstance(value, Model):
        return _model_to_json(value)
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, StrEnum):
        return value.value
    return copy.deepcopy(value)


def _model_to_json(model: Model) -> Any:
    source, cls = model._source, type(model)
    fields = _fields(cls)
    kept = source if isinstance(source, dict) else {}
    is_bare = cls.bare is not None and isinstance(source, cls.bare[1])
    if is_bare:
        kept = {_bare_name(cls): source}
    known = wire_names(cls)
    result = {name: copy.deepcopy(item) for name, item in kept.items() if name not in known}
    for field in fields:
        value = getattr(model, field.name)
        spellings = sorted((name for name in field.names if name in kept), key=lambda name: kept[name] is None)
        if not spellings:
            if value is not None:
                result[field.names[0]] = _field_to_json(field, value)
            continue
        name, *others = spellings
        result[name] = _updated(field, kept[name], value)
        if result[name] == kept[name]:
            result.update((other, copy.deepcopy(kept[other])) for other in others)
    return result[_bare_name(cls)] if is_bare and len(result) == 1 else result


def _updated(field: _Field, was: Any, value: Any) -> Any:
    """The JSON of a field: as it came, if that is still its value."""
    if isinstance(value, (Model, tuple)):
        return to_json(value)
    if (value is None and was is None) or _decodes_to(field.decode, was, value):
        return copy.deepcopy(was)
    return _field_to_json(field, value)


def _field_to_json(field: _Field, value: Any) -> Any:
    if value is not None and field.decode is _digits:
        return str(value)
    if value is not None and field.decode is _number:
        return Number.parse(format(value, "f"))
    return to_json(value)


def _decodes_to(decode_field: Decoder, source: Any, value: Any) -> bool:
    try:
        return bool(decode_field(source) == value)
    except Mismatch:
        return False
