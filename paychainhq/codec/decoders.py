"""Decoders from parsed JSON to the types of the API: structure hooks of a cattrs converter.

Each scalar type has a hook. The hook of a model is generated as straight-line code on first use,
with the hooks of its fields from the converter. It fills a mutable twin of the class, and converts
it to the frozen class (`_frozen.py`).
"""

from __future__ import annotations

import functools
import operator
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, NoReturn, TypeVar, get_args, get_origin

import attrs
from cattrs import (
    AttributeValidationNote,
    BaseValidationError,
    ClassValidationError,
    Converter,
    IterableValidationError,
    IterableValidationNote,
)

from paychainhq._core.model import Digits, JsonNumber, ModelBase, cached, field_names
from paychainhq._core.secrets import Secret
from paychainhq._core.validators import Money
from paychainhq._frozen import twin

Hook = Callable[[Any, Any], Any]

_DIGITS = re.compile(r"-?[0-9]{1,200}")
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_LONGEST_DECIMAL = 200

# The types of annotations, bound here: when a model is first decoded, their names may be replaced
# in its module (freezegun replaces `datetime` in every module, perhaps even before this import).
DATETIME: type[datetime] = next(cls for cls in datetime.__mro__ if cls.__module__ == "datetime")
_NAMES = {"datetime": DATETIME, "Decimal": Decimal}
_moment = DATETIME.fromisoformat


class Number(float):
    """JSON number with its original text."""

    __slots__ = ("text",)
    text: str

    @classmethod
    def parse(cls, text: str) -> float:
        """Return a number; a plain float, which every JSON library writes, if its text is usual."""
        number = cls(text)
        number.text = text
        return float(number) if float.__repr__(number) == text else number

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


class Mismatch(ValueError):  # noqa: N818 (internal)
    """Value of the wrong type."""


REFUSED = (ValueError, BaseValidationError)
"""Exceptions by which hooks refuse a value, those of others included."""


def _mismatch(wanted: str, value: object) -> NoReturn:
    got = (
        "null" if value is None else f"a JSON {_JSON_NAMES.get(type(value), type(value).__name__)}"
    )
    raise Mismatch(f"should be {wanted}, but is {got}")


def _missing() -> NoReturn:
    raise Mismatch("is missing")


# --- single values ---


# Hooks of `str` and `int` get subclasses too, such as `class Color(str, Enum)`.


def _string(value: Any, type_: Any) -> Any:
    if not isinstance(value, str):
        _mismatch("a string", value)
    return value if type_ is str else type_(value)


def _secret(value: Any, _: Any) -> Any:
    return Secret(_string(value, str))


def _boolean(value: Any, _: Any) -> Any:
    return value if value is True or value is False else _mismatch("a boolean", value)


def _integer(value: Any, type_: Any) -> Any:
    if value.__class__ is not int:
        _mismatch("an integer", value)
    return value if type_ is int else type_(value)


def _digits(value: Any, _: Any) -> Any:
    if value.__class__ is str and _DIGITS.fullmatch(value):
        return int(value)
    return value if value.__class__ is int else _mismatch("a string of digits", value)


def _decimal(value: Any, _: Any) -> Any:
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


def _number(value: Any, _: Any) -> Any:
    if value.__class__ is int:
        return Decimal(value)
    text = (
        value.text
        if value.__class__ is Number
        else repr(value)
        if value.__class__ is float
        else value
    )
    return _decimal(text, Decimal) if text.__class__ is str else _mismatch("a number", value)


