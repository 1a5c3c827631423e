"""Command `completion`: click's script for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def _completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell: eval "$(paychainhq completion bash)"."""
    found = get_completion_class(shell)
    assert found is not None
    root = context.find_root()
    click.echo(found(root.command, {}, "paychainhq", "_PAYCHAINHQ_COMPLETE").source())


COMMANDS = {"completion": _completion}
