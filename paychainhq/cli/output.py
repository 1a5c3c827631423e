"""Output: text on a terminal, JSON otherwise."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from paychainhq._core.secrets import Secret

_COLUMNS = ("id", "symbol", "name", "status", "createdAt", "expiresAt")


def write_result(value: Any, fields: str | None, *, as_json: bool) -> None:
    """Write a result, which is plain JSON.

    Args:
        value: The result, whose secrets are masked. `fields` applies to the items of its `data`,
            if that is a list.
        fields: Names of fields, separated by commas, or None for all.
        as_json: Write JSON also on a terminal.
    """
    value = _masked(value)
    items = value.get("data") if isinstance(value, dict) else None
    if fields is not None:
        value = items = picked(items if isinstance(items, list) else value, fields)
    if as_json or not sys.stdout.isatty():
        write_json(value)
    elif isinstance(items, list):
        for item in items:
            click.echo(_line(item, fields))
    elif isinstance(value, dict):
        width = max(map(len, value), default=0)
        for name, content in value.items():
            click.echo(f"{name:<{width}}  {_text(content)}")
    else:
        click.echo(_text(value))


def write_json(value: Any) -> None:
    """Write one line of JSON."""
    click.echo(json_line(value), nl=False)


def json_line(value: Any) -> str:
    """Return a line of JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def picked(value: Any, fields: str) -> Any:
    """Return the named fields of an object, or of each object of a list; null for a missing one."""
    if isinstance(value, list):
        return [picked(item, fields) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: value.get(name) for name in map(str.strip, fields.split(","))}


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _masked(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return "***" if isinstance(value, Secret) else value


def _line(item: Any, fields: str | None) -> str:
    if not isinstance(item, dict):
        return _text(item)
    names = list(item) if fields else [name for name in _COLUMNS if name in item] or list(item)
    return "  ".join(_text(item[name]) for name in names)


def _text(value: Any) -> str:
    """Return a value as text, without terminal codes of a server."""
    if isinstance(value, dict) and {"display", "symbol"} <= value.keys():
        value = f"{value['display']} {value['symbol']}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
