"""Parts of a run, each in its own process, in a long and a short form."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import attrs

TELEMETRY = [
    "create",
    "create+noop",
    "create+traceparent",
    "create+otel-idle",
    "create+otel-unsampled",
    "create+otel-metrics",
    "create+otel-spans",
    "create+otel",
    "aiohttp+otel",
]
_OURS = ["create", "create_many", "create_many+sqlite"]


@attrs.frozen
class Part:
    """Process of a run: a module of this package, and its arguments in both forms."""

    name: str
    module: str
    long: str
    short: str

    def run(self, *, short: bool) -> Any:
        """Run the module, and return its result."""
        arguments = (self.short if short else self.long).split()
        command = [sys.executable, "-m", f"benchmarks.{self.module}", *arguments]
        return json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        )


def _group(name: str, peers: list[str], concurrency: str, options: str = "") -> Part:
    common = f"{' '.join(peers)} --json {options}"
    return Part(
        name,
        "measure",
        f"{common} --rounds 16 --seconds 0.5 --concurrency {concurrency}",
        f"{common} --rounds 3 --seconds 0.2 --concurrency {concurrency.partition(' ')[0]}",
    )


PARTS = [
    _group("creating", ["aiohttp", *_OURS, "bare"], "16 64 1 256"),
    _group("uvloop", ["aiohttp", *_OURS, "bare"], "16 64", "--uvloop"),
    _group("tls", ["aiohttp", "create", "create_many", "bare"], "16 64", "--tls"),
    _group("malloc", ["aiohttp", "create", "create_many"], "16 64", "--malloc default"),
    _group("others", ["aiohttp", "create", "httpx", "stripe", "openai"], "16 64 1 256", "--timed"),
    _group("telemetry", TELEMETRY, "16"),
    _group("blocking", ["requests", "paychainhq_sync"], "1"),
    Part("decoding", "decoding", "--rounds 16", "--rounds 3 --seconds 0.1"),
    Part("imports", "imports", "--rounds 20", "--rounds 4"),
    Part(
        "polling",
        "polling",
        "100 1000 10000 --watch 10000 100000",
        "100 1000 --rounds 2 --watch 1000 --seconds 1",
    ),
    Part("memory", "memory", "1000000", "30000"),
    Part("memory+sqlite", "memory", "200000 --ledger", "10000 --ledger"),
]
