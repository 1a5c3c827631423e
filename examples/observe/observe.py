"""Telemetry of a load on the emulator, in files and as a picture.

    python examples/observe/observe.py [OUTPUT_FOLDER] [--seconds 5] [--picture FILE]

The output folder gets `spans.jsonl`, `metrics.jsonl` and `picture.svg`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import tempfile
from pathlib import Path

from collector import providers
from load import run
from picture import draw

from paychainhq import otel


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", nargs="?", type=Path, default=Path("observe-output"))
    parser.add_argument("--seconds", type=float, default=5.0, help="the length of a phase")
    parser.add_argument("--picture", type=Path, help="another file for the picture")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    logging.getLogger("paychainhq").setLevel(logging.CRITICAL)  # the failures are part of the load
    tracers, meters = providers(given.output, seconds=given.seconds / 10)
    otel.instrument(tracer_provider=tracers, meter_provider=meters)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), given.seconds))
    tracers.shutdown()
    meters.shutdown()
    picture = given.picture or given.output / "picture.svg"
    picture.write_text(draw(given.output / "metrics.jsonl"), encoding="utf-8")
    spans = len((given.output / "spans.jsonl").read_text(encoding="utf-8").splitlines())
    print(f"{spans} spans and the metrics are in {given.output}, the picture is {picture}")


if __name__ == "__main__":
    main()
