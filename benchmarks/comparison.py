"""Figures against those of the last committed run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from benchmarks.bars import BARS
from benchmarks.slices import Spread

_ROOT = Path(__file__).parents[1]
_NOISE = 0.03  # by which medians move from run to run
_MORE_IS_BETTER = {bar.figure for bar in BARS if bar.at_least}


@attrs.frozen
class Change:
    """A figure that has moved by more than chance does."""

    figure: str
    before: Spread
    now: Spread
    worse: bool

    def __str__(self) -> str:
        return f"{self.figure}: {self.before.median:.3f} → {self.now.median:.3f}"


def committed(path: str = "benchmarks/results/latest.json") -> dict[str, Any] | None:
    """Return the results that git has at its head, or None if it has none."""
    shown = subprocess.run(["git", "show", f"HEAD:{path}"], cwd=_ROOT, capture_output=True, check=False)
    return None if shown.returncode else dict(json.loads(shown.stdout))


def changes(before: Mapping[str, Spread], now: Mapping[str, Spread]) -> list[Change]:
    """Return what has moved: the quartiles do not overlap, and the medians differ by more than 3 %.

    A figure that is taken once a run, such as the growth of a long job, is left to its bar: nothing is known of how it varies.
    """
    found = []
    for name in sorted(before.keys() & now.keys()):
        old, new = before[name], now[name]
        if old.low == old.high or new.low == new.high:
            continue
        apart = new.low > old.high or new.high < old.low
        if apart and abs(new.median - old.median) > _NOISE * abs(old.median):
            found.append(Change(name, old, new, worse=(new.median > old.median) != (name in _MORE_IS_BETTER)))
    return found
