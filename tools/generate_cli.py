"""Generator of the command line's table from the operations, their methods and docstrings.

    python tools/generate_cli.py [--check]

With --check, nothing is written; the exit code is 1 if the table is stale.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any, get_origin

from generate_sync import formatted

from paychainhq._core.operation import Operation
from paychainhq.models import Page
from paychainhq.operations import OPERATIONS
from paychainhq.resources.base import Resource

TARGET = Path(__file__).parents[1] / "paychainhq" / "cli" / "_table.py"
_HEAD = '''\
"""Operations of the API as commands. Written by tools/generate_cli.py: do not edit."""
# ruff: noqa: E501

from __future__ import annotations

from paychainhq.cli.rows import Parameter, Row

ROWS = (
'''
# Phrases about Python, and their counterparts for a shell. Each must occur.
_PHRASES = {
    ": await one page, or iterate over all": "",
    ": a str, an int or a Decimal": "",
    ". Mappings with chain": ". Objects with chain",
    ", or PayoutLimits": "",
    '": mappings with chain': '": objects with chain',
    ", or Destinations": "",
    "; by default the client's.": "; by default $PAYCHAIN_BUSINESS_ID.",
}


def table() -> str:
    """Return the table's source."""
    rows = [row(operation) for operation in OPERATIONS.values()]
    source = _HEAD + "".join(f"    {one},\n" for one in rows) + ")\n"
    for phrase, replacement in _PHRASES.items():
        if phrase not in source:
            raise SystemExit(f"no docstring has the phrase {phrase!r}")
        source = source.replace(phrase, replacement)
    return formatted({TARGET.name: source})[TARGET.name]


def row(operation: Operation[Any]) -> str:
    """Return the source of an operation's row."""
    function = _method(operation.name)
    docstring = inspect.getdoc(function) or ""
    helps = _arguments(docstring)
    parameters = [
        f"Parameter({name!r}, {_kind(str(parameter.annotation))!r}, "
        f"{_is_positional(operation, name)}, {parameter.default is parameter.empty}, "
        f"{helps.get(name, '')!r})"
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self"
    ]
    fields = {
        "name": operation.name,
        "summary": _plain(docstring.partition("\n\n")[0]),
        "auth": operation.auth,
        "mutates": operation.method != "GET",
        "needs_confirmation": operation.needs_confirmation,
        "holds_secret": operation.holds_secret,
        "in_pages": get_origin(operation.response_type) is Page,
    }
    written = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    return f"Row({written}, parameters=({''.join(f'{one}, ' for one in parameters)}))"


def _method(name: str) -> Any:
    resource, _, method = name.partition(".")
    module = import_module(f"paychainhq.resources.{resource}")
    (cls,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Resource) and value is not Resource
    )
    return getattr(cls, method)


def _is_positional(operation: Operation[Any], name: str) -> bool:
    return name in operation.placeholders and name != "business_id"


def _kind(annotation: str) -> str:
    core = annotation.removesuffix(" | None")
    if core in ("int", "bool"):
        return core
    if core == "Sequence[str]":
        return "texts"
    return "json" if core.startswith(("Sequence[", "Mapping[")) else "text"


def _arguments(docstring: str) -> dict[str, str]:
    """Return the descriptions of arguments by their names."""
    section = re.search(r"^Args:\n(.*?)(?:^\S|\Z)", docstring, re.MULTILINE | re.DOTALL)
    text = textwrap.dedent(section[1]) if section else ""
    found = re.findall(r"^(\w+): (.*(?:\n +.*)*)", text, re.MULTILINE)
    return {name: _plain(description) for name, description in found}


def _plain(text: str) -> str:
    return " ".join(text.replace("`", "").split())


def main() -> None:
    """Write the table, or check it."""
    wanted = table()
    if "--check" not in sys.argv:
        TARGET.write_text(wanted)
    elif not TARGET.exists() or TARGET.read_text() != wanted:
        raise SystemExit(f"{TARGET.name} is stale, run `make generate`")


if __name__ == "__main__":
    main()
