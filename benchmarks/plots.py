"""Plots, as SVG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.slices import spread

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "paychainhq"  # equal figures give equal files


def draw(parts: dict[str, Any], folder: Path) -> list[str]:
    """Draw the results into a folder, and return the names of the files."""
    drawn = []
    for name, (draw_one, needed) in _PLOTS.items():
        if needed in parts:
            figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
            draw_one(axes, parts)
            axes.grid(alpha=0.3)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(fontsize="small")
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
            plt.close(figure)
            drawn.append(f"{name}.svg")
    return drawn


def _creating(parts: dict[str, Any]) -> dict[str, dict[int, dict[str, Any]]]:
    """Return, for each client, its series by concurrency."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for group in ("others", "creating"):
        for number, works in parts.get(group, {}).items():
            for name, series in works.items():
                found.setdefault(name, {})[int(number)] = series
    return found


def _throughput(axes: Axes, parts: dict[str, Any]) -> None:
    for name, by_number in _creating(parts).items():
        numbers = sorted(by_number)
        axes.plot(
            numbers,
            [spread(by_number[number]["per_second"]).median for number in numbers],
            marker="o",
            label=name,
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="requests at once",
        ylabel="requests per second",
        title="Throughput, one core",
    )


def _cpu(axes: Axes, parts: dict[str, Any]) -> None:
    costs = {
        name: by_number[16]["cpu_us"]
        for name, by_number in _creating(parts).items()
        if 16 in by_number
    }
    spreads = {
        name: spread(cost)
        for name, cost in sorted(costs.items(), key=lambda item: spread(item[1]).median)
    }
    middles = [figure.median for figure in spreads.values()]
    errors = [
        [figure.median - figure.low for figure in spreads.values()],
        [figure.high - figure.median for figure in spreads.values()],
    ]
    bars = axes.barh(list(spreads), middles, xerr=errors)
    axes.bar_label(bars, fmt="%.0f", padding=6)
    axes.set(xlabel="microseconds", title="CPU of the client a request, 16 at once")


def _latency(axes: Axes, parts: dict[str, Any]) -> None:
    works = {
        name: series
        for name, series in parts["others"].get("16", {}).items()
        if "latency_ms" in series
    }
    for place, percent in enumerate(("50", "90", "99")):
        positions = [index + (place - 1) * 0.27 for index in range(len(works))]
        axes.bar(
            positions,
            [series["latency_ms"][percent] for series in works.values()],
            0.27,
            label=f"{percent} %",
        )
    axes.set_xticks(range(len(works)), list(works))
    axes.set(yscale="log", ylabel="milliseconds", title="Latency, 16 at once")


def _polling(axes: Axes, parts: dict[str, Any]) -> None:
    passes = parts["polling"]["passes"]
    for way, label in (("reads", "a read for each"), ("list", "pages of 100")):
        counts = sorted(map(int, passes))
        axes.plot(
            counts,
            [spread(passes[str(count)][way]).median * count / 1e3 for count in counts],
            marker="o",
            label=label,
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="open invoices",
        ylabel="milliseconds of CPU",
        title="Looking at all open invoices once",
    )


def _memory(axes: Axes, parts: dict[str, Any]) -> None:
    for name, label in (("memory", "in memory"), ("memory+sqlite", "SQLite ledger")):
        samples = parts.get(name, [])
        axes.plot(
            [sample["done"] for sample in samples],
            [sample["rss_mib"] for sample in samples],
            label=label,
        )
    axes.set(
        xlabel="requests done",
        ylabel="resident MiB",
        title="Memory of a long create_many",
        ylim=(0, None),
    )


_PLOTS = {
    "throughput": (_throughput, "creating"),
    "cpu": (_cpu, "creating"),
    "latency": (_latency, "others"),
    "polling": (_polling, "polling"),
    "memory": (_memory, "memory"),
}
