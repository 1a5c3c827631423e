"""Cost of an import, in alternating fresh processes: `python -m benchmarks.imports`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from benchmarks import machine

STATEMENTS = {
    "aiohttp": "import aiohttp",
    "paychainhq": "from paychainhq import PayChainHQ",
    "paychainhq, with a client": "from paychainhq import PayChainHQ; PayChainHQ()",
}
_SCRIPT = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def measured(rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of CPU that each statement takes, round by round."""
    found: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    order = list(STATEMENTS)
    for _ in range(rounds + 1):  # the first run fills the disk's cache
        for name in order:
            command = [sys.executable, "-c", _SCRIPT.format(STATEMENTS[name])]
            spent = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[name].append(round(float(spent) * 1e3, 2))
        order.reverse()
    return {name: figures[1:] for name, figures in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    machine.stay_on(machine.cores()[1])
    print(json.dumps(measured(parser.parse_args().rounds)))


if __name__ == "__main__":
    main()
