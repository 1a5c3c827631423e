"""Conversion between JSON and models: strict about money, tolerant of new fields, lossless."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

import orjson

from paychainhq._core.secrets import Secret
from paychainhq.codec.decoders import (
    Decoder,
    Field,
    Mismatch,
    Number,
    as_digits,
    as_number,
    bare_name,
    decode_inside,
    decoder,
    has_numbers,
    holds_secret,
    model_fields,
)
from paychainhq.errors import DecodeError, Facts
from paychainhq.models.base import Model

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
            # `in` makes an exception of each search: it first takes what it searches for a number.
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
            data = _masked(data)
        except RecursionError:
            raise DecodeError("the response is nested too deeply") from None
    try:
        result: T = (
            decoder(type_)(data) if inside is None else decode_inside(data, inside, decoder(type_))
        )
        return result
    except Mismatch as mismatch:
        path, problem = mismatch.json_path(), mismatch.problem
    raise DecodeError(f"the response is not as documented: {path} {problem}", path=path, data=data)


def _masked(data: Any, secret: bool = False) -> Any:
    """Return a copy of a response, with each text under an `apiKey` as a `Secret`."""
    if isinstance(data, dict):
        return {name: _masked(item, secret or name == "apiKey") for name, item in data.items()}
    if isinstance(data, list):
        return [_masked(item, secret) for item in data]
    return Secret(data) if secret and isinstance(data, str) else data


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
        facts |= {"path": error.path, "data": error.data}
    except NotJSONError:
        message = "the webhook's body is not JSON"
        facts |= {"body": body}
    raise DecodeError(message, **facts)


# --- to JSON ---


def to_json(value: Any) -> Any:
    """Return the JSON of a model: its source, with the fields that were changed since."""
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
    fields = model_fields(cls)
    kept = source if isinstance(source, dict) else {}
    is_bare = cls._bare is not None and isinstance(source, cls._bare[1])
    if is_bare:
        kept = {bare_name(cls): source}
    result = copy.deepcopy(dict(model.extra))
    for field in fields:
        value = getattr(model, field.name)
        spellings = sorted(
            (name for name in field.names if name in kept), key=lambda name: kept[name] is None
        )
        if not spellings:
            if value is not None:
                result[field.names[0]] = _field_to_json(field, value)
            continue
        name, *others = spellings
        result[name] = _updated(field, kept[name], value)
        if result[name] == kept[name]:
            result.update((other, copy.deepcopy(kept[other])) for other in others)
    return result[bare_name(cls)] if is_bare and len(result) == 1 else result


def _updated(field: Field, was: Any, value: Any) -> Any:
    """Return the JSON of a field: its source, if that still is its value."""
    if isinstance(value, (Model, tuple)):
        return to_json(value)
    if (value is None and was is None) or _decodes_to(field.decode, was, value):
        return copy.deepcopy(was)
    return _field_to_json(field, value)


def _field_to_json(field: Field, value: Any) -> Any:
    if value is not None and field.decode is as_digits:
        return str(value)
    if value is not None and field.decode is as_number:
        return Number.parse(format(value, "f"))
    return to_json(value)


def _decodes_to(decode_field: Decoder, source: Any, value: Any) -> bool:
    try:
        return bool(decode_field(source) == value)
    except Mismatch:
        return False
