"""Checks of arguments and settings.

A check takes the name and the value of an argument, and returns the value for the wire, or raises
`InvalidArgumentError`.
"""

from __future__ import annotations

import ipaddress
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, NoReturn
from unicodedata import category, normalize
from urllib.parse import quote

import attrs

from paychainhq._core.secrets import Secret
from paychainhq.errors import ConfigurationError, InvalidArgumentError

Money = str | int | Decimal
"""Amount as an argument; a float is invalid."""

Check = Callable[[str, Any], Any]

_PLAIN_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_KEY = re.compile(r"[\x21-\x7e]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+(?: +[\x21-\x7e]+)*")
_CAMEL = re.compile(r"_([a-z0-9])")
_OF_PATHS = frozenset("/\\?#%;")
_LONGEST_ID = 512
_LONGEST_KEY = 255
_DAYS_OF_A_KEY = 365
_LONGEST_AMOUNT = 80
_USUAL_AMOUNT = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,39})?", re.ASCII)
_TOO_LARGE = 10**_LONGEST_AMOUNT  # Python does not print an int of a few thousand digits


def invalid(argument: str, problem: str) -> NoReturn:
    """Raise `InvalidArgumentError`."""
    raise InvalidArgumentError(f"{argument} {problem}", argument=argument)


def checked(check: Check) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    """Return the validator of an attrs field that applies a check to its value."""
    return lambda instance, field, value: check(field.name, value)


def wire_name(name: str) -> str:
    """Return a field's name in the documents: `network_id` -> `networkId`."""
    return _CAMEL.sub(lambda match: str(match[1]).upper(), name)


# --- text ---


# The checks of texts and numbers begin with a fast case for nearly all values: the rest costs
# several times as much.


def content(value: Any) -> Any:
    """Return text as an exact `str`, such as the value of a member of `class Token(str, Enum)`.

    A `Secret` stays one, and other values are returned as they are.
    """
    return str.__str__(value) if isinstance(value, str) and type(value) is not Secret else value


def any_text(name: str, value: object) -> str:
    if type(value) is str and value.isascii():
        return value
    if not isinstance(value, str):
        invalid(name, f"must be a string, not {type(value).__name__}")
    exact: str = content(value)
    try:
        exact.encode()
    except UnicodeEncodeError:
        invalid(name, "contains a lone surrogate, which UTF-8 cannot encode")
    return exact


def text(name: str, value: object) -> str:
    if type(value) is str and value.isascii() and value.strip():
        return value
    value = any_text(name, value)
    if not value.strip():
        invalid(name, "must not be empty")
    return value


def reference(name: str, value: object) -> str:
    """Check a reference, the caller's own name for a request or a resource.

    The server compares references exactly, so a stray space or byte order mark would turn one order
    into two. Inside a reference, only control characters are invalid: joiners belong to emoji and
    to several scripts.
    """
    if (
        type(value) is str
        and value.isascii()
        and value.isprintable()
        and value
        and value.strip() == value
    ):
        return value
    value = text(name, value)
    if any(c.isspace() or category(c) in ("Cc", "Cf") for c in (value[0], value[-1])):
        invalid(
            name,
            f"must not begin or end with white space or an invisible character: {value[:40]!a}",
        )
    if any(category(c) == "Cc" for c in value):
        invalid(name, f"must not contain control characters: {value[:40]!a}")
    return value


def path_segment(name: str, value: object) -> str:
    """Check an id or symbol, and return it as exactly one segment of a path."""
    value = any_text(name, value)
    if _PLAIN_ID.fullmatch(value) and len(value) <= _LONGEST_ID:
        return value
    if not value:
        invalid(name, "must not be empty")
    if len(value) > _LONGEST_ID:
        invalid(name, f"is longer than {_LONGEST_ID} characters")
    # As a server may do, which turns look-alikes into dots and slashes.
    normal = normalize("NFKC", value)
    if (
        set(normal) <= {"."}
        or any(c in _OF_PATHS for c in normal)
        or any(map(str.isspace, value))
        or not value.isprintable()
    ):
        invalid(name, f"is not a valid id: {value[:40]!r} would change the path of the request")
    return quote(value, safe="")


def idempotency_key(name: str, value: object) -> str:
    if type(value) is not str:
        value = content(value)
    if not isinstance(value, str) or not _KEY.fullmatch(value) or len(value) > _LONGEST_KEY:
        invalid(name, f"must be 1 to {_LONGEST_KEY} visible ASCII characters without spaces")
    return value


def header_value(name: str, value: object) -> str:
    """Check the value of a header, such as a key."""
    if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
        kind = (
            ""
            if isinstance(value, str)
            else f", not {'bytes' if isinstance(value, bytes) else type(value).__name__}"
        )
        invalid(
            name,
            "must be a non-empty string of printable ASCII without line breaks or outer "
            f"spaces{kind}",
        )
    exact: str = content(value)
    return exact


def texts(name: str, value: object) -> list[str]:
    return [text(f"{name}[{i}]", item) for i, item in enumerate(_sequence(name, value))]


def some_texts(name: str, value: object) -> list[str]:
    return texts(name, value) or invalid(name, "must not be empty")


def networks(name: str, value: object) -> list[str]:
    """Check IPv4 addresses or CIDR blocks."""
    result = texts(name, value)
    for i, item in enumerate(result):
        try:
            ipaddress.IPv4Network(item, strict=False)
        except ValueError:
            invalid(f"{name}[{i}]", f"must be an IPv4 address or a CIDR block, not {item[:40]!r}")
    return result


# --- numbers ---


