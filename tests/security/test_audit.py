"""Security audit in `.ci/run`: it fails on any finding, and reports a missing service."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTHING = "pip-audit: no advisory service answers here, so nothing was audited\n"

# Stub for `python -` (is the service reachable?) and for `python -m pip freeze`.
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
    """Run the audit with stub commands that exit with the given codes."""
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


def test_a_clean_audit_succeeds(tmp_path: Path) -> None:
    """The installed packages are audited with `--strict`, and the exit code is 0."""
    done = run(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "--strict aiohttp==3.14.2\n", "")


@pytest.mark.parametrize("finding", ["bandit", "audit"])
def test_a_finding_fails_the_audit(tmp_path: Path, finding: str) -> None:
    """A finding of bandit in the code or of pip-audit in the packages fails the audit."""
    assert run(tmp_path, **{finding: 1}).returncode == 1


def test_an_unreachable_service_is_reported(tmp_path: Path) -> None:
    """One line reports it, and the exit code is 0 unless bandit finds something."""
    done = run(tmp_path, service=1, audit=1)
    assert (done.returncode, done.stdout, done.stderr) == (0, NOTHING, "")
    assert run(tmp_path, service=1, bandit=1).returncode == 1