def _datetime(value: Any, _: Any) -> Any:
    if value.__class__ is str:
        try:
            moment = _moment(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment
    _mismatch("a time with its zone", value)


def _object(value: Any, _: Any) -> Any:
    return value if value.__class__ is dict else _mismatch("an object", value)


def _anything(value: Any, _: Any) -> Any:
    return value


def _money(value: Any, _: Any) -> Any:
    if isinstance(value, (str, int, Decimal)) and value.__class__ is not bool:
        return value
    _mismatch("a decimal string, an integer or a Decimal", value)


# By class, subclasses included.
_SCALARS: dict[type, Hook] = {
    str: _string,
    Secret: _secret,
    bool: _boolean,
    int: _integer,
    Decimal: _decimal,
    DATETIME: _datetime,
}
# By equality.
_SPECIAL: dict[Any, Hook] = {
    Digits: _digits,
    JsonNumber: _number,
    Money: _money,
    Any: _anything,
    object: _anything,
}


# --- arrays, enums, models ---


def structure_inside(data: Any, name: str, hook: Hook, type_: Any) -> Any:
    """Structure one field of an object."""
    _object(data, dict)
    try:
        return hook(data[name], type_) if name in data else _missing()
    except REFUSED as error:
        problems = [_at(name, type_, error)]
    raise ClassValidationError("while structuring a field", problems, dict)  # pyright: ignore[reportCallIssue]


def _at(place: str | int, type_: Any, error: Exception) -> Exception:
    """Add cattrs's note of the place to an error, a field or an index, and return the error."""
    note: Any = IterableValidationNote if isinstance(place, int) else AttributeValidationNote
    error.add_note(note(f"at {place}", place, type_))
    return error


def _without_none(type_: Any) -> Any:
    """Return a union without its None; another type unchanged."""
    if not _is_union(type_):
        return type_
    parts = [part for part in get_args(type_) if part is not types.NoneType]
    return typing.Union[tuple(parts)]  # noqa: UP007 (their number varies)


def _is_union(type_: Any) -> bool:
    return get_origin(type_) in (typing.Union, types.UnionType)


class _OpenEnum:
    """Hook of `Enum | str` and `Literal[...] | str`: an unknown text stays a text.

    Attributes:
        known: Function that maps a text to its member, or returns its second argument.
    """

    def __init__(self, type_: Any) -> None:
        enums = [part for part in get_args(type_) if _is_class(part, StrEnum)]
        self.known = {member.value: member for enum in enums for member in enum}.get

    def __call__(self, value: Any, _: Any) -> Any:
        return self.known(value, value) if value.__class__ is str else _mismatch("a string", value)


def _array(type_: Any, converter: Converter) -> Hook:
    of = get_args(type_)[0]
    item = converter.get_structure_hook(of)

    def structure_array(value: Any, _: Any) -> Any:
        if value.__class__ is not list:
            _mismatch("an array", value)
        try:
            return tuple([item(element, of) for element in value])
        except REFUSED:
            pass
        problems = []
        for index, element in enumerate(value):
            try:
                item(element, of)
            except REFUSED as error:
                problems.append(_at(index, of, error))
        raise IterableValidationError("while structuring an array", problems, type_)  # pyright: ignore[reportCallIssue]

    return structure_array


def _is_array(type_: Any) -> bool:
    return get_origin(type_) is tuple and get_args(type_)[1:] == (...,)


def _is_mapping(type_: Any) -> bool:
    """Return whether a type is `Mapping[str, Any]` or the like, whose values stay as they are."""
    return get_origin(type_) is Mapping and get_args(type_)[1] in (Any, object)


def _is_open_enum(type_: Any) -> bool:
    parts = get_args(type_)
    return (
        _is_union(type_)
        and str in parts
        and all(
            part is str or _is_class(part, StrEnum) or get_origin(part) is Literal for part in parts
        )
    )


def _is_nullable(type_: Any) -> bool:
    """Return whether a type is one of the unions above, or None."""
    rest = _without_none(type_)
    return rest != type_ and (rest == Money or _is_open_enum(rest))


def _nullable(type_: Any, converter: Converter) -> Hook:
    rest = _without_none(type_)
    hook = converter.get_structure_hook(rest)
    return lambda value, _: None if value is None else hook(value, rest)


def is_model(type_: Any) -> bool:
    """Return whether a type is a model, such as `Invoice` or `Page[Invoice]`."""
    return _is_class(get_origin(type_) or type_, ModelBase)


def _is_class(type_: Any, base: type) -> bool:
    return isinstance(type_, type) and issubclass(type_, base)


def register(converter: Converter) -> None:
    """Register the structure hooks of all types of the API on a converter."""
    for type_, hook in _SCALARS.items():
        converter.register_structure_hook(type_, hook)
    for type_, hook in _SPECIAL.items():
        converter.register_structure_hook_func(functools.partial(operator.eq, type_), hook)
    converter.register_structure_hook_func(lambda type_: isinstance(type_, TypeVar), _anything)
    converter.register_structure_hook_func(_is_mapping, _object)
    converter.register_structure_hook_factory(_is_array, _array)
    converter.register_structure_hook_factory(_is_open_enum, _OpenEnum)
    converter.register_structure_hook_factory(_is_nullable, _nullable)
    converter.register_structure_hook_factory(is_model, _model)


@attrs.frozen
class Field:
    """Field of a model, for its hook."""

    name: str
    names: tuple[str, ...]
    type: Any
    required: bool
    nullable: bool


@cached
def model_fields(cls: type[ModelBase], args: tuple[Any, ...] = ()) -> tuple[Field, ...]:
    hints = typing.get_type_hints(cls, localns=_NAMES, include_extras=True)
    variables = dict(zip(getattr(cls, "__parameters__", ()), args, strict=False))
    fields = []
    for field in attrs.fields(cls):
        if field.name.startswith("_"):
            continue
        hint = _without_none(hints[field.name])
        if variables and get_origin(hint) is tuple:
            item = get_args(hint)[0]
            hint = types.GenericAlias(tuple, (variables.get(item, item), ...))
        required = field.default is attrs.NOTHING
        nullable = not required and field.name not in cls._not_null
        fields.append(Field(field.name, field_names(cls)[field.name], hint, required, nullable))
    return tuple(fields)


def _model(type_: Any, converter: Converter) -> Hook:
    """Generate and compile the hook of a model."""
    cls: type[ModelBase] = get_origin(type_) or type_
    fields = model_fields(cls, get_args(type_))
    hooks = {field.name: converter.get_structure_hook(field.type) for field in fields}

    def explain(data: dict[str, Any]) -> NoReturn:
        # Straight-line code does not record its position: structure the fields again to find the
        # invalid ones.
        problems = []
        for field in fields:
            name, value = _given(field, data)
            try:
                if value is _missing and field.required:
                    _missing()
                if value is not _missing and not (value is None and field.nullable):
                    hooks[field.name](value, field.type)
            except REFUSED as error:
                problems.append(_at(name, field.type, error))
        raise ClassValidationError(f"while structuring {cls.__name__}", problems, cls)  # pyright: ignore[reportCallIssue]

    scope: dict[str, Any] = {
        "REFUSED": REFUSED, "cls": cls, "Twin": twin(cls),
        "mismatch": _mismatch, "missing": _missing, "explain": explain,
        "Decimal": Decimal,
    }  # fmt: skip
    lines = ["def structure(source, _):", "    data = source"]
    if cls._bare is not None:
        # A bare value has no name on the wire: its error has no path.
        name, scope["bare"] = cls._bare
        whole = next(field for field in fields if field.name == name)
        scope |= {"bare_hook": hooks[name], "bare_type": whole.type}
        lines += [
            "    if source.__class__ is bare:",
            "        bare_hook(source, bare_type)",
            f"        data = {{{whole.names[0]!r}: source}}",
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
        hook = hooks[field.name]
        scope |= {f"hook_{i}": hook, f"type_{i}": field.type}
        scope[f"known_{i}"] = hook.known if isinstance(hook, _OpenEnum) else None
        lines += [f"        {line}" for line in _field_lines(field, hook, i)]
    lines += [
        "    except REFUSED:",
        "        problem = True",
        "    else:",
        "        problem = False",
        "    if problem:",
        "        explain(data)",
        "    self.__class__ = cls",
        "    return self",
    ]
    code = compile("\n".join(lines), f"<hook of {cls.__name__}>", "exec")
    exec(code, scope)  # noqa: S102 (the text is made of our own names)  # nosec B102
    structure: Hook = scope["structure"]
    if holds_secret(type_):
        return lambda source, _: structure(masked(source), _)
    return structure


def masked(data: Any, secret: bool = False) -> Any:
    """Return a copy of a response, with each text under an `apiKey` as a `Secret`."""
    if isinstance(data, dict):
        return {name: masked(item, secret or name == "apiKey") for name, item in data.items()}
    if isinstance(data, list):
        return [masked(item, secret) for item in data]
    return Secret(data) if secret and isinstance(data, str) else data


def bare_name(cls: type[ModelBase]) -> str:
    """Return the wire name of the field that a bare value stands for."""
    return next(
        field.names[0]
        for field in model_fields(cls)
        if cls._bare is not None and field.name == cls._bare[0]
    )


# Values that need no call of their hook: the condition, and the result. Most amounts are plain
# digits.
_PLAIN_DIGITS = (
    "value.__class__ is str and value.isdecimal() and value.isascii() and len(value) "
    f"<= {_LONGEST_DECIMAL}"
)
# By the id of the hook: a hook of a user may be unhashable.
_QUICK: dict[int, tuple[str, str]] = {
    id(_string): ("value.__class__ is str", "value"),
    id(_integer): ("value.__class__ is int", "value"),
    id(_object): ("value.__class__ is dict", "value"),
    id(_digits): (_PLAIN_DIGITS, "int(value)"),
    id(_decimal): (_PLAIN_DIGITS, "Decimal(value)"),
}


def _field_lines(field: Field, hook: Hook, i: int) -> list[str]:
    """Return the code that structures a field, with a check of its own for usual values."""
    first, *others = field.names
    absent = "None" if field.nullable else "missing"
    lines = [f"value = get({first!r})" if field.nullable else f"value = get({first!r}, missing)"]
    for other in others:
        lines += [f"if value is {absent}: value = get({other!r}, {absent})"]
    if field.required:
        lines += ["if value is missing: missing()"]
    result = f"hook_{i}(value, type_{i})"
    if not field.required:
        result = f"None if value is {absent} else {result}"
    quick = _QUICK.get(id(hook))
    if isinstance(hook, _OpenEnum):
        quick = ("value.__class__ is str", f"known_{i}(value, value)")
    if quick is not None:
        condition, at_once = quick
        result = f"{at_once} if {condition} else {result}"
    return [*lines, f"self.{field.name} = {result}"]


def _given(field: Field, data: dict[str, Any]) -> tuple[str, Any]:
    """Return the name of a field in the data, and its value."""
    absent = None if field.nullable else _missing
    found = next(
        (name for name in field.names if data.get(name, absent) is not absent), field.names[0]
    )
    return found, data.get(found, absent)


@cached
def has_numbers(type_: Any) -> bool:
    """Return whether a type may hold decimals that the wire writes as JSON numbers."""
    return type_ is object or any(field.type == JsonNumber for field in _all_fields(type_))


@cached
def holds_secret(type_: Any) -> bool:
    """Return whether a type holds a new key."""
    return any(field.type is Secret for field in _all_fields(type_))


def _all_fields(type_: Any) -> Iterator[Field]:
    """Yield the fields of all models in a type."""
    for arg in get_args(type_):
        yield from _all_fields(arg)
    cls = get_origin(type_) or type_
    if is_model(cls):
        for field in model_fields(cls):
            yield field
            yield from _all_fields(field.type)
