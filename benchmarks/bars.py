"""Bars: a limit and an aim for each figure."""

from __future__ import annotations

import attrs

from benchmarks.slices import Spread


@attrs.frozen
class Bar:
    """Limit and aim of one figure.

    Attributes:
        measure: The measured quantity, in words.
        figure: The figure's name.
        bar: The largest acceptable value; with `at_least`, the smallest.
        aim: The desired value.
        at_least: Whether larger values are better.
    """

    measure: str
    figure: str
    bar: float
    aim: float
    at_least: bool = False

    def reached(self, value: float, limit: float) -> bool:
        """Return whether a value is within a limit."""
        return value >= limit if self.at_least else value <= limit

    def verdict(self, figure: Spread | None) -> str:
        """Return the verdict on a figure: aim reached, bar met, or the distance to the bar."""
        if figure is None:
            return "not measured"
        if self.reached(figure.median, self.aim):
            return "aim reached"
        if self.reached(figure.median, self.bar):
            return "bar met"
        return f"MISSED by {abs(figure.median / self.bar - 1):.0%}"


def _at_both(
    measure: str, figure: str, bar: float, aim: float, *, at_least: bool = False
) -> list[Bar]:
    return [
        Bar(f"{measure}, {number} at once", f"{figure} @{number}", bar, aim, at_least)
        for number in (16, 64)
    ]


BARS = [
    *_at_both("`invoices.create`", "creating: create / aiohttp", 1.10, 0.90),
    *_at_both("`create_many`, in memory", "creating: create_many / aiohttp", 1.15, 0.95),
    *_at_both("`create_many`, SQLite ledger", "creating: create_many+sqlite / aiohttp", 1.40, 1.15),
    *_at_both("`invoices.create`, both on uvloop", "uvloop: create / aiohttp", 1.15, 0.95),
    *_at_both(
        "`create_many`, in memory, both on uvloop", "uvloop: create_many / aiohttp", 1.25, 1.05
    ),
    *_at_both(
        "`create_many`, SQLite ledger, both on uvloop",
        "uvloop: create_many+sqlite / aiohttp",
        1.55,
        1.25,
    ),
    *_at_both("`invoices.create`, both over TLS", "tls: create / aiohttp", 1.05, 0.95),
    *_at_both("stripe-python over `invoices.create`", "stripe / create", 3, 4, at_least=True),
    *_at_both("openai-python over `invoices.create`", "openai / create", 8, 10, at_least=True),
    Bar("A middleware without effect", "telemetry: create+noop / create", 1.05, 1.03),
    Bar(
        "`traceparent` added by a middleware", "telemetry: create+traceparent / create", 1.25, 1.15
    ),
    Bar("OpenTelemetry without an SDK", "telemetry: create+otel-idle / create", 1.10, 1.02),
    Bar("OpenTelemetry, not sampled", "telemetry: create+otel-unsampled / create", 1.5, 1.3),
    Bar("OpenTelemetry, two spans and all metrics", "telemetry: create+otel / create", 2.3, 2.0),
    Bar(
        "The same over aiohttp with its usual instrumentation",
        "telemetry: create+otel / aiohttp+otel",
        1.0,
        0.8,
    ),
    Bar(
        "`paychainhq_sync` over `requests.Session`, one thread",
        "paychainhq_sync / requests",
        0.50,
        0.40,
    ),
    Bar(
        "CPU per invoice, sweep over single reads, 10,000 open",
        "polling: watch / reads, 10000 open",
        0.1,
        0.1,
    ),
    Bar(
        "Pages of a sweep, 10,000 open among 110,000",
        "polling: pages a sweep, 10000 open",
        101,
        101,
    ),
    Bar(
        "Bytes of memory per invoice, 100,000 watched",
        "polling: bytes an invoice, 100000 watched",
        1024,
        1024,
    ),
    Bar(
        "Growth of a long `create_many` in MiB",
        "memory: MiB from the 10,000th to the last",
        64,
        64,
    ),
    Bar(
        "Throughput of a long `create_many`, last tenth over first",
        "memory: last tenth / first, by elapsed",
        0.9,
        0.9,
        at_least=True,
    ),
    Bar("A page of 100 invoices decoded, over orjson alone", "decoding: page / orjson", 4.5, 3.1),
    Bar(
        "`from paychainhq import PayChainHQ` over `import aiohttp`",
        "import: paychainhq / aiohttp",
        0.8,
        0.5,
    ),
]
