"""Command of one operation, from its row in the table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from paychainhq.cli.rows import Parameter, Row

OUTPUT = (
    click.Option(["--json", "as_json"], is_flag=True, help="JSON, also on a terminal."),
    click.Option(["--fields"], metavar="A,B", help="Only these fields."),
)


class JsonType(click.ParamType):  # type: ignore[type-arg, unused-ignore] # generic since 8.4
    """JSON: text, @FILE, or - for standard input."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value of the text."""
        if not isinstance(value, str):
            return value
        import json

        try:
            if value == "-":
                value = sys.stdin.read()
            elif value.startswith("@"):
                value = Path(value[1:]).read_text(encoding="utf-8")
            return json.loads(value)
        except (OSError, ValueError) as error:
            self.fail(f"no valid JSON: {error}", param, ctx)


_TYPES: dict[str, Any] = {"int": click.INT, "json": JsonType()}


def of_row(name: str, row: Row) -> click.Command:
    """Return the command of an operation."""
    parameters = [_parameter(parameter) for parameter in row.parameters]
    if row.in_pages:
        parameters.append(
            click.Option(
                ["--all", "all_pages"], is_flag=True, help="All pages, a JSON line each item."
            )
        )
    if row.needs_confirmation:
        parameters.append(click.Option(["--yes"], is_flag=True, help="Do not ask."))
    if row.holds_secret:
        parameters.append(
            click.Option(
                ["--key-file"],
                required=True,
                type=click.Path(path_type=Path),
                help="New file, readable by you only, for the key, which is shown nowhere else.",
            )
        )

    def call(**given: Any) -> int:
        from paychainhq.cli.calls import call

        return call(row, given)

    credential = (
        f"Credential: {row.auth.replace('_', ' ')}." if row.auth else "Sends no credential."
    )
    about = [
        f"{one.name.upper()}: {one.help}" for one in row.parameters if one.positional and one.help
    ]
    return click.Command(
        name,
        params=[*parameters, *OUTPUT],
        callback=call,
        help="\n\n".join([row.summary, *about, credential]),
        short_help=row.summary,
    )


def _parameter(parameter: Parameter) -> click.Parameter:
    if parameter.positional:
        return click.Argument([parameter.name], metavar=parameter.name.upper())
    option = f"--{parameter.name.replace('_', '-')}"
    if parameter.kind == "bool":
        return click.Option(
            [f"{option}/--no{option[1:]}", parameter.name], default=None, help=parameter.help
        )
    return click.Option(
        [option, parameter.name],
        type=_TYPES.get(parameter.kind, click.STRING),
        required=parameter.required,
        multiple=parameter.kind == "texts",
        help=parameter.help,
    )
