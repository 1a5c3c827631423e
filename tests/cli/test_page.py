"""Page docs/cli.md: its blocks run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from paychainhq.cli.exit_codes import ExitCode
from paychainhq.emulator import Emulator

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_blocks_run(emulator: Emulator, tmp_path: Path) -> None:
    """All blocks for a shell run in order, in one folder, and no command fails."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 6
    command = tmp_path / "bin" / "paychainhq"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -W error -m paychainhq.cli "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(blocks)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(PAGE.parents[1])},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 invoices, 0 rows refused, 0 unknown" in done.stderr


def test_the_table_of_exit_codes() -> None:
    """The table has each exit code."""
    written = re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)
    assert list(map(int, written)) == list(ExitCode)
