"""Conversion between JSON and models: strict about money, tolerant of new fields, lossless."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from operator import eq
from typing import Any, NoReturn, TypeVar, cast

import orjson
from cattrs import Converter, transform_error

from paychainhq._core.model import Digits, JsonNumber, ModelBase, cached, plain_copy
from paychainhq.codec import decoders
from paychainhq.codec.containers import structure_inside
from paychainhq.codec.decoders import (
    Field,
    bare_name,
    has_numbers,
    holds_secret,
    is_model,
    masked,
    model_fields,
)
from paychainhq.codec.scalars import DATETIME, REFUSED, Number
from paychainhq.errors import DecodeError, Facts, PayChainError

T = TypeVar("T")

# --- text and JSON ---


class NotJSONError(ValueError):
    """Body that is not JSON."""


# orjson turns an integer beyond 64 bits into a float. A body has none if no run of 19 digits begins
# at the start of a value, unless the body is a single number. Translating and searching the body
# costs less than a regular expression or a walk through the result.
_SHAPE = bytes.maketrans(b"123456789,[ \t\r\n-", b"000000000:::::::")
_RUN = b"0" * 19
_LONG_INTEGER = b":" + _RUN
_REFUSED = object()


def parse(body: bytes, *, exact: bool = False) -> Any:
    """Parse JSON in UTF-8.

    Integers are exact. A number with a fraction or an exponent is the nearest float, or, with
    `exact`, a `Number`.

    Raises:
        NotJSONError: The body is not JSON, or is nested too deeply. No other exception is chained,
            since it would hold the body.
    """
    data = _REFUSED
    if not exact:
        try:
            data = orjson.loads(body if body.__class__ is bytes else memoryview(body))
        except ValueError:  # perhaps for a byte order mark or a lone surrogate, which are allowed
            pass
        else:
            shape = body.translate(_SHAPE)
            # Not `in`: for bytes, it first tries its operand as a number, and drops an exception.
            if (
                shape.find(_RUN) < 0 or shape.find(_LONG_INTEGER) < 0
            ) and data.__class__ is not float:
                return data
    slowly = _parse_slowly(body, Number.parse if exact else float)
    if slowly is not _REFUSED:
        return slowly
    if data is _REFUSED:
        raise NotJSONError("the body is not JSON")
    return data


def _parse_slowly(body: bytes, fraction: Callable[[str], Any]) -> Any:
    def integer(text: str) -> Any:
        try:
            return int(text)
        except ValueError:  # thousands of digits, which Python does not print either
            return fraction(text)

    try:
        return json.loads(
            body, parse_float=fraction, parse_int=integer, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        return _REFUSED


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def dump(value: Any) -> bytes:
    """Return a checked body as JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


# --- from JSON ---


def from_json(type_: type[T], data: Any, inside: str | None = None) -> T:
    """Decode parsed JSON into a model, a `Page[...]` or a `Listing[...]`.

    Args:
        type_: The type of the result.
        data: Parsed JSON, which the result keeps: do not change it afterwards. For a response with
            a new key, the result and the error keep a copy that conceals the key.
        inside: The one field of the data to decode, instead of the whole.

    Raises:
        DecodeError: The data do not match the type; `path` is the invalid part.
    """
    if holds_secret(type_):
        try:
            data = masked(data)
        except RecursionError:
            raise DecodeError("the response is nested too deeply") from None
    try:
        hook = _structure_hook(type_)  # what `_converter.structure` does, with one call fewer
        if inside is None:
            return hook(data, type_)  # type: ignore[no-any-return]
        return cast(T, structure_inside(data, inside, hook, type_))
    except REFUSED as error:
        problems = tuple(transform_error(error, format_exception=lambda error, _: str(error)))
    problem, _, path = problems[0].rpartition(" @ ")
    raise DecodeError(
        f"the response is not as documented: {path} {problem}",
        path=path,
        problems=problems,
        data=data,
    )


@cached
def _structure_hook(type_: Any) -> Callable[[Any, Any], Any]:
    return _converter.get_structure_hook(type_)


def decode(type_: type[T], body: bytes, inside: str | None = None) -> T:
    """Decode the body of a response.

    Raises:
        NotJSONError: The body is not JSON.
        DecodeError: The body does not match the type.
    """
    return from_json(type_, parse(body, exact=has_numbers(type_)), inside)


_WEBHOOK_ADVICE = (
    "The webhook is genuine: `data` or `body` of this error is its content. Without a 2xx, it is "
    "sent again."
)


def decode_webhook(type_: type[T], body: bytes, inside: str | None = None) -> T:
    """Decode the body of a verified webhook; raises `DecodeError` without a chained exception."""
    facts: Facts = {"sent": "no", "advice": _WEBHOOK_ADVICE}
    try:
        return decode(type_, body, inside=inside)
    except DecodeError as error:
        message = error.message.replace("the response", "the webhook", 1)
        facts |= {"path": error.path, "problems": error.problems, "data": error.data}
    except NotJSONError:
        message = "the webhook's body is not JSON"
        facts |= {"body": body}
    raise DecodeError(message, **facts)


