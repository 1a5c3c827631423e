"""Fault matrix: `python -m stress faults [NAME ...]` runs it and writes docs/faults.md.

The matrix, its server and its judge are in `tests/faults/`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.faults.matrix import CROWD, FACES, OPERATIONS, Cell
from tests.faults.report import line, page
from tests.faults.running import run
from tests.faults.table import FAULTS

PAGE = Path(__file__).parents[1] / "docs" / "faults.md"


def main(arguments: list[str]) -> int:
    """Run the cells; return 1 if one breaks a rule."""
    parser = argparse.ArgumentParser(
        prog="python -m stress faults",
        description="Run faults by name; without names, run all and write the page.",
    )
    parser.add_argument("names", nargs="*", help="parts of the names of the faults to run")
    names = parser.parse_args(arguments).names
    cells = [
        Cell(fault, form, (operation,), face, load)
        for fault in FAULTS
        if not names or any(name in fault.name for name in names)
        for form in fault.forms
        for operation in OPERATIONS
        for load in (1, CROWD)
        for face in FACES
    ]
    reports, broken = [], []
    for cell in cells:
        report = run(cell)
        reports.append(report)
        problems = [*report.problems(), *(["the deadline was missed"] if report.late else [])]
        print(line(report), flush=True)
        for problem in problems:
            print(f"    {problem}", flush=True)
        if problems:
            broken.append(line(report))
    if not names:
        PAGE.write_text(page(reports, len(broken)), encoding="utf-8")
    print(f"\n{len(cells)} cells, {len(broken)} broke a rule", *broken, sep="\n")
    return 1 if broken or not cells else 0
