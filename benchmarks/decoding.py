"""Cost of decoding, relative to parsing alone: `python -m benchmarks.decoding`.

The samples are a page of 100 invoices, and one invoice.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json

import orjson

from benchmarks import machine, slices, work
from paychainhq import codec, operations

_SAMPLES = {
    "page": (operations.INVOICES_LIST.response_type, work.page(1, 100, 250)),
    "invoice": (operations.INVOICES_CREATE.response_type, work.ANSWER),
}


def measured(rounds: int, seconds: float) -> dict[str, dict[str, list[float]]]:
    """Return, for each sample, the microseconds that parsing and decoding take, round by round."""
    found = {}
    with asyncio.Runner() as runner:
        for name, (model, data) in _SAMPLES.items():
            body = orjson.dumps(data)
            ways = {
                "orjson": functools.partial(orjson.loads, body),
                "decoded": functools.partial(codec.decode, model, body),
            }
            compared = slices.compare(runner.get_loop(), ways, 1, rounds, seconds)
            found[name] = {
                way: [round(value, 2) for value in series.cpu_us]
                for way, series in compared.items()
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.3)
    given = parser.parse_args()
    machine.stay_on(machine.cores()[1])
    print(json.dumps(measured(given.rounds, given.seconds)))


if __name__ == "__main__":
    main()
