"""What a caller may pass: each check takes one argument and returns what goes on the wire, or raises `InvalidArgumentError`."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NoReturn
from unicodedata import normalize
from urllib.parse import quote

import attrs

from paychainhq.errors import InvalidArgumentError

Money = str | int | Decimal
"""An amount, as the caller writes it; a float is refused."""

Check = Callable[[str, Any], Any]

_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_KEY = re.compile(r"[\x21-\x7e]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+(?: +[\x21-\x7e]+)*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CAMEL = re.compile(r"_([a-z0-9])")
_OF_PATHS = frozenset("/\\?#%;")
_LONGEST_ID = 512
_LONGEST_KEY = 255
_DAYS_OF_A_KEY = 365
_LONGEST_AMOUNT = 80
_USUAL_AMOUNT = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,39})?", re.ASCII)
_TOO_LARGE = 10**_LONGEST_AMOUNT  # beyond a few thousand digits Python does not even print an int


def refuse(argument: str, problem: str) -> NoReturn:
    raise InvalidArgumentError(f"{argument} {problem}", argument=argument)


def wire_name(name: str) -> str:
    """`network_id` -> `networkId`."""
    return _CAMEL.sub(lambda match: str(match[1]).upper(), name)


# --- text ---


# The first lines of the checks of texts and numbers are for what nearly all values are: the rest costs several times as much.


def any_text(name: str, value: object) -> str:
    if type(value) is str and value.isascii():
        return value
    if not isinstance(value, str):
        refuse(name, f"must be a string, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse(name, "holds a half of a surrogate pair, which no encoding can carry")
    return value


def text(name: str, value: object) -> str:
    if type(value) is str and value.isascii() and value.strip():
        return value
    if not any_text(name, value).strip():
        refuse(name, "must not be empty")
    return str(value)


def path_segment(name: str, value: object) -> str:
    """An id or symbol that becomes one segment of a path, and can become nothing else."""
    value = any_text(name, value)
    if _PLAIN_ID.fullmatch(value) and len(value) <= _LONGEST_ID:
        return value
    if not value:
        refuse(name, "must not be empty")
    if len(value) > _LONGEST_ID:
        refuse(name, f"is longer than {_LONGEST_ID} characters")
    normal = normalize("NFKC", value)  # a server may do so too, and make dots and slashes of their look-alikes
    if set(normal) <= {"."} or any(c in _OF_PATHS for c in normal) or any(map(str.isspace, value)) or not value.isprintable():
        refuse(name, f"cannot be an id: {value[:40]!r} would change the path of the request")
    return quote(value, safe="")


def idempotency_key(name: str, value: object) -> str:
    if not isinstance(value, str) or not _KEY.fullmatch(value) or len(value) > _LONGEST_KEY:
        refuse(name, f"must be 1 to {_LONGEST_KEY} visible ASCII characters without spaces")
    return value


def header_value(name: str, value: object) -> str:
    """What a header line can hold, such as a key."""
    if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
        kind = "" if isinstance(value, str) else f", not {type(value).__name__}"
        refuse(name, f"must be a non-empty string of printable ASCII without line breaks or outer spaces{kind}")
    return value


def texts(name: str, value: object) -> list[str]:
    return [text(f"{name}[{i}]", item) for i, item in enumerate(_sequence(name, value))]


def some_texts(name: str, value: object) -> list[str]:
    return texts(name, value) or refuse(name, "must not be empty")


def networks(name: str, value: object) -> list[str]:
    """IPv4 addresses or CIDR blocks."""
    result = texts(name, value)
    for i, item in enumerate(result):
        try:
            ipaddress.IPv4Network(item, strict=False)
        except ValueError:
            refuse(f"{name}[{i}]", f"must be an IPv4 address or a CIDR block, not {item[:40]!r}")
    return result


# --- numbers ---


def _amount(name: str, value: object) -> tuple[str, Decimal]:
    if isinstance(value, float):
        refuse(name, f"must not be a float: {value!r} is not exactly what was meant; pass a str, an int or a Decimal")
    if isinstance(value, Decimal):
        if not value.is_finite():
            refuse(name, f"must be a finite number, not {value}")
        # A huge exponent would be spelled out as gigabytes of zeros, only to be refused.
        written = format(value, "f") if abs(value.adjusted()) < _LONGEST_AMOUNT else str(value)
    elif isinstance(value, str):
        written = value
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= _TOO_LARGE:
            refuse(name, f"has more than {_LONGEST_AMOUNT} digits")
        written = str(value)
    else:
        refuse(name, f"must be a str, an int or a Decimal, not {type(value).__name__}")
    if len(written) > _LONGEST_AMOUNT or not _DECIMAL.fullmatch(written):
        refuse(name, f"must be a plain decimal number such as '150' or '0.50', not {written[:80]!r}")
    return written, Decimal(written)


def positive_money(name: str, value: object) -> str:
    if type(value) is str and _USUAL_AMOUNT.fullmatch(value) and value.strip("0."):
        return value
    written, number = _amount(name, value)
    return written if number > 0 else refuse(name, f"must be more than zero, not {written}")


def money(name: str, value: object) -> str:
    if type(value) is str and _USUAL_AMOUNT.fullmatch(value):
        return value
    written, number = _amount(name, value)
    return written if number >= 0 else refuse(name, f"must not be negative, not {written}")


def _integer(name: str, value: object, least: int, most: int) -> int:
    if type(value) is int and least <= value <= most:
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        refuse(name, f"must be an int, not {type(value).__name__} {value!r}")
    if abs(value) >= _TOO_LARGE:
        refuse(name, f"has more than {_LONGEST_AMOUNT} digits")
    if not least <= value <= most:
        refuse(name, f"must be {least} to {most}, not {value}")
    return int(value)


def positive_int(name: str, value: object) -> int:
    return _integer(name, value, 1, 2**53)


def count(name: str, value: object) -> int:
    return _integer(name, value, 0, 2**53)


def days(name: str, value: object) -> int:
    return _integer(name, value, 1, _DAYS_OF_A_KEY)


def at_most(number: str, check: Check) -> Check:
    """The same check, with a documented upper bound."""

    def bounded(name: str, value: object) -> Any:
        checked = check(name, value)
        return checked if Decimal(checked) <= Decimal(number) else refuse(name, f"must be at most {number}, not {checked}")

    return bounded


def boolean(name: str, value: object) -> bool:
    return value if isinstance(value, bool) else refuse(name, f"must be True or False, not {value!r}")


# --- structures ---


def _sequence(name: str, value: object) -> list[Any]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        refuse(name, f"must be a sequence, not {type(value).__name__}")
    return list(value)


def records(required: Mapping[str, Check], optional: Mapping[str, Check]) -> Check:
    """A non-empty sequence of mappings (or of models) with these fields, named as in Python or as in the documents."""
    checks = {**required, **optional}
    names: dict[object, str] = {wire_name(name): name for name in checks}

    def check(name: str, value: object) -> list[dict[str, Any]]:
        return [record(f"{name}[{i}]", item) for i, item in enumerate(_sequence(name, value))] or refuse(name, "must not be empty")

    def record(name: str, value: object) -> dict[str, Any]:
        if attrs.has(type(value)):
            value = {field: getattr(value, field, None) for field in checks}
        if not isinstance(value, Mapping):
            refuse(name, f"must be a mapping, not {type(value).__name__}")
        given: dict[str, object] = {}
        for key, item in value.items():
            known = names.get(key, key)
            if known not in checks:
                refuse(f"{name}.{key}", f"is not known; the fields are {', '.join(checks)}")
            if item is not None:
                given[known] = item
        for key in required:
            if key not in given:
                refuse(f"{name}.{key}", "is missing")
        return {wire_name(key): checks[key](f"{name}.{key}", item) for key, item in given.items()}

    return check


def json_object(name: str, value: object) -> dict[str, Any]:
    """A mapping that JSON can say as it is: text keys, no NaN, nothing that only Python knows."""
    if not isinstance(value, Mapping):
        refuse(name, f"must be a mapping, not {type(value).__name__}")
    copy: dict[str, Any] = json.loads(dump_plain(name, dict(value)))
    if copy != value:
        refuse(name, "holds something that JSON would change, such as a key that is not a string")
    return copy


def dump_plain(name: str, value: object) -> bytes:
    """Plain JSON as bytes; what is not JSON is refused."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        refuse(name, f"is not plain JSON: {error}")
