"""Run all benchmarks: `python -m benchmarks [--short]`.

The results are written, and compared with the last committed ones.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from benchmarks import comparison, machine, plots
from benchmarks.bars import BARS
from benchmarks.figures import figures
from benchmarks.parts import PARTS
from benchmarks.report import report
from benchmarks.slices import Spread

_RESULTS = Path(__file__).with_name("results")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--short",
        action="store_true",
        help="a quick run of a minute; its results stay in results/short",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[part.name for part in PARTS],
        help="these parts; the others keep their results",
    )
    given = parser.parse_args()
    folder = _RESULTS / "short" if given.short else _RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / "parts.json"
    parts: dict[str, Any] = json.loads(raw.read_text(encoding="utf-8")) if raw.exists() else {}
    failed = []
    for part in PARTS:
        if part.name in given.only:
            print(f"{part.name} ...", file=sys.stderr, flush=True)
            try:
                parts[part.name] = part.run(short=given.short)
            except subprocess.CalledProcessError as error:
                parts.pop(part.name, None)
                failed.append(part.name)
                print(error, file=sys.stderr)
    found = figures(parts)
    results = {
        "date": datetime.now(UTC).date().isoformat(),
        "form": "short" if given.short else "long",
        "machine": machine.description(),
        "figures": {name: attrs.asdict(figure) for name, figure in found.items()},
    }
    raw.write_text(json.dumps(parts) + "\n", encoding="utf-8")
    (folder / "latest.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    before = comparison.committed()
    known = (
        None
        if before is None
        else {name: Spread(**figure) for name, figure in before["figures"].items()}
    )
    changed = None if known is None else comparison.changes(known, found)
    text = report(results, parts, found, changed, plots.draw(parts, folder))
    (folder / "report.md").write_text(text, encoding="utf-8")
    print(text)
    missed = [bar.figure for bar in BARS if bar.verdict(found.get(bar.figure)).startswith("MISSED")]
    print(
        f"{len(missed)} of {len(BARS)} bars missed{': ' if missed else ''}{'; '.join(missed)}",
        file=sys.stderr,
    )
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
