"""Decoders from parsed JSON to the types of the API: structure hooks of a cattrs converter.

Each scalar type has a hook. The hook of a model is generated as straight-line code on first use,
with the hooks of its fields from the converter. It fills a mutable twin of the class, and converts
it to the frozen class (`_frozen.py`).
"""

from __future__ import annotations

import functools
import operator
import types
import typing
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NoReturn, TypeVar, get_args, get_origin

import attrs
from cattrs import (
    ClassValidationError,
    Converter,
)

from paychainhq._core.model import JsonNumber, ModelBase, cached, field_names
from paychainhq._core.secrets import Secret
from paychainhq._frozen import twin
from paychainhq.codec.containers import (
    OpenEnum,
    array,
    at,
    is_array,
    is_class,
    is_mapping,
    is_open_enum,
    is_optional,
    optional,
    without_none,
)
from paychainhq.codec.scalars import (
    LONGEST_DECIMAL,
    NAMES,
    REFUSED,
    SCALARS,
    SPECIAL,
    Hook,
    anything,
    decimal,
    digits,
    integer,
    json_object,
    mismatch,
    missing,
    string,
)


def is_model(type_: Any) -> bool:
    """Return whether a type is a model, such as `Invoice` or `Page[Invoice]`."""
    return is_class(get_origin(type_) or type_, ModelBase)


def register(converter: Converter) -> None:
    """Register the structure hooks of all types of the API on a converter."""
    for type_, hook in SCALARS.items():
        converter.register_structure_hook(type_, hook)
    for type_, hook in SPECIAL.items():
        converter.register_structure_hook_func(functools.partial(operator.eq, type_), hook)
    converter.register_structure_hook_func(lambda type_: isinstance(type_, TypeVar), anything)
    converter.register_structure_hook_func(is_mapping, json_object)
    converter.register_structure_hook_factory(is_array, array)
    converter.register_structure_hook_factory(is_open_enum, OpenEnum)
    converter.register_structure_hook_factory(is_optional, optional)
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
    hints = typing.get_type_hints(cls, localns=NAMES, include_extras=True)
    variables = dict(zip(getattr(cls, "__parameters__", ()), args, strict=False))
    fields = []
    for field in attrs.fields(cls):
        if field.name.startswith("_"):
            continue
        hint = without_none(hints[field.name])
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
                if value is missing and field.required:
                    missing()
                if value is not missing and not (value is None and field.nullable):
                    hooks[field.name](value, field.type)
            except REFUSED as error:
                problems.append(at(name, field.type, error))
        raise ClassValidationError(f"while structuring {cls.__name__}", problems, cls)  # pyright: ignore[reportCallIssue]

    scope: dict[str, Any] = {
        "REFUSED": REFUSED, "cls": cls, "Twin": twin(cls),
        "mismatch": mismatch, "missing": missing, "explain": explain,
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
        scope[f"known_{i}"] = hook.known if isinstance(hook, OpenEnum) else None
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
    f"<= {LONGEST_DECIMAL}"
)
# By the id of the hook: a hook of a user may be unhashable.
_QUICK: dict[int, tuple[str, str]] = {
    id(string): ("value.__class__ is str", "value"),
    id(integer): ("value.__class__ is int", "value"),
    id(json_object): ("value.__class__ is dict", "value"),
    id(digits): (_PLAIN_DIGITS, "int(value)"),
    id(decimal): (_PLAIN_DIGITS, "Decimal(value)"),
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
    if isinstance(hook, OpenEnum):
        quick = ("value.__class__ is str", f"known_{i}(value, value)")
    if quick is not None:
        condition, at_once = quick
        result = f"{at_once} if {condition} else {result}"
    return [*lines, f"self.{field.name} = {result}"]


def _given(field: Field, data: dict[str, Any]) -> tuple[str, Any]:
    """Return the name of a field in the data, and its value."""
    absent = None if field.nullable else missing
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
