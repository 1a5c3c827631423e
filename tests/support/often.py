"""Number of repetitions of a test: fewer than in continuous integration."""

from __future__ import annotations

import os

EXHAUSTIVE = bool(os.environ.get("EXHAUSTIVE"))
"""Whether to run tests at length, as continuous integration does: `EXHAUSTIVE=1`."""


def often(count: int) -> int:
    """Return the number of repetitions: `count` in an exhaustive run, else a quarter."""
    return count if EXHAUSTIVE else max(count // 4, 1)
