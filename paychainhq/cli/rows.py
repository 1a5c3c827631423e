"""Rows of the table of commands; they load nothing."""

from __future__ import annotations

from typing import NamedTuple


class Parameter(NamedTuple):
    """Argument of an operation: its kind is text, texts, int, bool or json."""

    name: str
    kind: str
    positional: bool
    required: bool
    help: str


class Row(NamedTuple):
    """Operation as a command."""

    name: str
    summary: str
    auth: str | None
    mutates: bool
    needs_confirmation: bool
    holds_secret: bool
    in_pages: bool
    parameters: tuple[Parameter, ...]
