"""Command line `paychainhq`: operations, jobs, and tools for a local emulator."""

from __future__ import annotations

import sys

_WITHOUT_CLICK = 4


def main() -> None:
    """Run the command, and exit with its code."""
    try:
        import click  # noqa: F401
    except ModuleNotFoundError:
        sys.stderr.write("paychainhq: the command requires click: pip install 'paychainhq[cli]'\n")
        sys.exit(_WITHOUT_CLICK)
    from paychainhq.cli.app import run

    sys.exit(run())
