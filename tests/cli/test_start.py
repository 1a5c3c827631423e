"""Start of the command: modules that it loads, and its message without click."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ["aiohttp", "anyio", "asyncio", "ssl", "rich", "orjson", "attr", "attrs", "logging"]
HEAVY += ["paychainhq.client", "paychainhq.operations", "paychainhq.errors"]
SCRIPT = f"""
import sys
from paychainhq.cli import app
app.run(sys.argv[1:])
sys.stderr.write(' '.join(name for name in {HEAVY} if name in sys.modules))
"""


def python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", ["--version", "--help", "invoices --help", "invoices create --help"]
)
def test_help_loads_nothing_heavy(arguments: str) -> None:
    """The version and the help load neither the client nor an event loop."""
    done = python(SCRIPT, *arguments.split())
    assert done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_a_call_is_found() -> None:
    """Control: a call loads the client."""
    assert "paychainhq.client" in python(SCRIPT, "invoices", "get", "x").stderr


def test_without_click() -> None:
    """Without click, the command prints how to install it, and exits with 4."""
    script = "import sys; sys.modules['click'] = None; import paychainhq.cli as c; c.main()"
    done = python(script)
    assert done.returncode == 4
    assert "pip install 'paychainhq[cli]'" in done.stderr
