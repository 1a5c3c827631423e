"""Comparison of figures with those of the last committed run."""

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
_NOISE = 0.03  # variation of medians between runs
_MORE_IS_BETTER = {bar.figure for bar in BARS if bar.at_least}


@attrs.frozen
class Change:
    """Significant change of a figure."""

    figure: str
    before: Spread
    now: Spread
    worse: bool

    def __str__(self) -> str:
        return f"{self.figure}: {self.before.median:.3f} → {self.now.median:.3f}"


def committed(path: str = "benchmarks/results/latest.json") -> dict[str, Any] | None:
    """Return the results that git has at its head, or None if it has none."""
    shown = subprocess.run(
        ["git", "show", f"HEAD:{path}"], cwd=_ROOT, capture_output=True, check=False
    )
    return None if shown.returncode else dict(json.loads(shown.stdout))


def changes(before: Mapping[str, Spread], now: Mapping[str, Spread]) -> list[Change]:
    """Return the figures with disjoint quartiles and medians that differ by more than 3 %.

    A figure with one sample per run, such as the growth of a long job, is judged by its bar only:
    its variation is unknown.
    """
    found = []
    for name in sorted(before.keys() & now.keys()):
        old, new = before[name], now[name]
        if old.low == old.high or new.low == new.high:
            continue
        apart = new.low > old.high or new.high < old.low
        if apart and abs(new.median - old.median) > _NOISE * abs(old.median):
            found.append(
                Change(name, old, new, worse=(new.median > old.median) != (name in _MORE_IS_BETTER))
            )
    return found
