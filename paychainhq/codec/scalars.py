"""Decoders of single JSON values: text, numbers, times, and the errors of wrong ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn

from cattrs import (
    BaseValidationError,
)

from paychainhq._core.model import Digits, JsonNumber
from paychainhq._core.secrets import Secret
from paychainhq._core.validators import Money

Hook = Callable[[Any, Any], Any]

_DIGITS = re.compile(r"-?[0-9]{1,200}")
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
LONGEST_DECIMAL = 200

# The types of annotations, bound here: when a model is first decoded, their names may be replaced
# in its module (freezegun replaces `datetime` in every module, perhaps even before this import).
DATETIME: type[datetime] = next(cls for cls in datetime.__mro__ if cls.__module__ == "datetime")
NAMES = {"datetime": DATETIME, "Decimal": Decimal}
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


def mismatch(wanted: str, value: object) -> NoReturn:
    got = (
        "null" if value is None else f"a JSON {_JSON_NAMES.get(type(value), type(value).__name__)}"
    )
    raise Mismatch(f"should be {wanted}, but is {got}")


def missing() -> NoReturn:
    raise Mismatch("is missing")


# --- single values ---


# Hooks of `str` and `int` get subclasses too, such as `class Color(str, Enum)`.


def string(value: Any, type_: Any) -> Any:
    if not isinstance(value, str):
        mismatch("a string", value)
    return value if type_ is str else type_(value)


def _secret(value: Any, _: Any) -> Any:
    return Secret(string(value, str))


def _boolean(value: Any, _: Any) -> Any:
    return value if value is True or value is False else mismatch("a boolean", value)


def integer(value: Any, type_: Any) -> Any:
    if value.__class__ is not int:
        mismatch("an integer", value)
    return value if type_ is int else type_(value)


def digits(value: Any, _: Any) -> Any:
    if value.__class__ is str and _DIGITS.fullmatch(value):
        return int(value)
    return value if value.__class__ is int else mismatch("a string of digits", value)


def decimal(value: Any, _: Any) -> Any:
    written = (
        _DECIMAL.fullmatch(value)
        if value.__class__ is str and len(value) <= LONGEST_DECIMAL
        else None
    )
    if written is None:
        mismatch("a decimal string", value)
    number = Decimal(value)
    if written[1] and len(format(number, "f")) > LONGEST_DECIMAL:
        raise Mismatch(f"would have more than {LONGEST_DECIMAL} characters without its exponent")
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
    return decimal(text, Decimal) if text.__class__ is str else mismatch("a number", value)


def _datetime(value: Any, _: Any) -> Any:
    if value.__class__ is str:
        try:
            moment = _moment(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment
    mismatch("a time with its zone", value)


def json_object(value: Any, _: Any) -> Any:
    return value if value.__class__ is dict else mismatch("an object", value)


def anything(value: Any, _: Any) -> Any:
    return value


def _money(value: Any, _: Any) -> Any:
    if isinstance(value, (str, int, Decimal)) and value.__class__ is not bool:
        return value
    mismatch("a decimal string, an integer or a Decimal", value)


# By class, subclasses included.
SCALARS: dict[type, Hook] = {
    str: string,
    Secret: _secret,
    bool: _boolean,
    int: integer,
    Decimal: decimal,
    DATETIME: _datetime,
}
# By equality.
SPECIAL: dict[Any, Hook] = {
    Digits: digits,
    JsonNumber: _number,
    Money: _money,
    Any: anything,
    object: anything,
}
