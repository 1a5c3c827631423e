"""The audit of `.ci/run`: what it finds fails it, and where nothing can be looked up, it says
so.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTHING = "pip-audit: no advisory service answers here, so nothing was audited\n"

# Stands for `python -` (does the service answer?) and for `python -m pip freeze`.
PYTHON = """#!/bin/sh
if [ "$1" = - ]; then cat >/dev/null; exit {service}; fi
echo aiohttp==3.14.2
"""
AUDIT = """#!/bin/sh
for argument; do file=$argument; done
echo "$1" "$(cat "$file")"
exit {audit}
"""


def run(
    folder: Path, *, bandit: int = 0, service: int = 0, audit: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run the audit with commands that end as told."""
    commands = {"bandit": f"#!/bin/sh\nexit {bandit}\n", "python": PYTHON.format(service=service)}
    for name, text in {**commands, "pip-audit": AUDIT.format(audit=audit)}.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    return subprocess.run(
        [ROOT / "tools" / "audit.sh", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_all_is_well(tmp_path: Path) -> None:
    """What is installed is looked up, strictly, and that is a success."""
    done = run(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "--strict aiohttp==3.14.2\n", "")


@pytest.mark.parametrize("finding", ["bandit", "audit"])
def test_a_finding_fails_it(tmp_path: Path, finding: str) -> None:
    """Of bandit in our code, and of pip-audit in what is installed."""
    assert run(tmp_path, **{finding: 1}).returncode == 1


def test_without_the_service_nothing_is_audited(tmp_path: Path) -> None:
    """One line says so, and it is no failure; what bandit finds is one all the same."""
    done = run(tmp_path, service=1, audit=1)
    assert (done.returncode, done.stdout, done.stderr) == (0, NOTHING, "")
    assert run(tmp_path, service=1, bandit=1).returncode == 1