def _amount(name: str, value: object) -> tuple[str, Decimal]:
    if isinstance(value, float):
        invalid(
            name,
            f"must not be a float, since {value!r} may be rounded: pass a str, an int or a Decimal",
        )
    if isinstance(value, Decimal):
        value = Decimal(value)  # the value of a subclass
        if not value.is_finite():
            invalid(name, f"must be a finite number, not {value}")
        # A huge exponent would be written as gigabytes of zeros, and then be invalid.
        written = format(value, "f") if abs(value.adjusted()) < _LONGEST_AMOUNT else str(value)
    elif isinstance(value, str):
        written = str.__str__(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        written = str(_bounded(name, value))
    else:
        invalid(name, f"must be a str, an int or a Decimal, not {type(value).__name__}")
    if len(written) > _LONGEST_AMOUNT or not _PLAIN_DECIMAL.fullmatch(written):
        invalid(
            name, f"must be a plain decimal number such as '150' or '0.50', not {written[:80]!r}"
        )
    return written, Decimal(written)


def _bounded(name: str, value: int) -> int:
    """Return the value of an int of any class; one that Python may not print is invalid."""
    value = int.__int__(value)
    return (
        value
        if abs(value) < _TOO_LARGE
        else invalid(name, f"has more than {_LONGEST_AMOUNT} digits")
    )


def positive_money(name: str, value: object) -> str:
    if type(value) is str and _USUAL_AMOUNT.fullmatch(value) and value.strip("0."):
        return value
    written, number = _amount(name, value)
    return written if number > 0 else invalid(name, f"must be more than zero, not {written}")


def money(name: str, value: object) -> str:
    if type(value) is str and _USUAL_AMOUNT.fullmatch(value):
        return value
    written, number = _amount(name, value)
    return written if number >= 0 else invalid(name, f"must not be negative, not {written}")


def _integer(name: str, value: object, least: int, most: int) -> int:
    if type(value) is int and least <= value <= most:
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        invalid(name, f"must be an int, not {type(value).__name__} {value!r}")
    number = _bounded(name, value)
    return (
        number
        if least <= number <= most
        else invalid(name, f"must be {least} to {most}, not {number}")
    )


def positive_int(name: str, value: object) -> int:
    return _integer(name, value, 1, 2**53)


def count(name: str, value: object) -> int:
    return _integer(name, value, 0, 2**53)


def days(name: str, value: object) -> int:
    return _integer(name, value, 1, _DAYS_OF_A_KEY)


def at_most(number: str, check: Check) -> Check:
    """Return a check with an upper bound, from the documents."""

    def bounded(name: str, value: object) -> Any:
        checked = check(name, value)
        return (
            checked
            if Decimal(checked) <= Decimal(number)
            else invalid(name, f"must be at most {number}, not {checked}")
        )

    return bounded


def boolean(name: str, value: object) -> bool:
    return (
        value if isinstance(value, bool) else invalid(name, f"must be True or False, not {value!r}")
    )


# --- structures ---


def _sequence(name: str, value: object) -> list[Any]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        invalid(name, f"must be a sequence, not {type(value).__name__}")
    return list(value)


def records(required: Mapping[str, Check], optional: Mapping[str, Check]) -> Check:
    """Return a check of a non-empty sequence of mappings or models with these fields.

    The names are those of Python, or those of the documents.
    """
    checks = {**required, **optional}
    names: dict[object, str] = {wire_name(name): name for name in checks}

    def check(name: str, value: object) -> list[dict[str, Any]]:
        return [
            record(f"{name}[{i}]", item) for i, item in enumerate(_sequence(name, value))
        ] or invalid(name, "must not be empty")

    def record(name: str, value: object) -> dict[str, Any]:
        if attrs.has(type(value)):
            value = {field: getattr(value, field, None) for field in checks}
        if not isinstance(value, Mapping):
            invalid(name, f"must be a mapping, not {type(value).__name__}")
        given: dict[str, object] = {}
        for key, item in value.items():
            known = names.get(content(key), content(key))
            if known not in checks:
                invalid(f"{name}.{key}", f"is unknown; the fields are {', '.join(checks)}")
            if item is not None:
                given[known] = item
        for key in required:
            if key not in given:
                invalid(f"{name}.{key}", "is missing")
        return {wire_name(key): checks[key](f"{name}.{key}", item) for key, item in given.items()}

    return check


_LARGEST_COUNT = sys.maxsize


def seconds(name: str, value: object, *, zero: bool = False) -> float:
    """Return a duration in seconds; raises `ConfigurationError` for an invalid one."""
    number = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        with suppress(OverflowError):  # an int that no float can hold
            number = float(value)
    if not math.isfinite(number) or number < 0 or not (number or zero):
        raise ConfigurationError(
            f"{name} must be a number of seconds, {'0 or more' if zero else 'more than 0'}, not "
            f"{_shown(value)}"
        )
    return number


def instance_of(kind: type) -> Check:
    """Return a check that raises `ConfigurationError` for a value of another type."""

    def check(name: str, value: object) -> object:
        if not isinstance(value, kind):
            raise ConfigurationError(
                f"{name} must be of type {kind.__name__}, not {type(value).__name__}"
            )
        return value

    return check


def at_least(least: int, name: str, value: object) -> int:
    """Return an int within bounds; raises `ConfigurationError` for any other value."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not least <= value <= _LARGEST_COUNT
    ):
        raise ConfigurationError(f"{name} must be an int of {least} or more, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    """Return a value for an error message; Python does not print an int of many digits."""
    return (
        "an int that is far too large"
        if isinstance(value, int) and abs(value) > _LARGEST_COUNT
        else repr(value)
    )
