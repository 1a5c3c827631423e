"""Command line of the stress tests: `python -m stress COMMAND [options]`."""

from __future__ import annotations

import argparse
import sys

from stress import cost, crash, faults, imports, inbox, ledger, limit, load, soak

COMMANDS = {
    "soak": soak.main,
    "load": load.main,
    "crash": crash.main,
    "faults": faults.main,
    "import": imports.main,
    "ledger": ledger.main,
    "inbox": inbox.main,
    "cost": cost.main,
    "limit": limit.main,
}


def main(arguments: list[str]) -> int:
    """Run one stress test; return 1 if one of its checks fails."""
    parser = argparse.ArgumentParser(
        prog="python -m stress",
        description="Run one stress test. `python -m stress COMMAND --help` lists its options.",
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("options", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    return COMMANDS[given.command](given.options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
