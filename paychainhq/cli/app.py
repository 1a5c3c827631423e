"""Tree of commands; a command is built, and its module imported, when it is used."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from paychainhq._version import __version__
from paychainhq.cli import operation_command
from paychainhq.cli._table import ROWS
from paychainhq.cli.exit_codes import ExitCode
from paychainhq.cli.rows import Row

# By name: the module with the command, and its summary.
_TOOLS = {
    "completion": ("completion", "Print the completion script of a shell."),
    "doctor": ("doctor", "Check variables, keys, network, TLS and clock."),
    "emulator": ("emulator_tools", "Run a local PayChainHQ."),
    "ledger": ("ledger_tools", "Show the entries of a ledger's file, or remove some."),
    "listen": ("emulator_tools", "Send the emulator's webhooks to your application."),
    "trigger": ("emulator_tools", "Bring an invoice of the emulator to an event."),
    "request": ("request", "Send a request to a path of the API without a model."),
}
_JOBS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "invoices": {
        "import": ("importing", "Create an invoice for each row of a CSV file, once."),
        "watch": ("watching", "Show the statuses of invoices until all are terminal."),
    }
}


class LazyGroup(click.Group):
    """Group of rows of the table and of modules.

    Args:
        rows: Operations by the names of their commands.
        modules: Modules and summaries by the names of their commands.
    """

    def __init__(
        self,
        *args: Any,
        rows: Mapping[str, Row],
        modules: Mapping[str, tuple[str, str]],
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self._rows = rows
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return sorted([*self._rows, *self._modules, *self.commands])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None for an unknown name."""
        if cmd_name in self._rows:
            return operation_command.of_row(cmd_name, self._rows[cmd_name])
        if cmd_name in self._modules:
            module = import_module(f"paychainhq.cli.{self._modules[cmd_name][0]}")
            command: click.Command = module.COMMANDS[cmd_name]
            return command
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries, without building the commands."""
        summaries = {name: row.summary for name, row in self._rows.items()}
        summaries |= {name: summary for name, (_, summary) in self._modules.items()}
        summaries |= {name: command.help or "" for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(summaries.items()))


def _shell_name(name: str) -> str:
    return name.replace("_", "-")


def tree() -> LazyGroup:
    """Return the root of the commands."""
    resources: dict[str, dict[str, Row]] = {}
    for row in ROWS:
        resource, _, method = row.name.partition(".")
        resources.setdefault(_shell_name(resource), {})[_shell_name(method)] = row
    root = LazyGroup(
        "paychainhq",
        rows={},
        modules=_TOOLS,
        help="PayChainHQ on the command line. Keys come from variables: see --help of a command.",
        context_settings={"help_option_names": ["-h", "--help"]},
        params=[
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                help="Show the version.",
                callback=_show_version,
            )
        ],
        callback=_begin,
    )
    for resource, rows in resources.items():
        summary = f"Operations of {resource.replace('-', ' ')}."
        root.add_command(
            LazyGroup(resource, rows=rows, modules=_JOBS.get(resource, {}), help=summary)
        )
    return root


def _show_version(context: click.Context, _: click.Parameter, given: bool) -> None:
    if given:
        click.echo(__version__)
        context.exit()


@click.pass_context
def _begin(context: click.Context) -> None:
    if os.environ.get("NO_COLOR"):
        context.color = False


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default the one of `sys.argv`, and return its exit code."""
    try:
        code = tree().main(arguments, prog_name="paychainhq", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of the output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except OSError as error:  # a file that the command names
        click.echo(f"paychainhq: {error}", err=True)
        return ExitCode.FAILED
    return int(code or 0)
