"""Child processes of the stress tests: other modules of this package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def start(module: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start `python -m stress.MODULE` from the root of the repository."""
    command = [sys.executable, "-m", f"stress.{module}", *arguments]
    return subprocess.Popen(command, cwd=ROOT, text=True, **options)
