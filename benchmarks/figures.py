"""Figures of the report: medians with quartiles, under stable names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.slices import Spread, ratios, spread

_FIRST_SAMPLE = 10_000


def figures(parts: dict[str, Any]) -> dict[str, Spread]:
    """Return all figures; a part that did not run has none."""
    return dict(sorted(_all(parts)))


def _all(parts: dict[str, Any]) -> Iterator[tuple[str, Spread]]:
    for group in ("creating", "uvloop", "tls", "malloc", "others"):
        for concurrency, works in parts.get(group, {}).items():
            for name, series in works.items():
                yield (
                    f"{group}: {name} / aiohttp @{concurrency}",
                    _ratio(series["cpu_us"], works["aiohttp"]["cpu_us"]),
                )
    for concurrency, works in parts.get("others", {}).items():
        for name in works.keys() - {"aiohttp", "create"}:
            yield (
                f"{name} / create @{concurrency}",
                _ratio(works[name]["cpu_us"], works["create"]["cpu_us"]),
            )
    for works in parts.get("telemetry", {}).values():
        for name in works.keys() - {"create"}:
            yield (
                f"telemetry: {name} / create",
                _ratio(works[name]["cpu_us"], works["create"]["cpu_us"]),
            )
        yield (
            "telemetry: create+otel / aiohttp+otel",
            _ratio(works["create+otel"]["cpu_us"], works["aiohttp+otel"]["cpu_us"]),
        )
    for works in parts.get("blocking", {}).values():
        yield (
            "paychainhq_sync / requests",
            _ratio(works["paychainhq_sync"]["cpu_us"], works["requests"]["cpu_us"]),
        )
    for sample, costs in parts.get("decoding", {}).items():
        yield f"decoding: {sample} / orjson", _ratio(costs["decoded"], costs["orjson"])
    imports = parts.get("imports", {})
    for name in imports.keys() - {"aiohttp"}:
        yield f"import: {name} / aiohttp", _ratio(imports[name], imports["aiohttp"])
    yield from _polling(parts.get("polling", {}))
    for name in ("memory", "memory+sqlite"):
        if name in parts:
            yield from _long_job(name, parts[name])


def _polling(found: dict[str, Any]) -> Iterator[tuple[str, Spread]]:
    for count, costs in found.get("passes", {}).items():
        yield f"polling: list / reads, {count} open", _ratio(costs["list"], costs["reads"])
    for count, watched in found.get("watched", {}).items():
        if watched["sweeps"] and (reads := found["passes"].get(count)):
            yield (
                f"polling: watch / reads, {count} open",
                _ratio([watched["cpu_us"]] * len(reads["reads"]), reads["reads"]),
            )
        yield f"polling: pages a sweep, {count} open", spread([watched["pages"]])
        yield f"polling: bytes an invoice, {count} watched", spread([watched["bytes"]])


def _long_job(name: str, samples: Sequence[dict[str, float]]) -> Iterator[tuple[str, Spread]]:
    first = next(
        sample
        for sample in samples
        if sample["done"] >= min(_FIRST_SAMPLE, samples[-1]["done"] / 2)
    )
    yield (
        f"{name}: MiB from the 10,000th to the last",
        spread([samples[-1]["rss_mib"] - first["rss_mib"]]),
    )
    tenth = len(samples) // 10
    for what in ("elapsed_s", "cpu_s"):
        begin, end = samples[tenth - 1][what], samples[-1][what] - samples[-1 - tenth][what]
        yield f"{name}: last tenth / first, by {what.removesuffix('_s')}", spread([begin / end])


def _ratio(costs: Sequence[float], base: Sequence[float]) -> Spread:
    return spread(ratios(costs, base))