# --- to JSON ---


def to_json(value: Any) -> Any:
    """Return the JSON of a model: its source, with the fields that were changed since.

    A number with an unusual spelling (in withdrawal quotes) is a float with its text: it decodes to
    the same value, but JSON libraries round or refuse it. `to_dict` writes its text.
    """
    return _converter.unstructure(value)


def to_plain(value: Any) -> Any:
    """Return the JSON of a model as `to_dict` does: in plain types, with exact numbers."""
    return _writer().unstructure(value)


def _model_hook(text: bool, _: Any, converter: Converter) -> Callable[[ModelBase], Any]:
    return partial(_model_to_json, converter, plain_copy if text else deepcopy)


def _model_to_json(converter: Converter, copy: Callable[[Any], Any], model: ModelBase) -> Any:
    source, cls = model._source, type(model)
    fields = model_fields(cls)
    kept = source if isinstance(source, dict) else {}
    is_bare = cls._bare is not None and isinstance(source, cls._bare[1])
    if is_bare:
        kept = {bare_name(cls): source}
    result = copy(model._unknown())
    for field in fields:
        value = getattr(model, field.name)
        spellings = sorted(
            (name for name in field.names if name in kept), key=lambda name: kept[name] is None
        )
        if not spellings:
            if value is not None:
                result[field.names[0]] = _field_to_json(converter, field, value)
            continue
        name, *others = spellings
        result[name] = _updated(converter, copy, field, kept[name], value)
        if others and result[name] == copy(kept[name]):
            result.update((other, copy(kept[other])) for other in others)
    return result[bare_name(cls)] if is_bare and len(result) == 1 else result


def _updated(
    converter: Converter, copy: Callable[[Any], Any], field: Field, was: Any, value: Any
) -> Any:
    """Return the JSON of a field: its source, if that still is its value."""
    if isinstance(value, (ModelBase, tuple)):
        return converter.unstructure(value)
    if was.__class__ is not Number and (
        (value is None and was is None) or _decodes_to(converter, field, was, value)
    ):
        return was if was.__class__ is str else copy(was)  # most fields, without a call
    return _field_to_json(converter, field, value)


def _field_to_json(converter: Converter, field: Field, value: Any) -> Any:
    if value is not None and field.type in (Digits, JsonNumber):
        return converter.unstructure(value, field.type)
    return converter.unstructure(value)


def _decodes_to(converter: Converter, field: Field, source: Any, value: Any) -> bool:
    try:
        return bool(converter.structure(source, field.type) == value)
    except REFUSED:
        return False


# --- converters ---


def make_converter() -> Converter:
    """Return a cattrs converter for all types of the API, strict and lossless as this package is.

    It structures models from parsed JSON, requests (`InvoiceRequest`, `CustomerRequest`) from rows,
    and outcomes (`Outcome[InvoiceRequest, Invoice]`) and errors from the JSON that it unstructures
    them to. Hooks registered on it apply inside models too, and have no effect on what clients
    decode.

    Returns:
        A new converter. It refuses values with cattrs's `ClassValidationError`.
    """
    from paychainhq.codec import outcomes  # clients do not need it

    converter = _make_converter(text=True)
    outcomes.register(converter)
    return converter


def _make_converter(*, text: bool) -> Converter:
    """Return a converter.

    Args:
        text: Write a number with an unusual spelling as text, which every library of a format
            writes; otherwise as a `Number`.
    """
    converter = Converter(unstruct_collection_overrides={tuple: list})
    decoders.register(converter)
    converter.register_unstructure_hook_factory(is_model, partial(_model_hook, text))
    for type_, hook in _BY_CLASS.items():
        converter.register_unstructure_hook(type_, hook)
    converter.register_unstructure_hook_func(partial(eq, Digits), str)
    converter.register_unstructure_hook_func(
        partial(eq, JsonNumber), _number_to_text if text else _number_to_json
    )
    return converter


def register(converter: Converter) -> None:
    """Register the models on a cattrs converter of your own, as parts of your own classes.

    All other types stay as they are. Models are decoded by the rules of this package, and refused
    with cattrs's `ClassValidationError`.

    Args:
        converter: The converter, such as one of `cattrs.preconf`.
    """
    converter.register_structure_hook_factory(is_model, _converter.get_structure_hook)
    converter.register_unstructure_hook_factory(is_model, _writer().get_unstructure_hook)


def _time_to_json(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number_to_json(value: Decimal) -> float:
    return Number.parse(format(value, "f"))


def _number_to_text(value: Decimal) -> float | str:
    number = _number_to_json(value)
    return number.text if isinstance(number, Number) else number


# A constant of the import: within a patched clock, `scalars.DATETIME` is replaced.
_BY_CLASS: dict[type, Callable[[Any], Any]] = {
    Decimal: lambda value: format(value, "f"),
    DATETIME: _time_to_json,
    StrEnum: lambda member: member.value,
    PayChainError: PayChainError.to_dict,
}
_converter = _make_converter(text=False)


@cached
def _writer() -> Converter:
    """Return the converter of `to_dict`, which also writes for the converters of others."""
    return make_converter()
